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
const neverForwarded = new Set(['expect', 'host']);

/** Request headers as they go upstream: without per-connection ones, those named in Connection, Host and Expect. */
export function requestHeaders(headers: Headers): Record<string, string | string[]> {
  return strip(headers, neverForwarded);
}

/** Response headers as they go to the client. Trailer is kept only where trailers can follow: without a length. */
export function responseHeaders(
  headers: Readonly<NodeJS.Dict<string | readonly string[]>>,
): Record<string, string | string[]> {
  return strip(headers, 'content-length' in headers ? new Set(['trailer']) : new Set());
}

/** undici's raw header list, names in lower case; a name that comes more than once becomes a list. */
export function fromRawHeaders(raw: readonly (Buffer | string)[]): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = text(raw[i]).toLowerCase();
    const value = text(raw[i + 1]);
    const present = headers[name];
    if (present === undefined) headers[name] = value;
    else if (typeof present === 'string') headers[name] = [present, value];
    else present.push(value);
  }
  return headers;
}

function text(part: Buffer | string | undefined): string {
  return typeof part === 'string' ? part : (part?.toString('latin1') ?? '');
}

function strip(
  headers: Readonly<NodeJS.Dict<string | readonly string[]>>,
  also: ReadonlySet<string>,
): Record<string, string | string[]> {
  const named = new Set<string>();
  for (const value of [headers['connection']].flat())
    for (const name of value?.split(',') ?? []) named.add(name.trim().toLowerCase());
  const kept: Record<string, string | string[]> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || name.startsWith(':')) continue;
    if (perConnection.has(name) || also.has(name) || named.has(name)) continue;
    kept[name] = typeof value === 'string' ? value : [...value];
  }
  return kept;
}
