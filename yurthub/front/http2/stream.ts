// One stream of HTTP/2 as an Exchange, written on the connection without node's stream objects.
import type { TLSSocket } from 'node:tls';
import { ClientGoneError } from '../../errors.ts';
import type { Headers } from '../../types.ts';
import { ClientSignal, isBodyless, type Exchange, type ExchangeHooks, type ExchangeResponse } from '../exchange.ts';
import { RequestBody } from '../request-body.ts';
import { maxPieceBytes, SendQueue } from '../send-queue.ts';
import type { AnswerBlocks } from './answer-block.ts';
import { ErrorCode } from '../../http2/errors.ts';
import { maxFrameBytes } from '../../http2/frames.ts';
import { IncomingBody } from './incoming-body.ts';
import type { RequestHead } from './request-fields.ts';
import type { Outgoing, Sender } from '../../http2/sender.ts';

/** What a stream asks of its connection. */
export interface StreamOwner {
  readonly socket: TLSSocket;
  readonly sender: Sender;
  readonly blocks: AnswerBlocks;
  /** The peer may send so much more on the stream. */
  consumed(id: number, bytes: number): void;
  /** Nothing is sent on it any more; with a code other than undefined the peer is told. */
  over(id: number, reset: ErrorCode | undefined): void;
}

export class Stream implements Exchange {
  readonly protocol = 'h2';
  readonly method: string;
  readonly target: string | undefined;
  readonly headers: Headers;
  readonly body: RequestBody | null;
  readonly socket: TLSSocket;
  readonly response: StreamResponse;
  readonly client = new ClientSignal();
  readonly out: Outgoing;
  /** What the peer may still send, bytes. */
  receiveWindow: number;
  /** The peer has sent all of the request. */
  remoteEnded: boolean;
  readonly #owner: StreamOwner;
  readonly #hooks: ExchangeHooks;
  readonly #incoming: IncomingBody | undefined;
  /** What the stated length leaves to come; NaN where none was stated. */
  #bytesLeft: number;
  #over = false;

  constructor(
    head: RequestHead,
    out: Outgoing,
    owner: StreamOwner,
    hooks: ExchangeHooks,
    given: { readonly remoteEnded: boolean; readonly receiveWindow: number },
  ) {
    const { method, headers } = head;
    const hasBody = method !== 'GET' && method !== 'HEAD' && !given.remoteEnded;
    if (!hasBody && headers['content-length'] !== undefined)
      delete (headers as Record<string, unknown>)['content-length'];
    this.method = method;
    this.target = head.target;
    this.headers = headers;
    this.socket = owner.socket;
    this.out = out;
    this.receiveWindow = given.receiveWindow;
    this.remoteEnded = given.remoteEnded;
    this.#owner = owner;
    this.#hooks = hooks;
    this.#bytesLeft = head.contentLength ?? Number.NaN;
    this.#incoming = hasBody ? new IncomingBody((bytes) => this.#consumed(bytes)) : undefined;
    this.body = this.#incoming === undefined ? null : new RequestBody(this.#incoming);
    this.response = new StreamResponse(method, out, owner, {
      written: () => this.#end(false, this.remoteEnded ? undefined : ErrorCode.none),
      aborted: () => this.#end(true, ErrorCode.internal),
    });
    if (head.expectsContinue && hasBody) owner.sender.head(out.id, owner.blocks.head(100, {}), false);
  }

  endWatch(): void {
    if (this.response.headSent) this.response.end();
    else this.response.abort();
    this.client.abort();
  }

