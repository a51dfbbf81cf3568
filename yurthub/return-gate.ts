// The order of things when the cloud comes back: first what was written here meanwhile, then what happened there. The
// kubelet's patches are differences against what it was shown, so reflectors wait until the overlay is gone.
import { delay, type Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { CloudUnreachableError } from './errors.ts';
import type { CloudState, Uplink } from './types.ts';

export interface ReturnGateParts {
  readonly uplink: Pick<Uplink, 'cloud' | 'onCloudChange' | 'fetch'>;
  readonly log: Log;
  readonly clock: Clock;
}

export interface ReturnSteps {
  /** The cloud is lost: `cutOff` is true. */
  lost(): Promise<void>;
  /** The cloud answers: what was written here goes first. Rejects with CloudUnreachableError when it goes away again. */
  returning(signal: AbortSignal): Promise<void>;
  /** `cutOff` is false again, and reflectors go on after this. */
  returned(): Promise<void>;
}

const retryMs = 500;

export class ReturnGate {
  readonly #parts: ReturnGateParts;
  #cutOff = false;
  #isOpen = false;
  #open = Promise.withResolvers<void>();
  #changed = Promise.withResolvers<void>();
  #returning: AbortController | undefined;

  constructor(parts: ReturnGateParts) {
    this.#parts = parts;
  }

  /** True from the loss of the cloud until what has to go first on its return is done. */
  get cutOff(): boolean {
    return this.#cutOff;
  }

  /** Resolves when the cloud may be asked, or when `signal` aborts. */
  async ready(signal: AbortSignal): Promise<void> {
    const left = Promise.withResolvers<void>();
    const leave = (): void => left.resolve();
    if (signal.aborted) leave();
    signal.addEventListener('abort', leave, { once: true });
    await Promise.race([this.#open.promise, left.promise]);
    signal.removeEventListener('abort', leave);
  }

  /** Follows the cloud until `signal` aborts. A start is a return: an earlier process may have left writes behind. */
  async run(steps: ReturnSteps, signal: AbortSignal): Promise<void> {
    const { uplink, clock } = this.#parts;
    const stopListening = uplink.onCloudChange((state) => this.#note(state));
    const stop = (): void => {
      this.#returning?.abort();
      this.#wake();
    };
    signal.addEventListener('abort', stop, { once: true });
    let settled: boolean | undefined;
    while (!signal.aborted) {
      const changed = this.#changed.promise;
      const { reachable } = uplink.cloud;
      if (reachable === settled) {
        await changed;
      } else if (!reachable) {
        await steps.lost();
        settled = false;
      } else if (await this.#return(steps)) {
        settled = true;
      } else {
        settled = undefined;
        await delay(clock, retryMs, signal);
      }
    }
    stopListening();
    signal.removeEventListener('abort', stop);
  }

  #note(state: CloudState): void {
    if (!state.reachable) {
      // Only an open gate is closed: whoever waits at a closed one has to be let through by the next opening.
      if (this.#isOpen) this.#open = Promise.withResolvers<void>();
      this.#isOpen = false;
      this.#cutOff = true;
      this.#returning?.abort();
    }
    this.#wake();
  }

  /** False when the cloud went away again on the way. */
  async #return(steps: ReturnSteps): Promise<boolean> {
    this.#returning = new AbortController();
    const { signal } = this.#returning;
    try {
      await this.#prove(signal);
      await steps.returning(signal);
    } catch (error) {
      if (signal.aborted || error instanceof CloudUnreachableError) return false;
      // A fault in what goes first must not keep the node from its cloud for ever.
      this.#parts.log.error('what was written offline could not be reported', { error: String(error) });
    }
    if (signal.aborted) return false;
    this.#cutOff = false;
    await steps.returned();
    this.#isOpen = true;
    this.#open.resolve();
    return true;
  }

  /** The uplink starts out hopeful; nothing of ours is given up before an API server has answered. */
  async #prove(signal: AbortSignal): Promise<void> {
    const request = {
      method: 'GET',
      target: '/version',
      headers: { accept: 'application/json' },
      lane: 'node',
      signal,
    } as const;
    await this.#parts.uplink.fetch(request, { maxBodyBytes: 64 << 10 });
  }

  #wake(): void {
    const changed = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    changed.resolve();
  }
}
