// Walks the keys of one JSON object that is whole in a buffer, without parsing the values.
import {
  closeBrace,
  colon,
  comma,
  isWhitespace,
  malformed,
  openBrace,
  quote,
  backslash,
  ValueScanner,
} from './value-scanner.ts';

export class ObjectReader {
  /** Of the current entry, valid after `next` was true. */
  key = '';
  valueStart = 0;
  readonly #bytes: Buffer;
  readonly #end: number;
  readonly #values = new ValueScanner();
  #position: number;
  #valueEnd = -1;
  #state: 'before' | 'on-entry' | 'after' = 'before';

  /** The object starts at or, after white space, behind `start`; it must end by `end`. */
  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#end = end;
    this.#position = start;
  }

  /** Advances to the next entry; false after the closing brace. Throws WireError ERR_WIRE_MALFORMED. */
  next(): boolean {
    if (this.#state === 'after') return false;
    if (this.#state === 'before') {
      this.#expect(openBrace);
      if (this.#peek() === closeBrace) return this.#close();
    } else {
      this.#position = this.valueEnd;
      if (this.#peek() === closeBrace) return this.#close();
      this.#expect(comma);
    }
    if (this.#peek() !== quote) throw malformed('no key where one is due');
    const keyStart = this.#position;
    this.#position = this.#endOfValue(keyStart);
    this.key = readString(this.#bytes, keyStart, this.#position);
    this.#expect(colon);
    this.#peek();
    this.valueStart = this.#position;
    this.#valueEnd = -1;
    this.#state = 'on-entry';
    return true;
  }

  /** Where the current value ends. Found on demand, so that a value which is walked by another reader is not scanned twice. */
  get valueEnd(): number {
    if (this.#valueEnd < 0) this.#valueEnd = this.#endOfValue(this.valueStart);
    return this.#valueEnd;
  }

  /** The current value as a string; null reads as '', as in Go. */
  string(): string {
    return readString(this.#bytes, this.valueStart, this.valueEnd);
  }

  /** A reader of the current value as an object. */
  object(): ObjectReader {
    return new ObjectReader(this.#bytes, this.valueStart, this.#end);
  }

  /** Walks what is left, and throws unless nothing but white space follows the object. */
  finish(): void {
    while (this.next());
    while (this.#position < this.#end)
      if (!isWhitespace(this.#bytes[this.#position++] ?? 0)) throw malformed('bytes after the object');
  }

  #close(): false {
    this.#position++;
    this.#state = 'after';
    return false;
  }

  /** The next byte that is no white space; the position is on it. */
  #peek(): number {
    while (this.#position < this.#end) {
      const byte = this.#bytes[this.#position] ?? 0;
      if (!isWhitespace(byte)) return byte;
      this.#position++;
    }
    throw malformed('object without end');
  }

  #expect(byte: number): void {
    if (this.#peek() !== byte) throw malformed(`no '${String.fromCharCode(byte)}' where one is due`);
    this.#position++;
  }

  #endOfValue(start: number): number {
    this.#values.begin();
    const end = this.#values.scan(this.#bytes, start, this.#end);
    if (end < 0) throw malformed('value without end');
    return end;
  }
}

/** The string literal at `[start, end)`; null reads as ''. Throws WireError on any other value. */
export function readString(bytes: Buffer, start: number, end: number): string {
  if (bytes[start] !== quote) {
    if (bytes.toString('latin1', start, end) === 'null') return '';
    throw malformed('no string where one is due');
  }
  const escape = bytes.indexOf(backslash, start);
  if (escape < 0 || escape >= end) return bytes.toString('utf8', start + 1, end - 1);
  const text: unknown = parseJson(bytes.toString('utf8', start, end));
  return String(text);
}

/** JSON.parse that throws WireError. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed('not JSON');
  }
}
