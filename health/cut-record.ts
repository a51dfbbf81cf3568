// Since when this node has been in reach of the cloud, and how long it was not before: what it saw of its peers while it was cut
// off is no evidence against them.
import type { Clock } from '../runtime/clock.ts';

export class CutRecord {
  readonly #clock: Clock;
  #reachable = true;
  #sinceMs: number;
  #cutMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.monotonicMs();
  }

  update(reachable: boolean): void {
    if (reachable === this.#reachable) return;
    const nowMs = this.#clock.monotonicMs();
    if (reachable) this.#cutMs = nowMs - this.#sinceMs;
    this.#reachable = reachable;
    this.#sinceMs = nowMs;
  }

  get onlineSeconds(): number {
    return this.#reachable ? (this.#clock.monotonicMs() - this.#sinceMs) / 1_000 : 0;
  }

  get cutSeconds(): number {
    return (this.#reachable ? this.#cutMs : this.#clock.monotonicMs() - this.#sinceMs) / 1_000;
  }
}
