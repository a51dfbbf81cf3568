// A decoded header block as a request, or why it is none (RFC 9113 section 8): malformed requests end with their stream, and
// nothing of them goes on.
import { HeaderMap } from '../../../runtime/headers.ts';
import type { Headers } from '../../types.ts';
import { addRequestHeader, isDroppedHeader } from '../request-head.ts';
import type { Field } from '../../http2/hpack-decoder.ts';

export interface RequestHead {
  readonly method: string;
  /** Undefined for CONNECT, which has none. */
  readonly target: string | undefined;
  readonly headers: Headers;
  /** As stated. */
  readonly contentLength: number | undefined;
  readonly expectsContinue: boolean;
}

/** Headers of a connection, which HTTP/2 does not have (8.2.2). */
const forbidden = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Undefined for what is malformed. */
export function requestHead(fields: readonly Field[]): RequestHead | undefined {
  const pseudo = { ':method': '', ':scheme': '', ':path': '', ':authority': '' };
  const headers = new HeaderMap() as Record<string, string | string[]>;
  let pseudoSeen = 0;
  let regularSeen = false;
  let contentLength: string | undefined;
  let expectsContinue = false;
  for (const { name, value, valid } of fields) {
    if (!valid) return undefined;
    if (name.charCodeAt(0) === 0x3a) {
      const bit = pseudoBits[name];
      // Unknown, a second time, or behind the others: two readers could take different ones.
      if (bit === undefined || (pseudoSeen & bit) !== 0 || regularSeen) return undefined;
      pseudoSeen |= bit;
      pseudo[name as keyof typeof pseudo] = value;
      continue;
    }
    regularSeen = true;
    if (forbidden.has(name) || (name === 'te' && value !== 'trailers')) return undefined;
    if (name === 'content-length') {
      if (contentLength !== undefined || !/^\d{1,15}$/.test(value)) return undefined;
      contentLength = value;
    } else if (name === 'expect') expectsContinue = value.toLowerCase() === '100-continue';
    if (!isDroppedHeader(name)) addRequestHeader(headers, name, value);
  }
  const method = pseudo[':method'];
  if (!token.test(method)) return undefined;
  const isConnect = method === 'CONNECT';
  // CONNECT names an authority and nothing else; all others a scheme and a path.
  const wanted = isConnect ? pseudoBits[':method']! | pseudoBits[':authority']! : required;
  if (isConnect ? pseudoSeen !== wanted : (pseudoSeen & wanted) !== wanted) return undefined;
  const target = isConnect ? undefined : pseudo[':path'];
  if (target === '') return undefined;
  return {
    method,
    target,
    headers,
    contentLength: contentLength === undefined ? undefined : Number(contentLength),
    expectsContinue,
  };
}

const pseudoBits: Readonly<Record<string, number>> = { ':method': 1, ':scheme': 2, ':path': 4, ':authority': 8 };
const required = 1 | 2 | 4;

/** Fields behind a body: without those that only a head may have. Whether they may stand there; their content goes no further. */
export function areTrailers(fields: readonly Field[]): boolean {
  return fields.every(({ name, valid }) => valid && name.charCodeAt(0) !== 0x3a && !forbidden.has(name));
}
