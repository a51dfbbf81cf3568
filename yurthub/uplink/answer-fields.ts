// A decoded header block of an answer over HTTP/2, or why it is none (RFC 9113 section 8): what is malformed ends its stream, and
// nothing of it reaches a client.
import { HeaderMap } from '../../runtime/headers.ts';
import type { Field } from '../http2/hpack-decoder.ts';
import { perConnection } from './headers.ts';

export interface AnswerFields {
  readonly statusCode: number;
  /** Without those that concern one connection. */
  readonly headers: Record<string, string | string[]>;
  /** As stated. */
  readonly contentLength: number | undefined;
}

/** Undefined for what is malformed. */
export function answerFields(fields: readonly Field[]): AnswerFields | undefined {
  const [status, ...others] = fields;
  if (status?.name !== ':status' || !status.valid || !/^[1-5]\d\d$/.test(status.value)) return undefined;
  const headers = headersOf(others);
  if (headers === undefined) return undefined;
  const length = headers['content-length'];
  if (length !== undefined) {
    if (typeof length !== 'string' || !/^\d{1,15}$/.test(length)) return undefined;
    // Trailers can follow only where there is no length.
    delete headers['trailer'];
  }
  const contentLength = length === undefined ? undefined : Number(length);
  return { statusCode: Number(status.value), headers, contentLength };
}

/** Fields behind a body. Undefined for what is malformed. */
export function trailerFields(fields: readonly Field[]): Record<string, string | string[]> | undefined {
  return headersOf(fields);
}

function headersOf(fields: readonly Field[]): Record<string, string | string[]> | undefined {
  const headers = new HeaderMap() as Record<string, string | string[]>;
  for (const { name, value, valid } of fields) {
    if (!valid || name.charCodeAt(0) === 0x3a) return undefined;
    if (perConnection.has(name)) continue;
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (typeof before === 'string') headers[name] = [before, value];
    else before.push(value);
  }
  return headers;
}
