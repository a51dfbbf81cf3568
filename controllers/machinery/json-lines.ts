// A watch is a stream of JSON texts, one in a line.
import { ApiUnreachableError } from './errors.ts';

const newline = 0x0a;

export class JsonLines {
  readonly #maxLineBytes: number;
  #held: Buffer[] = [];
  #heldBytes = 0;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** Values whose lines are complete with this chunk. Throws ApiUnreachableError on what is no JSON, and beyond the bound. */
  push(chunk: Buffer): unknown[] {
    const values: unknown[] = [];
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      this.#hold(chunk.subarray(start, end));
      const line = (this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held)).toString();
      this.#held = [];
      this.#heldBytes = 0;
      if (line !== '') values.push(parse(line));
      start = end + 1;
    }
    this.#hold(chunk.subarray(start));
    return values;
  }

  #hold(part: Buffer): void {
    if (part.length === 0) return;
    this.#held.push(part);
    this.#heldBytes += part.length;
    if (this.#heldBytes > this.#maxLineBytes)
      throw new ApiUnreachableError(`a watch event is larger than ${this.#maxLineBytes} bytes`);
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new ApiUnreachableError('a watch sent what is no JSON', error);
  }
}
