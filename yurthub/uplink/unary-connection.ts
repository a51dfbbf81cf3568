// One HTTP/1.1 connection, one request at a time, parsed by undici. It is given its socket and never dials, so that the
// pool above knows of each request which connection carries it.
import type tls from 'node:tls';
import Client from 'undici/lib/dispatcher/client.js';
import type { Dispatcher } from 'undici';
import { answerHeaders, flatRequestHeaders, fromRawHeaders } from './headers.ts';
import type { AnswerSink, Exchange, Outgoing } from './exchange.ts';

export interface ConnectionOwner {
  releaseLater(connection: UnaryConnection): void;
}

export class UnaryConnection {
  readonly #socket: tls.TLSSocket;
  readonly #client: Client;
  #requests = 0;
  /** Closed when it is next idle: its credentials are old. */
  retired = false;

  /** `onClose` is called once, when the connection is gone for whatever reason. */
  constructor(origin: string, socket: tls.TLSSocket, settings: { idleMs: number }, onClose: () => void) {
    this.#socket = socket;
    let given = false;
    this.#client = new Client(origin, {
      pipelining: 1,
      // How long an API server may think, and how long a body may pause, is the client's and the monitor's decision.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: settings.idleMs,
      keepAliveMaxTimeout: settings.idleMs,
      maxHeaderSize: 256 << 10,
      connect: (_options, callback) => {
        const again = given;
        given = true;
        // In another turn: undici does not look at its queue while it is starting a connection.
        queueMicrotask(() => {
          if (again || socket.destroyed) callback(new Error('the connection has closed'), null);
          else callback(null, socket);
        });
      },
    });
    socket.once('close', () => {
      onClose();
      this.#client.destroy(new Error('the connection has closed'), () => undefined);
    });
  }

  /** Whether another request may be put on it. */
  get usable(): boolean {
    return !this.retired && !this.#socket.destroyed && !this.#socket.readableEnded && this.#socket.writable;
  }

  /** Everything that arrived so far: whether a path is silent is seen by this. */
  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  /** Requests on it now see a failure. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** The owner hears when the answer is complete and the connection may have been kept. */
  send(request: Outgoing, sink: AnswerSink, owner: ConnectionOwner): Exchange {
    const reused = this.#requests > 0;
    this.#requests += 1;
    const handler = new Handler(sink, reused, this, owner);
    this.#client.dispatch(
      {
        method: request.method,
        path: request.target,
        headers: flatRequestHeaders(request.headers) as string[],
        body: (request.body ?? null) as Dispatcher.DispatchOptions['body'] & null,
      },
      handler,
    );
    return handler;
  }
}

/** undici's older handler: the newer one is wrapped into it, and builds header objects that we would build again. */
class Handler implements Exchange {
  readonly #sink: AnswerSink;
  readonly #reused: boolean;
  readonly #connection: UnaryConnection;
  readonly #owner: ConnectionOwner;
  #resume: (() => void) | undefined;
  #sent = false;
  #over = false;

  constructor(sink: AnswerSink, reused: boolean, connection: UnaryConnection, owner: ConnectionOwner) {
    this.#sink = sink;
    this.#reused = reused;
    this.#connection = connection;
    this.#owner = owner;
  }

  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#connection.destroy();
  }

  resume(): void {
    if (!this.#over) this.#resume?.();
  }

  onConnect(): void {
    this.#sent = true;
  }

  onHeaders(statusCode: number, raw: Buffer[], resume: () => void): boolean {
    if (this.#over) return true;
    this.#resume = resume;
    const headers = answerHeaders(raw);
    if (statusCode < 200) this.#sink.interim(statusCode, headers);
    else this.#sink.head(statusCode, headers);
    return true;
  }

  onData(chunk: Buffer): boolean {
    return this.#over || this.#sink.data(chunk);
  }

  onComplete(raw: (Buffer | string)[] | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#sink.end(raw === null || raw.length === 0 ? undefined : fromRawHeaders(raw));
    this.#owner.releaseLater(this.#connection);
  }

  onError(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#connection.destroy();
    this.#sink.fail({ error, sent: this.#sent, reused: this.#reused });
  }
}
