// A clock for tests: time passes only by `advance`, and due callbacks run in order.
import type { Clock, Timer } from './clock.ts';

export class ManualClock implements Clock {
  #nowMs: number;
  #monotonicMs = 0;
  #pending: { dueMs: number; callback: () => void }[] = [];

  constructor(startMs = 1_700_000_000_000) {
    this.#nowMs = startMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const entry = { dueMs: this.#monotonicMs + delayMs, callback };
    this.#pending.push(entry);
    return { cancel: () => void (this.#pending = this.#pending.filter((other) => other !== entry)) };
  }

  /** Lets `durationMs` pass; runs what falls due, oldest first. */
  advance(durationMs: number): void {
    const endMs = this.#monotonicMs + durationMs;
    for (;;) {
      const next = this.#pending.toSorted((a, b) => a.dueMs - b.dueMs)[0];
      if (next === undefined || next.dueMs > endMs) break;
      this.#pending = this.#pending.filter((other) => other !== next);
      this.#nowMs += next.dueMs - this.#monotonicMs;
      this.#monotonicMs = next.dueMs;
      next.callback();
    }
    this.#nowMs += endMs - this.#monotonicMs;
    this.#monotonicMs = endMs;
  }

  /** Moves wall time alone, as an administrator or NTP would. */
  jumpWall(byMs: number): void {
    this.#nowMs += byMs;
  }
}
