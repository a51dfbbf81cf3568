// Writes that were accepted while the disk takes none: the newest operation per key, bounded in bytes.
import type { StoreOp } from '../types.ts';

/** What an entry costs beside its key and value: a Map entry and a Buffer object, roughly. */
const entryOverheadBytes = 160;

export class PendingWrites {
  readonly #entries = new Map<string, Buffer | null>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** All of `ops`, or none if they do not fit (then false). Values are copied. */
  add(ops: readonly StoreOp[]): boolean {
    let growth = 0;
    for (const op of ops) growth += cost(op.key, op.type === 'put' ? op.value.byteLength : 0);
    if (this.#bytes + growth > this.#maxBytes) return false;
    for (const op of ops) {
      const before = this.#entries.get(op.key);
      if (before !== undefined) this.#bytes -= cost(op.key, before?.byteLength ?? 0);
      const value = op.type === 'put' ? Buffer.from(op.value) : null;
      this.#entries.set(op.key, value);
      this.#bytes += cost(op.key, value?.byteLength ?? 0);
    }
    return true;
  }

  /** The value; null when deleted; undefined when nothing is pending for this key. */
  get(key: string): Buffer | null | undefined {
    return this.#entries.get(key);
  }

  /** A sorted copy of what is pending under `prefix`. */
  range(prefix: string): (readonly [key: string, value: Buffer | null])[] {
    if (this.#entries.size === 0) return [];
    return [...this.#entries].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1));
  }

  ops(): StoreOp[] {
    return [...this.#entries].map(([key, value]) =>
      value === null ? { type: 'del', key } : { type: 'put', key, value },
    );
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }
}

function cost(key: string, valueBytes: number): number {
  return key.length + valueBytes + entryOverheadBytes;
}
