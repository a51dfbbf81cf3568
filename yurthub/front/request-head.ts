// What of a client's request head may go on: a pure look at method, target and headers before anything else sees them.
import { connectionHeaders, HeaderMap } from '../../runtime/headers.ts';
import type { Headers } from '../types.ts';

export type HeadRefusal = {
  readonly reason: 'BadRequest' | 'MethodNotAllowed';
  readonly message: string;
};

/** Headers that concern one connection only, and those that the way upstream writes itself. */
const hopByHop = new Set([...connectionHeaders, 'expect', 'host', 'http2-settings']);

/**
 * The headers of a request from node's flat list of names and values, names in lower case, without pseudo headers,
 * hop-by-hop headers and what Connection names. `X-Remote-*` goes too: an identity never comes from a header.
 * Repeated headers stay apart, since Impersonate-Group may not be joined by commas.
 */
export function requestHeaders(raw: readonly string[]): Headers {
  const headers = new HeaderMap() as Record<string, string | string[]>;
  let connection = '';
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = (raw[at] as string).toLowerCase();
    const value = raw[at + 1] as string;
    if (name === 'connection') connection += `,${value}`;
    if (!isDroppedHeader(name)) addRequestHeader(headers, name, value);
  }
  if (connection !== '') for (const name of connection.split(',')) delete headers[name.trim().toLowerCase()];
  return headers;
}

/** Whether a header of a request goes no further, whatever it says. The name is in lower case. */
export function isDroppedHeader(name: string): boolean {
  return name.charCodeAt(0) === 0x3a || hopByHop.has(name) || name.startsWith('x-remote-');
}

export function addRequestHeader(headers: Record<string, string | string[]>, name: string, value: string): void {
  const before = headers[name];
  if (before === undefined) headers[name] = value;
  else if (name === 'cookie' && typeof before === 'string') headers[name] = `${before}; ${value}`;
  else if (typeof before === 'string') headers[name] = [before, value];
  else before.push(value);
}

/** Whether a header of an answer concerns one connection only: HTTP/2 forbids it, HTTP/1.1 writes its own. */
export function isConnectionHeader(name: string): boolean {
  return name.charCodeAt(0) === 0x3a || hopByHop.has(name);
}

/** Headers of an answer without those that concern one connection. */
export function responseHeaders(headers: Headers): Record<string, string | string[]> {
  const kept: Record<string, string | string[]> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || isConnectionHeader(name)) continue;
    kept[name] = value as string | string[];
  }
  return kept;
}

/** Visible ASCII without '#': anything else has no place in a request target (RFC 9112 3.2.1, RFC 3986). */
const originForm = /^\/[\x21\x22\x24-\x7e]*$/;
/** %2F, %00–%1F and %7F. */
const encodedTrick = /%(?:2f|[01][0-9a-f]|7f)/i;

const single = ['authorization', 'content-length', 'content-type'] as const;

/** Why this request must go no further; undefined when it may. */
export function refuseHead(method: string, target: string | undefined, headers: Headers): HeadRefusal | undefined {
  if (method === 'CONNECT' || method === 'TRACE')
    return { reason: 'MethodNotAllowed', message: `the hub does not serve ${method}` };
  if (target === undefined || !originForm.test(target))
    return {
      reason: 'BadRequest',
      message: 'the request head is malformed: the target must be a path of visible ASCII characters',
    };
  // The API server cuts the decoded path, the hub the encoded one: a path that the two could read differently could be
  // answered from another object than the one the API server would have judged. Behind /proxy/ the path is another program's.
  const query = target.indexOf('?');
  const path = query < 0 ? target : target.slice(0, query);
  const proxy = path.indexOf('/proxy/');
  if (path.includes('%') && encodedTrick.test(proxy < 0 ? path : path.slice(0, proxy)))
    return { reason: 'BadRequest', message: 'the path contains an encoded slash or control character' };
  // Which of two would count depends on who reads them.
  for (const name of single)
    if (typeof headers[name] === 'object') return { reason: 'BadRequest', message: `more than one ${name} header` };
  return undefined;
}
