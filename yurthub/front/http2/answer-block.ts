// Header blocks that we send: literals without compression. The peer is on this host, where bytes cost less than a table.
import type { Headers } from '../../types.ts';
import { isConnectionHeader } from '../request-head.ts';

/** A line break or control character has no place in a field (RFC 9113 8.2.1). */
const notInValue = /[^\t\x20-\x7e\x80-\xff]/;
const fieldName = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

/** What is remembered of a connection: an API server's answers differ in a few fields out of a dozen. */
const maxKnown = 32;
const maxKnownChars = 256;

/** The blocks of one connection's answers. */
export class AnswerBlocks {
  /** By name, the last value and how it is written. */
  readonly #known = new Map<string, { readonly value: string; readonly text: string }>();

  /** The block of an answer's head as a latin1 text, one character per byte. Throws TypeError for what cannot be written. */
  head(statusCode: number, headers: Headers): string {
    // 8: the static table's `:status: 200`, and the name of others.
    const status = statusCode === 200 ? '\x88' : `\x08\x03${statusCode}`;
    return status + this.fields(headers);
  }

  fields(headers: Headers): string {
    let text = '';
    for (const name in headers) {
      const value = headers[name];
      if (value === undefined || isConnectionHeader(name)) continue;
      if (typeof value === 'string') text += this.#field(name, value);
      else for (const one of value) text += literal(name, one);
    }
    return text;
  }

  #field(name: string, value: string): string {
    const known = this.#known.get(name);
    if (known?.value === value) return known.text;
    const text = literal(name, value);
    if (text.length <= maxKnownChars && (known !== undefined || this.#known.size < maxKnown))
      this.#known.set(name, { value, text });
    return text;
  }
}

function literal(name: string, value: string): string {
  if (!fieldName.test(name) || notInValue.test(value)) throw new TypeError(`header ${name} cannot be written`);
  return `\0${lengthOf(name)}${name}${lengthOf(value)}${value}`;
}

/** An integer with a prefix of 7 bits (RFC 7541 5.1). */
function lengthOf(text: string): string {
  let { length } = text;
  if (length < 0x7f) return String.fromCharCode(length);
  length -= 0x7f;
  let bytes = '\x7f';
  while (length >= 0x80) {
    bytes += String.fromCharCode((length & 0x7f) | 0x80);
    length >>>= 7;
  }
  return bytes + String.fromCharCode(length);
}
