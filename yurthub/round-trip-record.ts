// The round trip to the API server, remembered over restarts: a node that boots while it is cut off need not wait for as
// long as a satellite link might take before it knows.
import type { Store } from './types.ts';

const key = 'uplink/round-trip-ms';
const maxMs = 60_000;

export class RoundTripRecord {
  readonly #store: Pick<Store, 'get' | 'write'>;
  #keptMs: number | undefined;

  constructor(store: Pick<Store, 'get' | 'write'>) {
    this.#store = store;
  }

  /** Undefined when none was kept. */
  async load(): Promise<number | undefined> {
    const record = await this.#store.get(key).catch(() => undefined); // no measure is as good as one that cannot be read
    const ms = Number(record?.toString());
    this.#keptMs = record !== undefined && ms > 0 && ms <= maxMs ? ms : undefined;
    return this.#keptMs;
  }

  /** Writes a measure that differs by more than half. Never rejects: it is only a hint for the next start. */
  async keep(roundTripMs: number): Promise<void> {
    const kept = this.#keptMs ?? 0;
    if (roundTripMs <= 0 || (roundTripMs < kept * 1.5 && roundTripMs > kept / 2)) return;
    this.#keptMs = roundTripMs;
    const value = Buffer.from(roundTripMs.toFixed(3));
    await this.#store.write([{ type: 'put', key, value }], 'written').catch(() => undefined); // see above
  }
}
