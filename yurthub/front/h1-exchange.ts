// HTTP/1.1 as an Exchange, on node's IncomingMessage and ServerResponse.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Headers } from '../types.ts';
import { ClientSignal, isBodyless, type Exchange, type ExchangeHooks, type ExchangeResponse } from './exchange.ts';
import { RequestBody } from './request-body.ts';
import { requestHeaders, responseHeaders } from './request-head.ts';
import { SendQueue } from './send-queue.ts';

export class H1Exchange implements Exchange {
  readonly protocol = 'h1';
  readonly method: string;
  readonly target: string | undefined;
  readonly headers: Headers;
  readonly body: RequestBody | null;
  readonly socket: TLSSocket;
  readonly response: H1Response;
  readonly client = new ClientSignal();

  constructor(request: IncomingMessage, response: ServerResponse, hooks: ExchangeHooks) {
    const method = request.method ?? '';
    const coding = request.headers['transfer-encoding'];
    const hasBody =
      method !== 'GET' &&
      method !== 'HEAD' &&
      (coding !== undefined || Number(request.headers['content-length'] ?? 0) > 0);
    const headers = requestHeaders(request.rawHeaders) as Record<string, string | string[]>;
    if (!hasBody && headers['content-length'] !== undefined) delete headers['content-length'];
    this.method = method;
    // Node finds fault with an unknown transfer coding only after it has announced the request: such a one has no target.
    this.target = coding === undefined || /^(?:chunked)?$/i.test(coding) ? request.url : undefined;
    this.headers = headers;
    this.body = hasBody ? new RequestBody(request) : null;
    this.socket = request.socket as TLSSocket;
    const answer = new H1Response(response, method);
    this.response = answer;
    response.on('close', () => {
      const aborted = !response.writableFinished;
      answer.closed();
      if (aborted) this.client.abort();
      hooks.closed(aborted);
    });
    // Reported by 'close' too; without a listener it would end the process.
    response.on('error', ignore);
    request.on('error', ignore);
  }

  endWatch(): void {
    if (this.response.headSent) this.response.end();
    else this.response.abort();
    this.client.abort();
  }
}

function ignore(): void {
  // Nobody to tell.
}

class H1Response implements ExchangeResponse {
  readonly #response: ServerResponse;
  readonly #queue: SendQueue;
  readonly #method: string;
  #bodyless = false;
  #ended = false;
  #trailers: Headers | undefined;
  statusCode = 0;

  constructor(response: ServerResponse, method: string) {
    this.#response = response;
    this.#method = method;
    this.#queue = new SendQueue({
      write: (chunk, done) => response.write(chunk, done),
      end: (chunk) => {
        if (this.#trailers !== undefined && response.chunkedEncoding)
          response.addTrailers(responseHeaders(this.#trailers));
        response.end(chunk);
      },
    });
  }

  get headSent(): boolean {
    return this.statusCode !== 0;
  }

  get queuedBytes(): number {
    return this.#queue.queuedBytes;
  }

  get pendingProgress(): number | undefined {
    const waiting = this.#queue.queuedBytes > 0 || (this.#ended && !this.#response.writableFinished);
    return waiting && !this.#response.destroyed ? this.#queue.progress : undefined;
  }

  interim(statusCode: number, headers: Headers): void {
    // Node has answered "Expect: 100-continue" itself, and a pipelined request has no socket yet.
    const socket = this.#response.socket;
    if (statusCode === 100 || this.headSent || socket === null || socket.destroyed) return;
    let text = `HTTP/1.1 ${statusCode} Interim\r\n`;
    for (const [name, value] of Object.entries(responseHeaders(headers)))
      for (const one of typeof value === 'string' ? [value] : value)
        // Never a line break from a value: it would be a header, or an answer, of its own.
        if (!/[^\t\x20-\x7e\x80-\xff]/.test(name + one)) text += `${name}: ${one}\r\n`;
    socket.write(`${text}\r\n`, 'latin1');
  }

  head(statusCode: number, headers: Headers): void {
    if (this.headSent) throw new TypeError('a head was sent before');
    this.statusCode = statusCode;
    this.#bodyless = isBodyless(this.#method, statusCode);
    if (this.#response.destroyed) return;
    this.#response.writeHead(statusCode, responseHeaders(headers));
    // A watch may be silent for minutes: its head must not wait for the first event. Small answers go out in one piece.
    setImmediate(() => {
      if (!this.#response.writableEnded && !this.#response.destroyed) this.#response.flushHeaders();
    });
  }

  write(chunk: Buffer): boolean {
    if (!this.headSent) throw new TypeError('no head was sent before the body');
    return this.#bodyless || this.#response.destroyed ? true : this.#queue.write(chunk);
  }

  onDrain(listener: () => void): void {
    this.#queue.onDrain(listener);
  }

  end(chunk?: Buffer, trailers?: Headers): void {
    if (!this.headSent) throw new TypeError('no head was sent before the end');
    if (this.#ended) return;
    this.#ended = true;
    this.#trailers = trailers;
    this.#queue.end(this.#bodyless ? undefined : chunk);
  }

  abort(): void {
    this.#ended = true;
    this.#queue.close();
    // The whole connection: HTTP/1.1 has no other way to say that an answer is not complete.
    this.#response.destroy();
  }

  closed(): void {
    this.#queue.close();
  }
}
