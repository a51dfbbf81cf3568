// Upgraded connections (exec, attach, port-forward; SPDY/3.1 by POST, WebSocket by GET): the head is written anew for the API
// server, then the two TLS connections are spliced, with half-close, aborts and backpressure carried through both ways.
import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { failure, type StatusError } from '../../kube/status.ts';
import type { Lane } from '../types.ts';
import { requestHeaders } from './request-head.ts';
import { statusBody } from './status-answer.ts';

/** A fresh TLS connection to an API server, ALPN http/1.1. Rejects when none can be reached. */
export type DialRaw = (lane: Lane, signal: AbortSignal) => Promise<TLSSocket>;

export interface UpgradeRequest {
  readonly request: IncomingMessage;
  readonly client: TLSSocket;
  /** What came behind the head already. */
  readonly head: Buffer;
  readonly lane: Lane;
}

/** How long the API server may take to answer the head, milliseconds. It opens the way to the node's kubelet meanwhile. */
const answerMs = 60_000;

/** Settles when both connections are closed; gives the status that the client got, 0 when none. Never rejects. */
export async function spliceUpgrade(
  { request, client, head, lane }: UpgradeRequest,
  dialRaw: DialRaw,
  signal: AbortSignal,
): Promise<number> {
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  client.on('error', stop);
  client.on('close', stop);
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted || client.destroyed) stop();
  try {
    if (carriesBody(request)) return refuse(client, failure('BadRequest', 'an upgrade request must not have a body'));
    let upstream: TLSSocket;
    try {
      upstream = await dialRaw(lane, abort.signal);
    } catch {
      return refuse(client, failure('ServiceUnavailable', 'no API server can be reached for this connection', 1));
    }
    if (abort.signal.aborted) {
      upstream.destroy();
      return 0;
    }
    return await exchange(request, client, head, upstream, lane, abort.signal);
  } finally {
    signal.removeEventListener('abort', stop);
    client.off('close', stop);
    if (signal.aborted) client.destroy();
  }
}

function carriesBody(request: IncomingMessage): boolean {
  return request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
}

function exchange(
  request: IncomingMessage,
  client: TLSSocket,
  head: Buffer,
  upstream: TLSSocket,
  lane: Lane,
  signal: AbortSignal,
): Promise<number> {
  return new Promise((resolve) => {
    let status = 0;
    upstream.on('error', () => undefined);
    upstream.on('close', () => {
      outgoing.destroy();
      if (status === 0 && !client.destroyed)
        status = refuse(client, failure('ServiceUnavailable', 'the API server closed the connection', 1));
      if (client.destroyed) resolve(status);
      else client.on('close', () => resolve(status));
    });
    signal.addEventListener('abort', () => upstream.destroy(), { once: true });

    // Node's own client writes the head: it refuses line breaks in names and values, and reads the answer's head strictly.
    const outgoing = httpRequest({
      method: request.method ?? 'GET',
      path: request.url ?? '/',
      headers: upgradeHeaders(request, upstream, lane),
      createConnection: () => upstream,
      timeout: answerMs,
      maxHeaderSize: 64 * 1024,
    });
    outgoing.on('error', () => upstream.destroy());
    outgoing.on('timeout', () => upstream.destroy());
    outgoing.on('upgrade', (answer, _socket, rest) => {
      status = 101;
      upstream.setTimeout(0);
      client.write(answerHead(answer, 'upgrade'), 'latin1');
      if (rest.length > 0) client.write(rest);
      if (head.length > 0) upstream.write(head);
      splice(client, upstream);
    });
    outgoing.on('response', (answer) => {
      // Refused. The connection ends with this answer, so that nothing more can be sent along it unseen.
      status = answer.statusCode ?? 502;
      client.write(answerHead(answer, 'close'), 'latin1');
      answer.on('error', () => client.destroy());
      answer.on('end', () => upstream.destroy());
      answer.pipe(client);
      // What the client still sends is of no use to anyone.
      client.resume();
    });
    outgoing.end();
  });
}

function upgradeHeaders(request: IncomingMessage, upstream: TLSSocket, lane: Lane): Record<string, string | string[]> {
  const headers = { ...requestHeaders(request.rawHeaders) } as Record<string, string | string[]>;
  if (lane === 'node') delete headers['authorization'];
  headers['host'] = authority(upstream);
  headers['connection'] = 'Upgrade';
  headers['upgrade'] = request.headers.upgrade ?? '';
  return headers;
}

/** The API server as it was dialled: by the name that TLS was told, otherwise by address. */
function authority(upstream: TLSSocket): string {
  const { servername } = upstream as TLSSocket & { servername?: string | false | null };
  const address = upstream.remoteAddress ?? '';
  const host =
    typeof servername === 'string' && servername !== '' ? servername : address.includes(':') ? `[${address}]` : address;
  return `${host}:${upstream.remotePort ?? 443}`;
}

function answerHead(answer: IncomingMessage, connection: 'upgrade' | 'close'): string {
  let text = `HTTP/1.1 ${answer.statusCode ?? 502} ${answer.statusMessage ?? ''}\r\n`;
  const raw = answer.rawHeaders;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = (raw[at] as string).toLowerCase();
    if (connection === 'close' && /^(?:connection|keep-alive|transfer-encoding|upgrade)$/.test(name)) continue;
    text += `${raw[at]}: ${raw[at + 1]}\r\n`;
  }
  return `${text}${connection === 'close' ? 'Connection: close\r\n' : ''}\r\n`;
}

/** Joins two connections: an end of one side ends the other's writing only, a failure of one ends both. */
function splice(client: TLSSocket, upstream: TLSSocket): void {
  for (const [from, to] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    from.allowHalfOpen = true;
    from.setNoDelay(true);
    // A peer that vanishes without a word would hold both connections for ever.
    from.setKeepAlive(true, 30_000);
    from.pipe(to);
    from.on('close', () => closeOther(from, to));
  }
}

function closeOther(closed: Duplex, other: Duplex): void {
  // After an orderly end the other side still has bytes to deliver.
  if (closed.readableEnded && closed.writableFinished) return;
  other.destroy();
}

/** Writes a Status on the bare connection and closes it. */
export function refuse(client: TLSSocket, error: StatusError): number {
  if (client.destroyed) return error.code;
  const { headers, body } = statusBody(error);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  client.end(
    `HTTP/1.1 ${error.code} ${String(error.status['reason'])}\r\n${lines.join('')}connection: close\r\n\r\n${body.toString()}`,
  );
  // A client that does not read its refusal must not keep the connection.
  client.resume();
  client.setTimeout(5_000, () => client.destroy());
  return error.code;
}
