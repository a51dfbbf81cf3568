// HTTP/2 as an Exchange, on node's core streams. The compatibility API is not used: there a reset by the client looks like a
// finished answer, and every abandoned watch would live on.
import { constants, type Http2Session, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { Headers } from '../types.ts';
import { ClientSignal, isBodyless, type Exchange, type ExchangeHooks, type ExchangeResponse } from './exchange.ts';
import { RequestBody } from './request-body.ts';
import { flatAnswerHead, requestHeaders, responseHeaders } from './request-head.ts';
import { maxPieceBytes, SendQueue } from './send-queue.ts';

export class H2Exchange implements Exchange {
  readonly protocol = 'h2';
  readonly method: string;
  readonly target: string | undefined;
  readonly headers: Headers;
  readonly body: RequestBody | null;
  readonly socket: TLSSocket;
  readonly response: H2Response;
  readonly client = new ClientSignal();

  constructor(
    stream: ServerHttp2Stream,
    pseudo: IncomingHttpHeaders,
    rawHeaders: readonly string[],
    socket: TLSSocket,
    hooks: ExchangeHooks,
  ) {
    const method = pseudo[':method'] as string;
    const hasBody = method !== 'GET' && method !== 'HEAD' && !stream.endAfterHeaders;
    const headers = requestHeaders(rawHeaders) as Record<string, string | string[]>;
    if (!hasBody && headers['content-length'] !== undefined) delete headers['content-length'];
    this.method = method;
    this.target = pseudo[':path'];
    this.headers = headers;
    this.body = hasBody ? new RequestBody(stream) : null;
    this.socket = socket;
    const answer = new H2Response(stream, method);
    this.response = answer;
    stream.on('aborted', () => {
      answer.closed();
      this.client.abort();
    });
    stream.on('close', () => {
      const aborted = !answer.complete;
      answer.closed();
      if (aborted) this.client.abort();
      hooks.closed(aborted);
    });
    // Reported by 'close' too; without a listener it would end the process.
    stream.on('error', ignore);
    stream.on('finish', () => {
      if (stream.readableEnded || stream.destroyed) return;
      // The answer is out, so nobody reads the rest of the upload. Unread data would keep the stream from ever closing.
      this.body?.detach();
      if (!answer.expectsTrailers) stream.close(constants.NGHTTP2_NO_ERROR);
      stream.resume();
    });
    if (pseudo.expect === '100-continue' && hasBody) stream.additionalHeaders({ ':status': 100 });
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

class H2Response implements ExchangeResponse {
  readonly #stream: ServerHttp2Stream;
  readonly #session: Http2Session | undefined;
  /** Only for answers of several pieces. */
  #queue: SendQueue | undefined;
  readonly #method: string;
  #bodyless = false;
  #ended = false;
  #aborted = false;
  #trailers: Headers | undefined;
  expectsTrailers = false;
  statusCode = 0;

  constructor(stream: ServerHttp2Stream, method: string) {
    this.#stream = stream;
    this.#session = stream.session;
    this.#method = method;
  }

  get headSent(): boolean {
    return this.statusCode !== 0;
  }

  /** Everything was handed to the connection and the stream was not reset. To be asked when the stream has closed. */
  get complete(): boolean {
    if (!this.#ended || this.#aborted || this.#stream.rstCode !== 0) return false;
    // A stream whose request had a body is destroyed before it has finished, since both sides have ended by then.
    return this.#stream.writableFinished || this.#session?.destroyed === false;
  }

  get queuedBytes(): number {
    return this.#queue?.queuedBytes ?? 0;
  }

  get pendingProgress(): number | undefined {
    const waiting = this.queuedBytes > 0 || (this.#ended && !this.#stream.writableFinished);
    return waiting && !this.#stream.destroyed ? (this.#queue?.progress ?? 0) : undefined;
  }

  interim(statusCode: number, headers: Headers): void {
    if (statusCode === 100 || this.headSent || this.#gone) return;
    this.#stream.additionalHeaders({ ...responseHeaders(headers), ':status': statusCode });
  }

  head(statusCode: number, headers: Headers): void {
    if (this.headSent) throw new TypeError('a head was sent before');
    this.statusCode = statusCode;
    this.#bodyless = isBodyless(this.#method, statusCode);
    if (this.#gone) return;
    // Trailers must be announced with the head and cost a frame; a message of known length has none in HTTP/1.1 either.
    this.expectsTrailers = !this.#bodyless && headers['content-length'] === undefined;
    if (this.expectsTrailers) this.#stream.once('wantTrailers', () => this.#sendTrailers());
    this.#stream.respond(flatAnswerHead(statusCode, headers), {
      endStream: this.#bodyless,
      waitForTrailers: this.expectsTrailers,
    });
  }

  write(chunk: Buffer): boolean {
    if (!this.headSent) throw new TypeError('no head was sent before the body');
    if (this.#bodyless || this.#ended || this.#gone) return true;
    this.#queue ??= new SendQueue(this.#stream);
    return this.#queue.write(chunk);
  }

  onDrain(listener: () => void): void {
    this.#queue ??= new SendQueue(this.#stream);
    this.#queue.onDrain(listener);
  }

  end(chunk?: Buffer, trailers?: Headers): void {
    if (!this.headSent) throw new TypeError('no head was sent before the end');
    if (this.#ended) return;
    this.#ended = true;
    this.#trailers = trailers;
    if (this.#bodyless || this.#gone) return;
    if (this.#queue === undefined && (chunk === undefined || chunk.length <= maxPieceBytes)) {
      this.#stream.end(chunk);
      return;
    }
    this.#queue ??= new SendQueue(this.#stream);
    this.#queue.end(chunk);
  }

  abort(): void {
    this.#ended = true;
    this.#aborted = true;
    this.#queue?.close();
    if (!this.#stream.destroyed) this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  closed(): void {
    this.#queue?.close();
  }

  get #gone(): boolean {
    return this.#stream.destroyed || this.#stream.closed;
  }

  #sendTrailers(): void {
    if (this.#gone || this.#aborted) return;
    this.#stream.sendTrailers(this.#trailers === undefined ? {} : responseHeaders(this.#trailers));
  }
}
