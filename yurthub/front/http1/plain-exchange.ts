// A plain HTTP/1.1 request and its answer, written on the connection without node's request and response objects.
import type { TLSSocket } from 'node:tls';
import type { Headers } from '../../types.ts';
import { ClientSignal, isBodyless, type Exchange, type ExchangeHooks, type ExchangeResponse } from '../exchange.ts';
import { maxPieceBytes, SendQueue } from '../send-queue.ts';
import { answerHeadText, fieldLines } from './answer-head.ts';
import type { PlainHead } from './plain-head.ts';

/** Head and body up to this size leave in one write: one TLS record. */
const maxJoinedBytes = 16 << 10;

export class PlainExchange implements Exchange {
  readonly protocol = 'h1';
  readonly method: string;
  readonly target: string;
  readonly headers: Headers;
  readonly body = null;
  readonly socket: TLSSocket;
  readonly response: PlainResponse;
  readonly client = new ClientSignal();
  readonly #hooks: ExchangeHooks;
  #over = false;

  /** `finished` is called when the answer is complete and written. */
  constructor(head: PlainHead, socket: TLSSocket, hooks: ExchangeHooks, finished: () => void) {
    this.method = head.method;
    this.target = head.target;
    this.headers = head.headers;
    this.socket = socket;
    this.#hooks = hooks;
    this.response = new PlainResponse(socket, head.method, () => {
      if (this.#over) return;
      this.#over = true;
      hooks.closed(false);
      finished();
    });
  }

  endWatch(): void {
    if (this.response.headSent) this.response.end();
    else this.response.abort();
    this.client.abort();
  }

  /** The connection is gone. */
  connectionClosed(): void {
    if (this.#over) return;
    this.#over = true;
    this.response.closed();
    this.client.abort();
    this.#hooks.closed(true);
  }
}

class PlainResponse implements ExchangeResponse {
  readonly #socket: TLSSocket;
  readonly #method: string;
  readonly #finished: () => void;
  /** Not written yet: a small answer leaves in one write with its body. */
  #head: string | undefined;
  /** Only for answers of several pieces. */
  #queue: SendQueue | undefined;
  #framing: 'length' | 'chunks' | 'none' = 'none';
  #ended = false;
  #trailers: Headers | undefined;
  #written = false;
  statusCode = 0;

  constructor(socket: TLSSocket, method: string, finished: () => void) {
    this.#socket = socket;
    this.#method = method;
    this.#finished = finished;
  }

  get headSent(): boolean {
    return this.statusCode !== 0;
  }

  get queuedBytes(): number {
    return this.#queue?.queuedBytes ?? 0;
  }

  get pendingProgress(): number | undefined {
    const waiting = this.queuedBytes > 0 || (this.#ended && !this.#written);
    return waiting && !this.#socket.destroyed ? (this.#queue?.progress ?? 0) : undefined;
  }

  interim(statusCode: number, headers: Headers): void {
    if (statusCode === 100 || this.headSent || this.#socket.destroyed) return;
    this.#socket.write(`${answerHeadText(statusCode, headers)}\r\n`, 'latin1');
  }

  head(statusCode: number, headers: Headers): void {
    if (this.headSent) throw new TypeError('a head was sent before');
    const bodyless = isBodyless(this.#method, statusCode);
    const stated = headers['content-length'] !== undefined;
    let text = answerHeadText(statusCode, headers);
    this.statusCode = statusCode;
    if (!bodyless) {
      this.#framing = stated ? 'length' : 'chunks';
      if (!stated) text += 'transfer-encoding: chunked\r\n';
    }
    this.#head = `${text}\r\n`;
    // A watch may be silent for minutes: its head must not wait for the first event.
    if (!stated) setImmediate(() => this.#sendHead());
  }

  write(chunk: Buffer): boolean {
    if (!this.headSent) throw new TypeError('no head was sent before the body');
    if (this.#framing === 'none' || this.#ended || this.#socket.destroyed) return true;
    this.#sendHead();
    return this.#pieces().write(chunk);
  }

  onDrain(listener: () => void): void {
    this.#pieces().onDrain(listener);
  }

  end(chunk?: Buffer, trailers?: Headers): void {
    if (!this.headSent) throw new TypeError('no head was sent before the end');
    if (this.#ended) return;
    this.#ended = true;
    this.#trailers = trailers;
    if (this.#socket.destroyed) return;
    const body = this.#framing === 'none' ? undefined : chunk;
    if (this.#head !== undefined && this.#framing !== 'chunks' && (body?.length ?? 0) <= maxJoinedBytes) {
      this.#socket.write(joined(this.#head, body), this.#onWritten);
      this.#head = undefined;
      return;
    }
    this.#sendHead();
    if (this.#queue === undefined && (body === undefined || body.length <= maxPieceBytes)) this.#writeEnd(body);
    else this.#pieces().end(body);
  }

  abort(): void {
    this.#ended = true;
    this.#queue?.close();
    // The whole connection: HTTP/1.1 has no other way to say that an answer is not complete.
    this.#socket.destroy();
  }

  closed(): void {
    this.#queue?.close();
  }

  readonly #onWritten = (): void => {
    this.#written = true;
    if (!this.#socket.destroyed) this.#finished();
  };

  #sendHead(): void {
    if (this.#head === undefined || this.#socket.destroyed) return;
    this.#socket.write(this.#head, 'latin1');
    this.#head = undefined;
  }

  #pieces(): SendQueue {
    this.#queue ??= new SendQueue({
      write: (chunk, done) => this.#writePiece(chunk, done),
      end: (chunk) => this.#writeEnd(chunk),
    });
    return this.#queue;
  }

  #writePiece(chunk: Buffer, done?: () => void): void {
    const socket = this.#socket;
    if (this.#framing === 'length') {
      socket.write(chunk, done);
      return;
    }
    socket.cork();
    socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1');
    socket.write(chunk);
    socket.write('\r\n', 'latin1', done);
    socket.uncork();
  }

  #writeEnd(chunk: Buffer | undefined): void {
    const socket = this.#socket;
    socket.cork();
    if (chunk !== undefined && chunk.length > 0) this.#writePiece(chunk);
    const last = this.#framing === 'chunks' ? `0\r\n${fieldLines(this.#trailers ?? {})}\r\n` : '';
    socket.write(last, 'latin1', this.#onWritten);
    socket.uncork();
  }
}

function joined(head: string, body: Buffer | undefined): Buffer {
  const bytes = Buffer.allocUnsafe(head.length + (body?.length ?? 0));
  bytes.write(head, 0, 'latin1');
  body?.copy(bytes, head.length);
  return bytes;
}
