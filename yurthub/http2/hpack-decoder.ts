// Header blocks of HTTP/2 read back into fields (RFC 7541). What cannot be read leaves the table in doubt, and so ends the
// connection; what can be read and may not stand in a message is marked, and ends one request.
import { ConnectionError, ErrorCode } from './errors.ts';
import { huffmanDecode } from './huffman.ts';
import { staticFields } from './static-table.ts';

export interface Field {
  readonly name: string;
  readonly value: string;
  /** As RFC 7541 4.1 counts it. */
  readonly bytes: number;
  /** A lower-case name and a value that may stand in a message (RFC 9113 8.2.1). */
  readonly valid: boolean;
}

/** Our SETTINGS_HEADER_TABLE_SIZE is the default. */
const maxTableBytes = 4_096;
const fieldName = /^:?[!#$%&'*+.^_`|~0-9a-z-]+$/;
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;
const outerBlanks = /^[\t ]+|[\t ]+$/g;

const known: readonly Field[] = staticFields.map(([name, value]) => makeField(name, value));

function makeField(name: string, value: string): Field {
  const bytes = name.length + value.length + 32;
  const valid = fieldName.test(name) && fieldValue.test(value);
  // RFC 9113 does not know white space around a value; clients that have it mean what HTTP/1.1 takes it for.
  return { name, value: value.replaceAll(outerBlanks, ''), bytes, valid };
}

export class HpackDecoder {
  /** The newest last. */
  readonly #table: Field[] = [];
  #tableBytes = 0;
  #tableLimit = maxTableBytes;
  #block: Buffer = Buffer.alloc(0);
  #at = 0;

  /** The fields of a whole block, in order. Throws ConnectionError. */
  decode(block: Buffer): Field[] {
    this.#block = block;
    this.#at = 0;
    const fields: Field[] = [];
    while (this.#at < block.length) {
      const first = block[this.#at] as number;
      if (first >= 0x80) fields.push(this.#field(this.#integer(7)));
      else if (first >= 0x40) {
        const field = this.#literal(6);
        this.#add(field);
        fields.push(field);
      } else if (first >= 0x20) {
        const limit = this.#integer(5);
        // Only before the first field (RFC 7541 4.2), and never above what we allow.
        if (fields.length > 0 || limit > maxTableBytes) throw broken('a table size that may not be');
        this.#tableLimit = limit;
        this.#evict(0);
      } else fields.push(this.#literal(4));
    }
    this.#block = Buffer.alloc(0);
    return fields;
  }

  #literal(prefixBits: number): Field {
    const index = this.#integer(prefixBits);
    const name = index === 0 ? this.#string() : this.#field(index).name;
    return makeField(name, this.#string());
  }

  #field(index: number): Field {
    const field = index <= known.length ? known[index - 1] : this.#table[this.#table.length - (index - known.length)];
    if (field === undefined) throw broken('an index without a field');
    return field;
  }

  #add(field: Field): void {
    this.#evict(field.bytes);
    if (field.bytes > this.#tableLimit) return;
    this.#table.push(field);
    this.#tableBytes += field.bytes;
  }

  /** Makes room for so many bytes. */
  #evict(bytes: number): void {
    let count = 0;
    while (this.#tableBytes + bytes > this.#tableLimit && count < this.#table.length) {
      this.#tableBytes -= (this.#table[count] as Field).bytes;
      count += 1;
    }
    if (count > 0) this.#table.splice(0, count);
  }

  #integer(prefixBits: number): number {
    const most = (1 << prefixBits) - 1;
    const first = this.#byte() & most;
    if (first < most) return first;
    let value = most;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw broken('an integer that is too large');
  }

  #string(): string {
    const isHuffman = (this.#block[this.#at] ?? 0) >= 0x80;
    const length = this.#integer(7);
    const end = this.#at + length;
    if (end > this.#block.length) throw broken('a string that is cut short');
    const from = this.#at;
    this.#at = end;
    if (!isHuffman) return this.#block.toString('latin1', from, end);
    const text = huffmanDecode(this.#block, from, end);
    if (text === undefined) throw broken('a string that is no Huffman code');
    return text;
  }

  #byte(): number {
    const byte = this.#block[this.#at];
    if (byte === undefined) throw broken('a header block that is cut short');
    this.#at += 1;
    return byte;
  }
}

function broken(what: string): ConnectionError {
  return new ConnectionError(ErrorCode.compression, `the peer sent ${what}`);
}
