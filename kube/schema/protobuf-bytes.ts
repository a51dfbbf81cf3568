// Reading and writing the primitive forms of protobuf: varints, lengths, tags. Knows nothing of Kubernetes.
import { WireError } from '../errors.ts';

export const wireType = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** Walks forward through one message of a buffer. Every method throws WireError when the bytes do not hold what is asked. */
export class ProtobufReader {
  readonly bytes: Buffer;
  at: number;
  end: number;

  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  get more(): boolean {
    return this.at < this.end;
  }

  /** An unsigned varint of at most 53 bits: tags and lengths. */
  unsigned(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count += 1) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new WireError('ERR_WIRE_MALFORMED', 'a varint is too large');
  }

  /** A signed 64-bit varint; bigint only where a number would lose digits. */
  int64(): number | bigint {
    const first = this.bytes[this.at];
    if (first !== undefined && first < 0x80 && this.at < this.end) {
      this.at += 1;
      return first;
    }
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        const signed = BigInt.asIntN(64, value);
        const number = Number(signed);
        return Number.isSafeInteger(number) ? number : signed;
      }
    }
    throw new WireError('ERR_WIRE_MALFORMED', 'a varint is longer than ten bytes');
  }

  /** A float64 in eight bytes. */
  double(): number {
    this.#need(8);
    const value = this.bytes.readDoubleLE(this.at);
    this.at += 8;
    return value;
  }

  /** Reads a length and moves behind what it covers; returns where that starts (it ends at `at`). */
  span(): number {
    const length = this.unsigned();
    this.#need(length);
    const start = this.at;
    this.at += length;
    return start;
  }

  string(): string {
    const start = this.span();
    return this.bytes.toString('utf8', start, this.at);
  }

  skip(type: number): void {
    if (type === wireType.varint) while (this.#byte() >= 0x80);
    else if (type === wireType.bytes) this.span();
    else if (type === wireType.fixed64 || type === wireType.fixed32) {
      const size = type === wireType.fixed64 ? 8 : 4;
      this.#need(size);
      this.at += size;
    } else throw new WireError('ERR_WIRE_MALFORMED', `protobuf has no wire type ${type} here`);
  }

  #byte(): number {
    this.#need(1);
    const byte = this.bytes[this.at] ?? 0;
    this.at += 1;
    return byte;
  }

  #need(count: number): void {
    if (count > this.end - this.at) throw new WireError('ERR_WIRE_TRUNCATED', 'a message ends early');
  }
}

/** Writes a message from its end to its start, so that every length is known when it is written (as Kubernetes' own does). */
export class BackwardWriter {
  #bytes: Buffer;
  #start: number;

  constructor(expectedBytes = 1024) {
    this.#bytes = Buffer.allocUnsafe(expectedBytes);
    this.#start = expectedBytes;
  }

  /** Bytes written so far: to measure what a nested message took. */
  get length(): number {
    return this.#bytes.length - this.#start;
  }

  /** The message. The writer must not be used afterwards. */
  finish(): Buffer {
    return this.#bytes.subarray(this.#start);
  }

  byte(value: number): void {
    this.#room(1);
    this.#bytes[--this.#start] = value;
  }

  unsigned(value: number): void {
    let size = 1;
    for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size += 1;
    this.#room(size);
    this.#start -= size;
    let at = this.#start;
    let rest = value;
    while (rest >= 128) {
      this.#bytes[at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[at] = rest;
  }

  /** A signed integer as a varint of 64 bits: negative numbers take ten bytes. */
  int64(value: number | bigint): void {
    if (typeof value === 'number' && value >= 0 && Number.isSafeInteger(value)) {
      this.unsigned(value);
      return;
    }
    const septets: number[] = [];
    let rest = BigInt.asUintN(64, BigInt(value));
    do {
      septets.push(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    } while (rest > 0n);
    septets[septets.length - 1] = (septets.at(-1) ?? 0) & 0x7f;
    for (const septet of septets.toReversed()) this.byte(septet);
  }

  double(value: number): void {
    this.#room(8);
    this.#start -= 8;
    this.#bytes.writeDoubleLE(value, this.#start);
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#start -= bytes.length;
    this.#bytes.set(bytes, this.#start);
  }

  /** Bytes with their length before them. */
  bytes(bytes: Uint8Array): void {
    this.raw(bytes);
    this.unsigned(bytes.length);
  }

  /** A string with its length before it. */
  string(text: string): void {
    const size = Buffer.byteLength(text);
    this.#room(size);
    this.#start -= size;
    this.#bytes.write(text, this.#start, size, 'utf8');
    this.unsigned(size);
  }

  tag(number: number, type: number): void {
    this.unsigned(number * 8 + type);
  }

  #room(count: number): void {
    if (count <= this.#start) return;
    const used = this.length;
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, used + count));
    this.#bytes.copy(grown, grown.length - used, this.#start);
    this.#start = grown.length - used;
    this.#bytes = grown;
  }
}
