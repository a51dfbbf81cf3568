// The fields of a request over HTTP/2, and which of them both ends remember.
import type { Headers } from '../types.ts';
import type { OutgoingField } from '../http2/hpack-encoder.ts';
import { requestHeaders } from './headers.ts';

export interface SessionRequest {
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly headers: Headers;
  readonly body: Buffer | undefined;
}

export function requestFields({ method, target, authority, headers, body }: SessionRequest): OutgoingField[] {
  const fields: OutgoingField[] = [
    [':method', method, 'remembered'],
    [':scheme', 'https', 'remembered'],
    [':authority', authority, 'remembered'],
    // A write that goes over a session is a Lease that is renewed again and again; paths of lists and watches differ.
    [':path', target, body === undefined ? 'once' : 'remembered'],
  ];
  const kept = requestHeaders(headers);
  for (const name in kept) {
    const value = kept[name] as string | string[];
    if (name === 'content-length') continue;
    const kind = name === 'authorization' || name === 'cookie' ? 'secret' : 'remembered';
    for (const one of typeof value === 'string' ? [value] : value) fields.push([name, one, kind]);
  }
  if (body !== undefined) fields.push(['content-length', String(body.length), 'once']);
  return fields;
}
