// Finds the end of a JSON value without parsing it. Strings, escapes and brackets are followed exactly, and a byte that
// can stand nowhere outside a string is refused; commas and colons inside the value are not judged. It can stop at
// any byte and go on with the next chunk.
import { WireError } from '../errors.ts';

/** As deep as Go's encoding/json goes. */
const maxDepth = 10_000;

export const quote = 0x22;
export const backslash = 0x5c;
export const openBrace = 0x7b;
export const closeBrace = 0x7d;
export const openBracket = 0x5b;
export const closeBracket = 0x5d;
export const comma = 0x2c;
export const colon = 0x3a;

const byteTable = (characters: string): Uint8Array => {
  const table = new Uint8Array(256);
  for (const byte of Buffer.from(characters)) table[byte] = 1;
  return table;
};
const whitespace = byteTable(' \t\r\n');
const scalar = byteTable('0123456789+-.eEtrufalsn');
const outsideStrings = byteTable('0123456789+-.eEtrufalsn,: \t\r\n');
const afterBackslash = byteTable('"\\/bfnrtu');
/** Bytes of a string that need no attention. */
const plain = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte !== quote && byte !== backslash ? 1 : 0,
);

export function malformed(what: string): WireError {
  return new WireError('ERR_WIRE_MALFORMED', `json: ${what}`);
}

export function isWhitespace(byte: number): boolean {
  return whitespace[byte] === 1;
}

export class ValueScanner {
  /** The closing brackets that are owed, outermost first. */
  #owed: number[] = [];
  #begun = false;
  #inString = false;
  #escaped = false;
  #inScalar = false;

  /** To be called before each value; `scan` then starts on the value's first byte. */
  begin(): void {
    this.#owed.length = 0;
    this.#begun = this.#inString = this.#escaped = this.#inScalar = false;
  }

  /**
   * The position after the value's last byte, or -1 if the value goes on after `end`. A number or literal ends before
   * the first byte that is not its own, so it is found complete only when that byte has come.
   */
  scan(bytes: Buffer, start: number, end: number): number {
    const owed = this.#owed;
    let at = start;
    while (at < end) {
      const byte = bytes[at] ?? 0;
      if (this.#inScalar) {
        if (scalar[byte] !== 1) return at;
        at++;
        continue;
      }
      at++;
      if (this.#inString) {
        if (this.#escaped) {
          if (afterBackslash[byte] !== 1) throw malformed('unknown escape');
          this.#escaped = false;
        } else if (byte === quote) {
          this.#inString = false;
          if (owed.length === 0) return at;
        } else if (byte === backslash) {
          this.#escaped = true;
        } else if (byte < 0x20) {
          throw malformed('control character in a string');
        } else {
          while (at < end && plain[bytes[at] ?? 0] === 1) at++;
        }
      } else if (byte === quote) {
        this.#inString = this.#begun = true;
      } else if (byte === openBrace || byte === openBracket) {
        if (owed.length >= maxDepth) throw malformed(`nested deeper than ${maxDepth}`);
        owed.push(byte + 2);
        this.#begun = true;
      } else if (byte === closeBrace || byte === closeBracket) {
        if (owed.pop() !== byte) throw malformed('brackets do not match');
        if (owed.length === 0) return at;
      } else if (outsideStrings[byte] !== 1) {
        throw malformed(`byte ${byte} outside of strings`);
      } else if (!this.#begun) {
        if (scalar[byte] !== 1) throw malformed('no value where one is due');
        this.#inScalar = this.#begun = true;
      }
    }
    return -1;
  }
}
