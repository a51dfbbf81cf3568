// A client that starts ahead of the view, because the API server itself answered its list.
import type { Watcher } from './audience.ts';

/** Passes on nothing until the view has reached what the client has seen. */
export class LateWatcher implements Watcher {
  readonly inner: Watcher;
  readonly #reached: () => boolean;
  /** A change of our own came too early for it: the view has no version that would tell it again. */
  missedLocalChange = false;

  constructor(inner: Watcher, reached: () => boolean) {
    this.inner = inner;
    this.#reached = reached;
  }

  get allowBookmarks(): boolean {
    return this.inner.allowBookmarks;
  }

  get reached(): boolean {
    return this.#reached();
  }

  deliver(frame: Buffer, local?: boolean): void {
    if (this.#reached()) this.inner.deliver(frame, local);
  }

  end(): void {
    this.inner.end();
  }
}
