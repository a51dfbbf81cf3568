// What of a header block belongs to one connection only and must not be passed on (RFC 9110 section 7.6.1).
import type { Headers } from '../types.ts';

const perConnection = new Set([
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

/** Request headers in the flat form that undici takes, stripped like `requestHeaders`; values of repeated ones are lists. */
export function flatRequestHeaders(headers: Headers): (string | string[])[] {
  const named = namedIn(headers['connection']);
  const flat: (string | string[])[] = [];
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || isDropped(name, neverForwarded, named)) continue;
    flat.push(name, value as string | string[]);
  }
  return flat;
}

/** `responseHeaders` of undici's raw header list in one pass: this runs for every answer. */
export function answerHeaders(raw: readonly Buffer[]): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  let connection: string | undefined;
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = text(raw[i]).toLowerCase();
    const value = text(raw[i + 1]);
    if (name === 'connection') connection = connection === undefined ? value : `${connection},${value}`;
    if (!perConnection.has(name)) add(headers, name, value);
  }
  if (headers['trailer'] !== undefined && headers['content-length'] !== undefined) delete headers['trailer'];
  for (const name of namedIn(connection)) delete headers[name];
  return headers;
}

/** undici's raw header list, names in lower case; a name that comes more than once becomes a list. */
export function fromRawHeaders(raw: readonly (Buffer | string)[]): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (let i = 0; i + 1 < raw.length; i += 2) {
    add(headers, text(raw[i]).toLowerCase(), text(raw[i + 1]));
  }
  return headers;
}

function add(headers: Record<string, string | string[]>, name: string, value: string): void {
  const present = headers[name];
  if (present === undefined) headers[name] = value;
  else if (typeof present === 'string') headers[name] = [present, value];
  else present.push(value);
}

function text(part: Buffer | string | undefined): string {
  return typeof part === 'string' ? part : (part?.toString('latin1') ?? '');
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
