// One HTTP/1.1 connection, one request at a time. It is given its socket and never dials, so that the pool above knows of each
// request which connection carries it. Why it is our own: docs/decisions/0011-own-http1-client.md.
import type tls from 'node:tls';
import type { Headers } from '../types.ts';
import { headerValue } from '../../runtime/headers.ts';
import type { AnswerHead, FieldNames } from './answer-head.ts';
import { AnswerParser, type AnswerEvents } from './answer-parser.ts';
import type { AnswerSink, Exchange, Outgoing } from './exchange.ts';
import { requestHeadText } from './headers.ts';
import { hasPayload } from './request-plan.ts';

export interface ConnectionOwner {
  /** The answer is complete: the connection may carry another request, or is closing. */
  release(connection: UnaryConnection): void;
}

/** A head and a body up to this size leave in one write. */
const maxJoinedBytes = 64 << 10;

export class UnaryConnection implements AnswerEvents {
  readonly #socket: tls.TLSSocket;
  readonly #host: string;
  readonly #parser: AnswerParser;
  #exchange: UnaryExchange | undefined;
  #requests = 0;
  #uploading = false;
  #persistent = true;
  #paused = false;
  /** Closed when it is next idle: its credentials are old. */
  retired = false;
  /** Monotonic time since which nobody had used it when it was last taken. */
  idleSinceMs = 0;
  /** How long the server lets it be idle, milliseconds, if it said so. */
  serverIdleMs = Infinity;

