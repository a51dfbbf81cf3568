// How long to wait before the next attempt: doubled after each failure, and spread out, so that a thousand agents do not come
// back in one moment.

export interface BackoffSettings {
  readonly firstMs: number;
  readonly longestMs: number;
}

export class Backoff {
  readonly #settings: BackoffSettings;
  readonly #random: () => number;
  #failures = 0;

  /** `random` as Math.random. */
  constructor(settings: BackoffSettings, random: () => number) {
    this.#settings = settings;
    this.#random = random;
  }

  /** Between half of the present step and the whole of it; the step doubles for the next time. */
  nextMs(): number {
    const stepMs = Math.min(this.#settings.longestMs, this.#settings.firstMs * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 30);
    return stepMs / 2 + (stepMs / 2) * this.#random();
  }

  reset(): void {
    this.#failures = 0;
  }
}
