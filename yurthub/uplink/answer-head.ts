// The head of an HTTP/1.1 answer, read strictly: whatever two readers could understand in two ways is refused, so that no
// bytes of one answer are ever taken for another (RFC 9112). It runs for every request, hence one pass and few objects.
import { HeaderMap } from '../../runtime/headers.ts';
import { perConnection } from './headers.ts';

/** What an API server sent is no HTTP/1.1 answer, or one of doubtful length. */
export class AnswerSyntaxError extends Error {
  readonly code = 'ERR_ANSWER_SYNTAX';

  constructor(message: string) {
    super(`the answer is malformed: ${message}`);
    this.name = 'AnswerSyntaxError';
  }
}

export interface AnswerHead {
  readonly statusCode: number;
  /** Without those that concern the connection. */
  readonly headers: Record<string, string | string[]>;
  /** As stated; undefined where nothing is. Never together with `chunked`. */
  readonly contentLength: number | undefined;
  readonly chunked: boolean;
  /** Another request may follow on the connection. */
  readonly persistent: boolean;
  /** How long the server says that it keeps an idle connection, seconds. */
  readonly keepAliveSeconds: number | undefined;
}

interface FieldName {
  readonly name: string;
  /** Of those with a meaning here, '' for all others. */
  readonly role: '' | 'content-length' | 'transfer-encoding' | 'connection' | 'keep-alive' | 'dropped';
}

const roles: Readonly<Record<string, FieldName['role']>> = {
  'content-length': 'content-length',
  'transfer-encoding': 'transfer-encoding',
  connection: 'connection',
  'keep-alive': 'keep-alive',
};

const statusLine = /^HTTP\/1\.[01] [1-5]\d\d(?: |\r|$)/;
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Control characters, and line breaks that are not CRLF. */
const forbidden = /[^\t\r\n\x20-\x7e\x80-\xff]|\r(?!\n)|[^\r]\n/;
const maxNames = 256;

/** Field names as they were seen before: checked and in lower case. An API server uses two dozen. */
export class FieldNames {
  readonly #known = new Map<string, FieldName>();

  /** Throws AnswerSyntaxError for what is no name; so white space before the colon and folded lines are refused. */
  of(raw: string): FieldName {
    return this.#known.get(raw) ?? this.#learn(raw);
  }

  #learn(raw: string): FieldName {
    if (!token.test(raw)) throw new AnswerSyntaxError('a field has no valid name');
    const name = raw.toLowerCase();
    const role = roles[name] ?? (perConnection.has(name) ? 'dropped' : '');
    const learnt: FieldName = { name, role };
    // A copy: the key must not hold on to the head that it was cut from.
    if (this.#known.size < maxNames) this.#known.set(Buffer.from(raw, 'latin1').toString('latin1'), learnt);
    return learnt;
  }
}

/** `text`: status line and fields, without the empty line that ends them. Throws AnswerSyntaxError. */
export function parseAnswerHead(text: string, names: FieldNames): AnswerHead {
  if (forbidden.test(text)) throw new AnswerSyntaxError('the head holds a control character');
  const lineEnd = endOfLine(text, 0);
  if (!statusLine.test(text)) throw new AnswerSyntaxError('the status line is not one of HTTP/1.1');
  const minor = text.charCodeAt(7) - 0x30;
  const statusCode = Number(text.slice(9, 12));
  const headers = new HeaderMap() as Record<string, string | string[]>;
  let length: string | undefined;
  let coding: string | undefined;
  let connection: string | undefined;
  let keepAlive: string | undefined;
  for (let at = lineEnd + 2; at < text.length;) {
    const end = endOfLine(text, at);
    const colon = text.indexOf(':', at);
    if (colon < 0 || colon > end) throw new AnswerSyntaxError('a field has no colon');
    const { name, role } = names.of(text.slice(at, colon));
    const value = trimmed(text, colon + 1, end);
    at = end + 2;
    switch (role) {
      case 'content-length':
        if (length !== undefined) throw new AnswerSyntaxError('more than one Content-Length');
        length = value;
        break;
      case 'transfer-encoding':
        if (coding !== undefined) throw new AnswerSyntaxError('more than one Transfer-Encoding');
        coding = value;
        continue;
      case 'connection':
        connection = connection === undefined ? value : `${connection},${value}`;
        continue;
      case 'keep-alive':
        keepAlive = value;
        continue;
      case 'dropped':
        continue;
      case '':
        break;
    }
    addField(headers, name, value);
  }
  if (coding !== undefined && (coding.toLowerCase() !== 'chunked' || minor === 0 || length !== undefined))
    throw new AnswerSyntaxError('a Transfer-Encoding other than chunked, or beside a Content-Length');
  if (length !== undefined && !/^\d{1,15}$/.test(length)) throw new AnswerSyntaxError('Content-Length is no number');
  // Trailers can follow only where there is no length.
  if (length !== undefined && headers['trailer'] !== undefined) delete headers['trailer'];
  return {
    statusCode,
    headers,
    contentLength: length === undefined ? undefined : Number(length),
    chunked: coding !== undefined,
    persistent: minor === 1 && (connection === undefined || !dropNamed(headers, connection)),
    keepAliveSeconds: keepAlive === undefined ? undefined : timeoutOf(keepAlive),
  };
}

/** A field of a trailer section, without the line break. Throws AnswerSyntaxError. */
export function parseTrailer(line: string, names: FieldNames, into: Record<string, string | string[]>): void {
  const colon = line.indexOf(':');
  if (colon < 0 || forbidden.test(line)) throw new AnswerSyntaxError('a trailer is no field');
  const { name, role } = names.of(line.slice(0, colon));
  // What says where a message ends has no meaning behind it (RFC 9110 6.5.1).
  if (role === '') addField(into, name, trimmed(line, colon + 1, line.length));
}

/** Removes what Connection names; returns whether it says close. */
function dropNamed(headers: Record<string, string | string[]>, connection: string): boolean {
  let close = false;
  for (const named of connection.split(',')) {
    const name = named.trim().toLowerCase();
    if (name === 'close') close = true;
    if (headers[name] !== undefined) delete headers[name];
  }
  return close;
}

function addField(headers: Record<string, string | string[]>, name: string, value: string): void {
  const before = headers[name];
  if (before === undefined) headers[name] = value;
  else if (typeof before === 'string') headers[name] = [before, value];
  else before.push(value);
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\r\n', from);
  return end < 0 ? text.length : end;
}

function trimmed(text: string, from: number, to: number): string {
  while (from < to && isBlank(text.charCodeAt(from))) from += 1;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function timeoutOf(keepAlive: string): number | undefined {
  const seconds = /(?:^|[,;\s])timeout=(\d{1,6})/i.exec(keepAlive)?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}
