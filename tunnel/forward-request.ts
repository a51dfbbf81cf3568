// A proxy's other half: requests for http://…, which clients such as Prometheus do not tunnel but hand over whole (RFC 9112
// section 3.2.2). One connection for each, so that nobody gets what was meant for somebody else.
import http, { type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { connectionHeaders } from '../runtime/headers.ts';
import { headerText, RefusedError } from './refusal.ts';

/** A connection to an authority; rejects with RefusedError, or when `gone` aborts. */
export type OpenConnection = (authority: string, gone: AbortSignal) => Promise<Duplex>;

const ownHeaders = new Set(connectionHeaders);

/** Resolves when the exchange is over; never rejects. */
export async function forwardRequest(
  request: IncomingMessage,
  response: ServerResponse,
  open: OpenConnection,
): Promise<void> {
  const over = new Promise<void>((resolve) => void response.once('close', resolve));
  response.on('error', () => undefined);
  const url = URL.parse(request.url ?? '');
  if (url === null || url.protocol !== 'http:' || url.hostname === '') {
    answer(response, 405, 'only CONNECT, and requests for http://HOST[:PORT]/…', { allow: 'CONNECT' });
    return await over;
  }
  const gone = new AbortController();
  void over.then(() => gone.abort());
  let connection: Duplex;
  try {
    connection = await open(`${url.hostname}:${url.port === '' ? 80 : url.port}`, gone.signal);
  } catch (error) {
    if (!(error instanceof RefusedError)) response.destroy();
    else {
      const challenge = error.reason === 'unauthenticated' ? { 'proxy-authenticate': ['Bearer', 'Basic'] } : {};
      answer(response, error.status, error.message, { 'holdfast-reason': error.reason, ...challenge });
    }
    return await over;
  }
  connection.on('error', () => undefined);
  void over.then(() => connection.destroy());
  const onward = http.request({
    createConnection: () => connection,
    method: request.method ?? 'GET',
    path: `${url.pathname}${url.search}`,
    headers: { ...passedOn(request.headers), host: url.host, connection: 'close' },
  });
  onward.on('error', () => {
    if (response.headersSent) response.destroy();
    else answer(response, 502, `${url.host}: the connection broke before an answer`, {});
  });
  onward.on('response', (reply) => {
    response.writeHead(reply.statusCode ?? 502, passedOn(reply.headers));
    reply.pipe(response);
    // A reply that breaks off must not look whole.
    reply.on('error', () => response.destroy());
    reply.on('aborted', () => response.destroy());
  });
  request.pipe(onward);
  await over;
}

function passedOn(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const named = new Set((headers.connection ?? '').toLowerCase().split(/[\s,]+/));
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !ownHeaders.has(name) && !named.has(name)));
}

function answer(response: ServerResponse, status: number, text: string, headers: http.OutgoingHttpHeaders): void {
  if (response.destroyed) return;
  const line = headerText(text);
  response.writeHead(status, line, { 'content-type': 'text/plain', connection: 'close', ...headers });
  response.end(`${line}\n`);
}
