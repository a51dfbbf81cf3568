// What of a header block belongs to one connection only and must not be passed on (RFC 9110 section 7.6.1).
import type { Headers } from '../types.ts';

export const perConnection: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'te',
  'http2-settings',
]);

// The hub answers Expect itself (node:http does), and the host is the API server's.
const neverForwarded: ReadonlySet<string> = new Set(['expect', 'host']);
const trailer: ReadonlySet<string> = new Set(['trailer']);
const none: ReadonlySet<string> = new Set();

/** Request headers as they go upstream: without per-connection ones, those named in Connection, Host and Expect. */
export function requestHeaders(headers: Headers): Record<string, string | string[]> {
  return strip(headers, neverForwarded);
}

/** Response headers as they go to the client. Trailer is kept only where trailers can follow: without a length. */
export function responseHeaders(
  headers: Readonly<NodeJS.Dict<string | readonly string[]>>,
): Record<string, string | string[]> {
  return strip(headers, 'content-length' in headers ? trailer : none);
}

/** A line break or control character in it would begin a field, or a request, of its own. */
const notInValue = /[^\t\x20-\x7e\x80-\xff]/;
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const target = /^[\x21-\x7e]+$/;

/**
 * The head of a request as HTTP/1.1 writes it, up to and with the empty line, in latin1. Headers are stripped like
 * `requestHeaders`, and those that say how long the body is are written anew: `length` bytes, or in chunks, or undefined for
 * no body. Throws TypeError for what cannot be written.
 */
export function requestHeadText(
  request: { readonly method: string; readonly target: string; readonly headers: Headers },
  host: string,
  length: number | 'chunked' | undefined,
): string {
  if (!token.test(request.method) || !target.test(request.target))
    throw new TypeError('the request line cannot be written');
  let text = `${request.method} ${request.target} HTTP/1.1\r\nhost: ${host}\r\n`;
  const { headers } = request;
  const named = namedIn(headers['connection']);
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || name === 'content-length' || isDropped(name, neverForwarded, named)) continue;
    if (!token.test(name)) throw new TypeError('a header name cannot be written');
    if (typeof value === 'string') text += line(name, value);
    else for (const one of value) text += line(name, one);
  }
  if (length === 'chunked') text += 'transfer-encoding: chunked\r\n';
  else if (length !== undefined) text += `content-length: ${length}\r\n`;
  return `${text}\r\n`;
}

function line(name: string, value: string): string {
  if (notInValue.test(value)) throw new TypeError(`the value of header ${name} cannot be written`);
  return `${name}: ${value}\r\n`;
}

function strip(
  headers: Readonly<NodeJS.Dict<string | readonly string[]>>,
  also: ReadonlySet<string>,
): Record<string, string | string[]> {
  const named = namedIn(headers['connection']);
  const kept: Record<string, string | string[]> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || isDropped(name, also, named)) continue;
    kept[name] = typeof value === 'string' ? value : [...value];
  }
  return kept;
}

function isDropped(name: string, also: ReadonlySet<string>, named: ReadonlySet<string>): boolean {
  return name.charCodeAt(0) === 0x3a || perConnection.has(name) || also.has(name) || named.has(name);
}

/** The header names that a Connection header lists. */
function namedIn(connection: string | readonly string[] | undefined): ReadonlySet<string> {
  if (connection === undefined) return none;
  const names = typeof connection === 'string' ? connection : connection.join(',');
  return new Set(names.split(',').map((name) => name.trim().toLowerCase()));
}
