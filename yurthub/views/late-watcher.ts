// A client that starts ahead of the view, because the API server itself answered its list.
import type { Watcher } from './audience.ts';

/** Passes on nothing until the view has reached what the client has seen. */
export class LateWatcher implements Watcher {
  readonly inner: Watcher;
  readonly #reached: () => boolean;

  constructor(inner: Watcher, reached: () => boolean) {
    this.inner = inner;
    this.#reached = reached;
  }

  get allowBookmarks(): boolean {
    return this.inner.allowBookmarks;
  }

  deliver(frame: Buffer): void {
    if (this.#reached()) this.inner.deliver(frame);
  }

  end(): void {
    this.inner.end();
  }
}
