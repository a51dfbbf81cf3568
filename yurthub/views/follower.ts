// A part of the hub that watches a view as a client does: filters that depend on other objects than the one they show.
import { delay, type Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { untilAborted } from '../../runtime/until-aborted.ts';
import type { Item, Wire } from '../../kube/wire.ts';
import type { ViewKey } from '../types.ts';
import type { Watcher } from './audience.ts';
import type { View } from './view.ts';
import { memberKey } from './view-key.ts';
import type { ViewSet } from './view-set.ts';

export interface FollowerSink {
  put(wire: Wire, item: Item): void;
  remove(namespace: string, name: string): void;
  /** What was put and removed makes a state that the cloud was in. */
  settled(): void;
}

export interface FollowerParts {
  readonly views: Pick<ViewSet, 'has' | 'kept' | 'acquire'>;
  readonly sink: FollowerSink;
  /** `join`: a view that clients have made, as soon as there is one. `make`: one of our own. */
  readonly how: 'join' | 'make';
  readonly clock: Clock;
  readonly log: Log;
}

/** A view that may not be had is rare, and made by people: they have to install or to allow something. */
const refusedRetryMs = 300_000;
const otherRetryMs = 10_000;
const joinRetryMs = 2_000;
const maxObjectBytes = 8 << 20;

export class ViewFollower {
  readonly #key: ViewKey;
  readonly #parts: FollowerParts;
  readonly #wanted = Promise.withResolvers<void>();
  readonly #present = new Set<string>();
  #attached: Promise<void> | undefined;
  #said = '';

  constructor(key: ViewKey, parts: FollowerParts) {
    this.#key = key;
    this.#parts = parts;
  }

  /** Takes up what an earlier process kept, so that it is known before the first client asks. */
  async prime(): Promise<void> {
    if (this.#attached !== undefined) return;
    const view = await this.#parts.views.kept(this.#key);
    if (view !== undefined) await this.#attach(view);
  }

  /** From now on the view is kept up to date; before, nothing is asked of the cloud. */
  want(): void {
    this.#wanted.resolve();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, views, how } = this.#parts;
    const stopped = untilAborted(signal);
    await Promise.race([this.#wanted.promise, stopped]);
    while (!signal.aborted) {
      if (how === 'join' && !views.has(this.#key)) {
        await delay(clock, joinRetryMs, signal);
        continue;
      }
      const acquired = await views.acquire(this.#key, '', signal);
      if (acquired.kind === 'view') {
        if (this.#attached === undefined) await this.#attach(acquired.view);
        await Promise.race([this.#attached, stopped]);
      } else if (acquired.kind === 'refused') {
        this.#sayOnce(acquired.reply.statusCode);
        await delay(clock, refusedRetryMs * (1 + Math.random()), signal);
      } else {
        await delay(clock, otherRetryMs * (1 + Math.random()), signal);
      }
    }
  }

  async #attach(view: View): Promise<void> {
    const ended = Promise.withResolvers<void>();
    this.#attached = ended.promise.then(() => {
      this.#attached = undefined;
    });
    const seen = new Set<string>();
    let settled = false;
    const { sink, log } = this.#parts;
    const take = (frame: Buffer): void => {
      for (const { type, item } of view.wire.watchScanner({ maxFrameBytes: maxObjectBytes }).push(frame)) {
        const key = memberKey(item.namespace, item.name);
        if (type === 'BOOKMARK') {
          if (settled) continue;
          settled = true;
          for (const old of this.#present) if (!seen.has(old)) this.#remove(old);
          sink.settled();
        } else if (type === 'DELETED') {
          this.#remove(key);
          sink.settled();
        } else {
          this.#present.add(key);
          if (!settled) seen.add(key);
          sink.put(view.wire, item);
          if (settled) sink.settled();
        }
      }
    };
    const watcher: Watcher = {
      allowBookmarks: false,
      deliver: (frame) => {
        try {
          take(frame);
        } catch (error) {
          log.error('an object that filters depend on cannot be read', {
            resource: this.#key.resource,
            error: String(error),
          });
        }
      },
      end: () => ended.resolve(),
    };
    await view.follow(watcher);
  }

  #remove(key: string): void {
    if (!this.#present.delete(key)) return;
    const slash = key.indexOf('/');
    this.#parts.sink.remove(key.slice(0, slash), key.slice(slash + 1));
  }

  #sayOnce(statusCode: number): void {
    const what = `${this.#key.resource} ${statusCode}`;
    if (this.#said === what) return;
    this.#said = what;
    this.#parts.log.info('the API server does not give what filters depend on; they go without', {
      resource: this.#key.resource,
      status: statusCode,
    });
  }
}
