// The head of a plain HTTP/1.1 request, as nearly all of a node's clients send it: a GET without a body, in one piece. Read
// strictly, and whatever is not exactly that is left alone: node's own parser gets it, from its first byte, and judges it.
import { HeaderMap } from '../../../runtime/headers.ts';
import type { Headers } from '../../types.ts';
import { addRequestHeader, isDroppedHeader } from '../request-head.ts';

export interface PlainHead {
  readonly method: 'GET' | 'HEAD';
  /** As it came: visible ASCII that begins with a slash. */
  readonly target: string;
  /** As `requestHeaders` gives them. */
  readonly headers: Headers;
}

/** What a field means for the question whether a request is plain. */
type Role = 'kept' | 'dropped' | 'host' | 'connection' | 'unusual';

interface FieldName {
  readonly name: string;
  readonly role: Role;
}

/** Where these stand, a request has a body, or wants something of its connection: none of that is plain. */
const unusual = new Set([
  'content-length',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const requestLine = /^(GET|HEAD) (\/[\x21\x22\x24-\x7e]*) HTTP\/1\.1(?:\r\n|$)/;
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Control characters, and line breaks that are not CRLF. */
const forbidden = /[^\t\r\n\x20-\x7e\x80-\xff]|\r(?!\n)|(?<!\r)\n/;
const maxNames = 256;

/** Field names as they were seen before: checked and in lower case. Nothing else about requests is remembered. */
export class RequestFieldNames {
  readonly #known = new Map<string, FieldName>();

  /** Undefined for what is no name: so white space before a colon, and folded lines, are not plain. */
  of(raw: string): FieldName | undefined {
    return this.#known.get(raw) ?? this.#learn(raw);
  }

  #learn(raw: string): FieldName | undefined {
    if (!token.test(raw)) return undefined;
    const name = raw.toLowerCase();
    const learnt: FieldName = { name, role: roleOf(name) };
    // A copy: the key must not hold on to the head that it was cut from.
    if (this.#known.size < maxNames) this.#known.set(Buffer.from(raw, 'latin1').toString('latin1'), learnt);
    return learnt;
  }
}

function roleOf(name: string): Role {
  if (name === 'host' || name === 'connection') return name;
  if (unusual.has(name)) return 'unusual';
  return isDroppedHeader(name) ? 'dropped' : 'kept';
}

/** `text`: request line and fields, without the empty line that ends them. Undefined for what is not plain. */
export function plainHead(text: string, names: RequestFieldNames): PlainHead | undefined {
  const line = requestLine.exec(text);
  if (line === null || forbidden.test(text)) return undefined;
  const headers = new HeaderMap() as Record<string, string | string[]>;
  let hosts = 0;
  for (let at = line[0].length; at < text.length;) {
    const lineEnd = text.indexOf('\r\n', at);
    const end = lineEnd < 0 ? text.length : lineEnd;
    const colon = text.indexOf(':', at);
    if (colon < 0 || colon > end) return undefined;
    const field = names.of(text.slice(at, colon));
    if (field === undefined || field.role === 'unusual') return undefined;
    const value = trimmed(text, colon + 1, end);
    if (field.role === 'host') hosts += 1;
    else if (field.role === 'kept') addRequestHeader(headers, field.name, value);
    // To keep the connection is what happens anyway; all else that it can say is not plain.
    else if (field.role === 'connection' && value.toLowerCase() !== 'keep-alive') return undefined;
    at = end + 2;
  }
  // None, or a second one, is refused by node's parser.
  if (hosts !== 1) return undefined;
  return { method: line[1] as PlainHead['method'], target: line[2] as string, headers };
}

function trimmed(text: string, from: number, to: number): string {
  while (from < to && isBlank(text.charCodeAt(from))) from += 1;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
