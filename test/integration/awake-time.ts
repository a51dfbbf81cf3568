// A stopwatch for tests that judge a time: what passes while this process does not get to run is not counted, so that a machine that
// stalls, or is busy with other things, is not taken for a product that waits too long.

const tickMs = 20;

export class AwakeTime {
  readonly #timer: NodeJS.Timeout;
  #lastMs = performance.now();
  #awakeMs = 0;

  constructor() {
    this.#timer = setInterval(() => this.#tick(), tickMs);
  }

  /** Milliseconds since it was made; ends it. */
  stop(): number {
    clearInterval(this.#timer);
    this.#tick();
    return this.#awakeMs;
  }

  #tick(): void {
    const nowMs = performance.now();
    // A turn of the loop that took longer than that was not spent waiting.
    this.#awakeMs += Math.min(nowMs - this.#lastMs, 2 * tickMs);
    this.#lastMs = nowMs;
  }
}
