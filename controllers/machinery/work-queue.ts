// Keys to be reconciled. A key that waits is not added again, one that is at work waits until it is done, one that failed comes
// again after a pause that doubles, and all that failed together come at a bounded rate.
import { Backoff, type BackoffSettings } from '../../runtime/backoff.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { TokenBucket, type Rate } from './token-bucket.ts';

export interface WorkQueueParts {
  readonly clock: Clock;
  readonly random: () => number;
  /** How many wait, after each change. */
  readonly depth: (waiting: number) => void;
  /** How long a key was due when it was taken, in milliseconds. */
  readonly waited: (ms: number) => void;
}

export interface WorkQueueSettings {
  readonly retry: BackoffSettings;
  readonly retryRate: Rate;
}

export const queueDefaults: WorkQueueSettings = {
  retry: { firstMs: 100, longestMs: 300_000 },
  retryRate: { perSecond: 20, burst: 100 },
};

export class WorkQueue {
  readonly #parts: WorkQueueParts;
  readonly #settings: WorkQueueSettings;
  readonly #retries: TokenBucket;
  /** Keys that are due, with the time since when; in their order. */
  readonly #due = new Map<string, number>();
  readonly #later = new Map<string, { readonly timer: Timer; readonly atMs: number }>();
  readonly #failures = new Map<string, Backoff>();
  /** Keys at work; true when they are to be looked at again after. */
  readonly #working = new Map<string, boolean>();
  #waiters: (() => void)[] = [];

  constructor(parts: WorkQueueParts, settings: WorkQueueSettings = queueDefaults) {
    this.#parts = parts;
    this.#settings = settings;
    this.#retries = new TokenBucket(parts.clock, settings.retryRate);
  }

  /** Keys that are due and keys at work. */
  get size(): number {
    return this.#due.size + this.#working.size;
  }

  /** Keys that are not due yet and will be within `ms`. */
  dueWithin(ms: number): number {
    const untilMs = this.#parts.clock.monotonicMs() + ms;
    return [...this.#later.values()].filter(({ atMs }) => atMs <= untilMs).length;
  }

  add(key: string): void {
    this.#forgetTimer(key);
    if (this.#working.has(key)) this.#working.set(key, true);
    else if (!this.#due.has(key)) {
      this.#due.set(key, this.#parts.clock.monotonicMs());
      this.#parts.depth(this.#due.size);
      this.#waiters.shift()?.();
    }
  }

  /** At the latest after `delayMs`; an earlier time that is set already stays. */
  addAfter(key: string, delayMs: number): void {
    if (delayMs <= 0) {
      this.add(key);
      return;
    }
    const atMs = this.#parts.clock.monotonicMs() + delayMs;
    const known = this.#later.get(key);
    if (known !== undefined && known.atMs <= atMs) return;
    known?.timer.cancel();
    this.#later.set(key, { atMs, timer: this.#parts.clock.after(delayMs, () => this.add(key)) });
  }

  /** The next key, now at work; undefined when `signal` aborts. Each key has to be given back by `done` or `failed`. */
  async next(signal: AbortSignal): Promise<string | undefined> {
    while (!signal.aborted) {
      const first = this.#due.entries().next();
      if (first.done !== true) {
        const [key, sinceMs] = first.value;
        this.#due.delete(key);
        this.#working.set(key, false);
        this.#parts.depth(this.#due.size);
        this.#parts.waited(this.#parts.clock.monotonicMs() - sinceMs);
        return key;
      }
      await this.#wait(signal);
    }
    return undefined;
  }

  /** It went well: what failed before is forgotten. */
  done(key: string, againAfterMs?: number): void {
    this.#failures.delete(key);
    this.#giveBack(key);
    if (againAfterMs !== undefined && !this.#due.has(key)) this.addAfter(key, againAfterMs);
  }

  /** It comes again after a pause, `leastMs` at least. Gives the pause. */
  failed(key: string, leastMs = 0): number {
    let backoff = this.#failures.get(key);
    if (backoff === undefined)
      this.#failures.set(key, (backoff = new Backoff(this.#settings.retry, this.#parts.random)));
    const pauseMs = Math.max(backoff.nextMs(), this.#retries.take(), leastMs);
    this.#giveBack(key);
    if (!this.#due.has(key)) this.addAfter(key, pauseMs);
    return pauseMs;
  }

  /** Forgets everything that waits; what is at work is given back as usual. */
  clear(): void {
    for (const { timer } of this.#later.values()) timer.cancel();
    this.#later.clear();
    this.#due.clear();
    this.#failures.clear();
    this.#parts.depth(0);
  }

  #giveBack(key: string): void {
    const again = this.#working.get(key);
    if (again === undefined) throw new TypeError(`${key} is not at work`);
    this.#working.delete(key);
    if (again) this.add(key);
  }

  #forgetTimer(key: string): void {
    this.#later.get(key)?.timer.cancel();
    this.#later.delete(key);
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        this.#waiters = this.#waiters.filter((waiter) => waiter !== wake);
        resolve();
      };
      this.#waiters.push(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