  /** False when this is not what the head has announced. The chunk is copied. */
  arrived(chunk: Buffer): boolean {
    this.#bytesLeft -= chunk.length;
    if (this.#bytesLeft < 0) return false;
    if (this.#incoming === undefined) this.#consumed(chunk.length);
    else if (chunk.length > 0) this.#incoming.arrived(Buffer.from(chunk));
    return true;
  }

  /** The request is complete. False when it is shorter than announced. */
  ended(): boolean {
    if (this.#bytesLeft > 0) return false;
    this.remoteEnded = true;
    this.#incoming?.ended();
    return true;
  }

  /** The peer has reset the stream, or is gone. */
  closed(): void {
    this.#end(true, undefined);
  }

  /** The peer broke a rule on this stream. */
  reset(code: ErrorCode): void {
    this.#end(true, code);
  }

  #consumed(bytes: number): void {
    if (this.#over || this.remoteEnded) return;
    this.receiveWindow += bytes;
    this.#owner.consumed(this.out.id, bytes);
  }

  #end(aborted: boolean, reset: ErrorCode | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.response.close();
    // A body that has not come whole will not any more.
    if (this.#incoming !== undefined && !this.remoteEnded) {
      if (!aborted) this.body?.detach();
      this.#incoming.destroy(new ClientGoneError());
    }
    this.#owner.over(this.out.id, reset);
    if (aborted) this.client.abort();
    this.#hooks.closed(aborted);
  }
}

class StreamResponse implements ExchangeResponse {
  readonly #method: string;
  readonly #out: Outgoing;
  readonly #sender: Sender;
  readonly #blocks: AnswerBlocks;
  readonly #events: { readonly written: () => void; readonly aborted: () => void };
  /** Not written yet: a small answer leaves in one write with its body. */
  #block: string | undefined;
  /** Only for answers of several pieces. */
  #queue: SendQueue | undefined;
  #bodyless = false;
  #ended = false;
  #closed = false;
  #trailers = '';
  statusCode = 0;

  constructor(
    method: string,
    out: Outgoing,
    { sender, blocks }: StreamOwner,
    events: { readonly written: () => void; readonly aborted: () => void },
  ) {
    this.#method = method;
    this.#out = out;
    this.#sender = sender;
    this.#blocks = blocks;
    this.#events = events;
  }

  get headSent(): boolean {
    return this.statusCode !== 0;
  }

  get queuedBytes(): number {
    return this.#queue?.queuedBytes ?? 0;
  }

  get pendingProgress(): number | undefined {
    const waiting = this.queuedBytes > 0 || this.#ended;
    return waiting && !this.#closed ? (this.#queue?.progress ?? 0) : undefined;
  }

  interim(statusCode: number, headers: Headers): void {
    if (statusCode === 100 || this.headSent || this.#closed) return;
    this.#sender.head(this.#out.id, this.#blocks.head(statusCode, headers), false);
  }

  head(statusCode: number, headers: Headers): void {
    if (this.headSent) throw new TypeError('a head was sent before');
    this.#block = this.#blocks.head(statusCode, headers);
    this.statusCode = statusCode;
    this.#bodyless = isBodyless(this.#method, statusCode);
    // A watch may be silent for minutes: its head must not wait for the first event.
    if (headers['content-length'] === undefined) setImmediate(() => this.#sendHead());
  }

  write(chunk: Buffer): boolean {
    if (!this.headSent) throw new TypeError('no head was sent before the body');
    if (this.#bodyless || this.#ended || this.#closed) return true;
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
    if (this.#closed) return;
    if (trailers !== undefined && !this.#bodyless) this.#trailers = this.#blocks.fields(trailers);
    const body = this.#bodyless ? undefined : chunk;
    if (this.#block !== undefined && this.#trailers === '') {
      if (body === undefined || body.length === 0) {
        const block = this.#block;
        this.#block = undefined;
        this.#sender.head(this.#out.id, block, true, this.#events.written);
        return;
      }
      if (body.length <= maxFrameBytes && this.#sender.whole(this.#out, this.#block, body, this.#events.written)) {
        this.#block = undefined;
        return;
      }
    }
    this.#sendHead();
    if (this.#queue === undefined && (body === undefined || body.length <= maxPieceBytes)) this.#finish(body);
    else this.#pieces().end(body);
  }

  abort(): void {
    this.#ended = true;
    this.#events.aborted();
  }

  close(): void {
    this.#closed = true;
    this.#queue?.close();
    this.#sender.forget(this.#out);
  }

  #sendHead(): void {
    if (this.#block === undefined || this.#closed) return;
    const block = this.#block;
    this.#block = undefined;
    this.#sender.head(this.#out.id, block, false);
  }

  #pieces(): SendQueue {
    this.#queue ??= new SendQueue({
      write: (bytes, done) => {
        this.#out.pieces.push({ bytes, done });
        this.#sender.pump(this.#out);
      },
      end: (bytes) => this.#finish(bytes),
    });
    return this.#queue;
  }

  #finish(bytes: Buffer | undefined): void {
    if (bytes !== undefined && bytes.length > 0) this.#out.pieces.push({ bytes, done: undefined });
    this.#out.end = { trailers: this.#trailers, done: this.#events.written };
    this.#sender.pump(this.#out);
  }
}
