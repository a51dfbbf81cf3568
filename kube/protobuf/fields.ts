// Reading and writing protobuf fields in a buffer that is whole. Every read is checked against its end, so that
// malformed bytes throw and never read outside, loop, or pass for something else.
import { WireError } from '../errors.ts';

export const wireVarint = 0;
export const wireFixed64 = 1;
export const wireBytes = 2;
export const wireFixed32 = 5;

/** A varint has at most 10 bytes; a longer one is malformed. */
export const maxVarintBytes = 10;

export function malformed(what: string): WireError {
  return new WireError('ERR_WIRE_MALFORMED', `protobuf: ${what}`);
}

/** Walks the fields of one message, `[start, end)` of `buffer`. */
export class FieldReader {
  readonly buffer: Buffer;
  readonly end: number;
  /** Of the current field, valid after `next` was true. */
  field = 0;
  wireType = 0;
  /** Where the field's tag begins; `[valueStart, valueEnd)` is its content, without the length for wireBytes. */
  fieldStart = 0;
  valueStart = 0;
  valueEnd = 0;
  #position: number;

  constructor(buffer: Buffer, start: number, end: number) {
    this.buffer = buffer;
    this.end = end;
    this.#position = start;
  }

  /** Advances to the next field; false at the end. Throws WireError ERR_WIRE_MALFORMED. */
  next(): boolean {
    if (this.#position >= this.end) return false;
    this.fieldStart = this.#position;
    const tag = this.#varint();
    this.field = fieldOfTag(tag);
    this.wireType = tag % 8;
    this.valueStart = this.#position;
    this.valueEnd = this.#skipValue();
    this.#position = this.valueEnd;
    return true;
  }

  /** The current field's content as UTF-8. */
  string(): string {
    this.expectBytes();
    return this.buffer.toString('utf8', this.valueStart, this.valueEnd);
  }

  /** The current field's content as a number; exact up to 2^53. */
  number(): number {
    if (this.wireType !== wireVarint) throw malformed(`field ${this.field} is no varint`);
    this.#position = this.valueStart;
    return this.#varint();
  }

  /** A reader of the current field's content as a message. */
  message(): FieldReader {
    this.expectBytes();
    return new FieldReader(this.buffer, this.valueStart, this.valueEnd);
  }

  expectBytes(): void {
    if (this.wireType !== wireBytes) throw malformed(`field ${this.field} has wire type ${this.wireType}`);
  }

  #skipValue(): number {
    let end = this.#position;
    switch (this.wireType) {
      case wireVarint:
        this.#varint();
        return this.#position;
      case wireFixed64:
        end += 8;
        break;
      case wireBytes: {
        const length = this.#varint();
        this.valueStart = this.#position;
        end = this.#position + length;
        break;
      }
      case wireFixed32:
        end += 4;
        break;
      default:
        throw malformed(`wire type ${this.wireType}`);
    }
    if (end > this.end) throw malformed(`field ${this.field} reaches beyond its message`);
    return end;
  }

  #varint(): number {
    let value = 0;
    let scale = 1;
    const limit = Math.min(this.end, this.#position + maxVarintBytes);
    while (this.#position < limit) {
      const byte = this.buffer[this.#position++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw malformed('varint without end');
  }
}

/** The field number of a tag. Throws on numbers that protobuf does not know. */
export function fieldOfTag(tag: number): number {
  const field = Math.floor(tag / 8);
  if (field === 0 || field > 0x1fffffff) throw malformed(`field number ${field}`);
  return field;
}

export function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++;
  return length;
}

/** Writes `value`, an integer from 0 to 2^53; returns the position after it. */
export function writeVarint(target: Buffer, position: number, value: number): number {
  let at = position;
  let rest = value;
  while (rest >= 128) {
    target[at++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  target[at++] = rest;
  return at;
}

/** One field of wire type varint. */
export function varintField(field: number, value: number): Buffer {
  const bytes = Buffer.allocUnsafe(varintLength(field * 8) + varintLength(value));
  writeVarint(bytes, writeVarint(bytes, 0, field * 8 + wireVarint), value);
  return bytes;
}

export function bytesFieldHeadLength(field: number, length: number): number {
  return varintLength(field * 8) + varintLength(length);
}

/** Tag and length of a field whose `length` bytes of content follow. */
export function bytesFieldHead(field: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(bytesFieldHeadLength(field, length));
  writeVarint(bytes, writeVarint(bytes, 0, field * 8 + wireBytes), length);
  return bytes;
}

/** One field with content. */
export function bytesField(field: number, content: Buffer | string): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return Buffer.concat([bytesFieldHead(field, bytes.length), bytes]);
}
