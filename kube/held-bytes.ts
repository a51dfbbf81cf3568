// An unfinished token of a stream, gathered over chunks. Chunks are copied, never referenced: a 1-byte piece of a
// network buffer would pin the whole buffer. Growth doubles, so that byte-wise arrival stays linear.
import { WireError } from './errors.ts';

export class HeldBytes {
  #buffer: Buffer = Buffer.alloc(0);
  #length = 0;
  readonly #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get length(): number {
    return this.#length;
  }

  /** Throws WireError ERR_WIRE_TOO_LARGE beyond the bound. */
  append(chunk: Buffer, start: number, end: number): void {
    const length = this.#length + end - start;
    if (length > this.#maxBytes) throw tooLarge(length, this.#maxBytes);
    if (length > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(this.#maxBytes, Math.max(length, 2 * this.#buffer.length, 256)));
      this.#buffer.copy(grown, 0, 0, this.#length);
      this.#buffer = grown;
    }
    chunk.copy(this.#buffer, this.#length, start, end);
    this.#length = length;
  }

  /** What was gathered, as a buffer of its own and of just that size; nothing is held afterwards. */
  take(): Buffer {
    const taken = this.#length === this.#buffer.length ? this.#buffer : Buffer.from(this.#view());
    this.#buffer = Buffer.alloc(0);
    this.#length = 0;
    return taken;
  }

  #view(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }
}

export function tooLarge(bytes: number, maxBytes: number): WireError {
  return new WireError('ERR_WIRE_TOO_LARGE', `${bytes} bytes, more than the ${maxBytes} allowed`);
}