  /**
   * `host`: for the Host header. `onClose` is called once, when the connection is gone for whatever reason. What arrives on the
   * socket is to be given to `received`: it is read into a buffer that all connections share.
   */
  constructor(host: string, socket: tls.TLSSocket, names: FieldNames, onClose: () => void) {
    this.#host = host;
    this.#socket = socket;
    this.#parser = new AnswerParser(this, names);
    socket.once('end', () => {
      // An answer without a stated length ends with its connection.
      if (!this.#parser.finish()) socket.destroy();
    });
    socket.once('close', () => {
      onClose();
      this.#exchange?.broke(socket.errored ?? new Error('the connection has closed'), true);
    });
  }

  /** Whether another request may be put on it. */
  get usable(): boolean {
    const socket = this.#socket;
    return this.#persistent && !this.retired && !socket.destroyed && !socket.readableEnded && socket.writable;
  }

  /** Everything that arrived so far: whether a path is silent is seen by this. */
  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  /** The request on it now sees a failure. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** The owner hears when the answer is complete and the connection may have been kept. */
  send(request: Outgoing, sink: AnswerSink, owner: ConnectionOwner): Exchange {
    const exchange = new UnaryExchange(sink, this, owner, this.#requests > 0);
    this.#exchange = exchange;
    this.#requests += 1;
    try {
      this.#write(request, exchange);
    } catch (error) {
      // Nothing has been written.
      this.#socket.destroy();
      exchange.broke(error as Error, false);
    }
    return exchange;
  }

  /** What arrived; the bytes are used before this returns. False stops the flow. */
  received(bytes: Buffer): boolean {
    try {
      this.#parser.feed(bytes);
      const exchange = this.#exchange;
      if (exchange !== undefined && exchange.complete) this.#finished(exchange);
    } catch (error) {
      this.#persistent = false;
      this.#socket.destroy();
      this.#exchange?.broke(error as Error, true);
    }
    return !this.#paused;
  }

  /** The flow goes on after `data` was refused. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket.resume();
  }

  // What the parser finds

  interim(statusCode: number, headers: Headers): void {
    // The hub has sent no Expect: to go on is what it does anyway.
    if (statusCode !== 100) this.#exchange?.interim(statusCode, headers);
  }

  head(head: AnswerHead): void {
    this.#persistent = head.persistent;
    // A second less: what the server closes must not meet a request.
    if (head.keepAliveSeconds !== undefined) this.serverIdleMs = Math.max(0, head.keepAliveSeconds - 1) * 1_000;
    this.#exchange?.head(head.statusCode, head.headers);
  }

  data(chunk: Buffer): void {
    if (this.#exchange?.data(chunk) === false) this.#paused = true;
  }

  end(trailers: Headers | undefined): void {
    this.#exchange?.end(trailers);
  }

  #finished(exchange: UnaryExchange): void {
    this.#exchange = undefined;
    // The server has answered without the rest of the body: where a next request would begin is not known to it.
    if (this.#uploading) this.#persistent = false;
    this.resume();
    if (!this.#persistent) this.#socket.destroy();
    exchange.owner.release(this);
  }

  #write(request: Outgoing, exchange: UnaryExchange): void {
    const { body } = request;
    if (body !== undefined && !Buffer.isBuffer(body)) {
      const stated = headerValue(request.headers, 'content-length');
      if (stated !== undefined && !/^\d{1,15}$/.test(stated)) throw new TypeError('content-length is no number');
      const length = stated === undefined ? undefined : Number(stated);
      this.#socket.write(requestHeadText(request, this.#host, length ?? 'chunked'), 'latin1');
      this.#parser.expect(request.method);
      this.#uploading = true;
      void this.#upload(body, length, exchange);
      return;
    }
    const length = body?.length ?? (hasPayload(request.method) ? 0 : undefined);
    const head = requestHeadText(request, this.#host, length);
    this.#parser.expect(request.method);
    if (body === undefined || body.length === 0) this.#socket.write(head, 'latin1');
    else if (body.length <= maxJoinedBytes) this.#socket.write(Buffer.concat([Buffer.from(head, 'latin1'), body]));
    else {
      this.#socket.write(head, 'latin1');
      this.#socket.write(body);
    }
  }

  /** Sends a body as it comes, no faster than it is taken. Never rejects. */
  async #upload(body: AsyncIterable<Buffer>, length: number | undefined, exchange: UnaryExchange): Promise<void> {
    const socket = this.#socket;
    let left = length ?? Infinity;
    try {
      for await (const chunk of body) {
        if (exchange.over) return;
        if (chunk.length === 0) continue;
        left -= chunk.length;
        if (left < 0) throw new Error('the body is longer than its content-length');
        if (length === undefined) {
          socket.cork();
          socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1');
          socket.write(chunk);
          socket.write('\r\n', 'latin1');
          socket.uncork();
        } else socket.write(chunk);
        if (socket.writableNeedDrain) await drained(socket);
      }
      if (exchange.over) return;
      if (length !== undefined && left > 0) throw new Error('the body is shorter than its content-length');
      if (length === undefined) socket.write('0\r\n\r\n', 'latin1');
      this.#uploading = false;
    } catch (error) {
      if (exchange.over) return;
      // The server must not take what it has for the whole.
      socket.destroy();
      exchange.broke(error as Error, true);
    }
  }
}

/** Settles when the socket takes more, or has closed. */
function drained(socket: tls.TLSSocket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.on('drain', done);
    socket.on('close', done);
  });
}

/** One request on a connection, until its answer is complete or has failed: later calls do nothing. */
class UnaryExchange implements Exchange {
  readonly owner: ConnectionOwner;
  readonly #sink: AnswerSink;
  readonly #connection: UnaryConnection;
  readonly #reused: boolean;
  over = false;
  /** The answer has ended, and not by an abort. */
  complete = false;

  constructor(sink: AnswerSink, connection: UnaryConnection, owner: ConnectionOwner, reused: boolean) {
    this.owner = owner;
    this.#sink = sink;
    this.#connection = connection;
    this.#reused = reused;
  }

  abort(): void {
    if (this.over) return;
    this.over = true;
    this.#connection.destroy();
  }

  resume(): void {
    if (!this.over) this.#connection.resume();
  }

  interim(statusCode: number, headers: Headers): void {
    if (!this.over) this.#sink.interim(statusCode, headers);
  }

  head(statusCode: number, headers: Headers): void {
    if (!this.over) this.#sink.head(statusCode, headers);
  }

  data(chunk: Buffer): boolean {
    return this.over || this.#sink.data(chunk, 'given');
  }

  end(trailers: Headers | undefined): void {
    this.complete = true;
    if (this.over) return;
    this.over = true;
    this.#sink.end(trailers);
  }

  broke(error: Error, sent: boolean): void {
    if (this.over) return;
    this.over = true;
    this.#sink.fail({ error, sent, reused: this.#reused });
  }
}
