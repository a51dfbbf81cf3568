// How often a peer may do what costs us more than it costs the peer: so many times at once, and then so many a second.
import type { Clock } from '../../../runtime/clock.ts';

export class Allowance {
  readonly #clock: Clock;
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #countedMs: number;

  constructor(clock: Clock, burst: number, perSecond: number) {
    this.#clock = clock;
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
    this.#countedMs = clock.monotonicMs();
  }

  /** False when it was once too often. */
  take(): boolean {
    if (this.#left < 1) {
      const nowMs = this.#clock.monotonicMs();
      this.#left = Math.min(this.#burst, this.#left + ((nowMs - this.#countedMs) * this.#perSecond) / 1_000);
      this.#countedMs = nowMs;
    }
    this.#left -= 1;
    return this.#left >= 0;
  }
}
