// The head of an HTTP/1.1 answer as text.
import { STATUS_CODES } from 'node:http';
import type { Headers } from '../../types.ts';
import { isConnectionHeader } from '../request-head.ts';

/** A line break or control character in it would begin a field, or an answer, of its own. */
const notInValue = /[^\t\x20-\x7e\x80-\xff]/;
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Status line and fields, in latin1, without the empty line that ends them. Throws TypeError for what cannot be written. */
export function answerHeadText(statusCode: number, headers: Headers): string {
  const text = `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode] ?? ''}\r\n`;
  return text + fieldLines(headers);
}

/** Fields without those that concern the connection, each with its line break. Throws TypeError for what cannot be written. */
export function fieldLines(headers: Headers): string {
  let text = '';
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || isConnectionHeader(name)) continue;
    if (typeof value === 'string') text += line(name, value);
    else for (const one of value) text += line(name, one);
  }
  return text;
}

function line(name: string, value: string): string {
  if (!token.test(name) || notInValue.test(value)) throw new TypeError(`header ${name} cannot be written`);
  return `${name}: ${value}\r\n`;
}
