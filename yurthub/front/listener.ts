// One TLS listener for HTTP/2 and HTTP/1.1 on one address. Everything about sockets is decided here: limits, timeouts, windows.
import { constants as crypto } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import http2, { type Http2SecureServer } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions, TLSSocket } from 'node:tls';
import { failure } from '../../kube/status.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Endpoint } from '../../runtime/settings.ts';
import type { Exchange, ExchangeHooks } from './exchange.ts';
import { H1Exchange } from './h1-exchange.ts';
import { PlainConnection } from './http1/plain-connection.ts';
import { RequestFieldNames } from './http1/plain-head.ts';
import { BatchBlocks } from '../http2/batch-blocks.ts';
import { Connection } from './http2/connection.ts';
import type { FrontMetrics } from './metrics.ts';
import { refuse } from './upgrade.ts';

/** PEM. */
export interface ServingCredentials {
  readonly certificate: string;
  readonly key: string;
}

export interface ListenerParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: FrontMetrics;
  readonly credentials: ServingCredentials;
  /** Makes the hooks for an exchange, then gets the exchange. Must not throw. */
  readonly onExchange: (make: (hooks: ExchangeHooks) => Exchange) => void;
  readonly onUpgrade: (request: IncomingMessage, client: TLSSocket, head: Buffer) => void;
}

export interface ListenerSettings extends Endpoint {
  readonly maxConnections: number;
}

/** A token of 16 KB and everything beside it; above, the client gets 431 or a reset. */
const maxHeaderBytes = 64 * 1024;
const headersTimeoutMs = 20_000;
const handshakeTimeoutMs = 20_000;
const keepAliveTimeoutMs = 120_000;

const connectionSettings = {
  maxStreams: 2_000,
  maxHeaderBytes,
  maxHeaderFields: 500,
  // An upload holds at most this much unread; on loopback more gains nothing.
  streamWindowBytes: 128 * 1024,
  connectionWindowBytes: 1024 * 1024,
  handshakeMs: handshakeTimeoutMs,
} as const;

export class Listener {
  readonly #parts: ListenerParts;
  readonly #settings: ListenerSettings;
  readonly #server: Http2SecureServer;
  readonly #sockets = new Set<Duplex>();
  readonly #plain = new Set<PlainConnection>();
  readonly #names = new RequestFieldNames();
  readonly #connections = new Set<Connection>();
  readonly #batches = new BatchBlocks();

  constructor(parts: ListenerParts, settings: ListenerSettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#server = this.#createServer();
  }

  /** Resolves when connections are accepted; rejects with the system's error (EADDRINUSE, EADDRNOTAVAIL …). */
  listen(): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      // A burst of connections, as when the hub is back, must not meet a full backlog.
      this.#server.listen({ host: this.#settings.host, port: this.#settings.port, backlog: 4_096 }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#parts.log.error('listener failed', { error: error.message }));
        resolve(this.#server.address() as AddressInfo);
      });
    });
  }

  /** What connections get that are made from now on. */
  serveWith(credentials: ServingCredentials): void {
    this.#server.setSecureContext(contextOptions(credentials));
  }

  /** Accepts no more connections and no more streams; what is in progress goes on. Resolves when all of it is over. */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      // close() calls back with an error where listen() had failed: nothing is open then.
      this.#server.close(() => resolve());
      for (const connection of [...this.#connections, ...this.#plain]) connection.close();
    });
  }

  /** Ends everything at once. */
  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #createServer(): Http2SecureServer {
    const { metrics } = this.#parts;
    const server = http2.createSecureServer({
      ...contextOptions(this.#parts.credentials),
      allowHTTP1: true,
      // Client certificates are judged by identity.ts, not by OpenSSL: one that has expired or is not valid yet still is the
      // kubelet's on a node whose clock is off or that was offline too long, and a foreign one deserves an answer that explains.
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: handshakeTimeoutMs,
      ...({ maxHeaderSize: maxHeaderBytes, insecureHTTPParser: false, highWaterMark: 64 * 1024 } as object),
    });
    Object.assign(server, {
      headersTimeout: headersTimeoutMs,
      // An upload may take as long as it takes, and so may a watch.
      requestTimeout: 0,
      keepAliveTimeout: keepAliveTimeoutMs,
      timeout: 0,
      // Node drops headers beyond the limit without a word; their size is bounded already.
      maxHeadersCount: 0,
    });
    server.maxConnections = this.#settings.maxConnections;

    server.on('request', (request: unknown, response: unknown) => {
      this.#parts.onExchange((hooks) => new H1Exchange(request as IncomingMessage, response as ServerResponse, hooks));
    });
    // Node's own listener, which gives connections without HTTP/2 to its HTTP/1.1 parser.
    const nodes = server.listeners('secureConnection')[0] as (socket: TLSSocket) => void;
    server.removeAllListeners('secureConnection');
    server.on('secureConnection', (socket) => this.#onSecure(socket, nodes.bind(server)));
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#parts.onUpgrade(request, socket as TLSSocket, head),
    );
    server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
      refuse(socket as TLSSocket, failure('MethodNotAllowed', 'the hub does not serve CONNECT'));
    });
    server.on('connection', (socket: Socket) => this.#track(socket));
    server.on('drop', () => metrics.droppedConnections.inc());
    server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
      // Plaintext on the TLS port ends here as well: it gets no answer.
      metrics.tlsErrors.inc();
      this.#parts.log.debug('connection failed before TLS was established', { error: error.message });
      socket.destroy();
    });
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => this.#onClientError(error, socket));
    return server;
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    this.#parts.metrics.connections.inc();
    socket.setNoDelay(true);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#parts.metrics.connections.dec();
    });
  }

  #onSecure(socket: TLSSocket, handOver: (socket: TLSSocket) => void): void {
    if (socket.alpnProtocol === 'h2') {
      const { clock, metrics, onExchange } = this.#parts;
      const parts = { clock, batches: this.#batches, onExchange, onMalformed: () => metrics.malformed.inc() };
      const connection = new Connection(socket, parts, connectionSettings);
      this.#connections.add(connection);
      socket.once('close', () => this.#connections.delete(connection));
      return;
    }
    const plain = new PlainConnection(
      socket,
      {
        names: this.#names,
        onExchange: this.#parts.onExchange,
        handOver: () => {
          this.#plain.delete(plain);
          handOver(socket);
        },
      },
      { idleMs: keepAliveTimeoutMs },
    );
    this.#plain.add(plain);
    socket.once('close', () => this.#plain.delete(plain));
  }

  #onClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    // A reset is no malformed request.
    if (!socket.writable || error.code === 'ECONNRESET') {
      socket.destroy();
      return;
    }
    this.#parts.metrics.malformed.inc();
    const status =
      error.code === 'HPE_HEADER_OVERFLOW'
        ? '431 Request Header Fields Too Large'
        : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
          ? '408 Request Timeout'
          : '400 Bad Request';
    // After this nothing on the connection can be trusted to begin where a request begins.
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`, () => socket.destroy());
  }
}

function contextOptions({ certificate, key }: ServingCredentials): SecureContextOptions {
  return {
    key,
    cert: certificate,
    minVersion: 'TLSv1.2',
    // No list of acceptable CAs: Go clients would silently keep a foreign certificate back.
    ca: [],
    // Each connection proves its key anew: no ticket outlives a change of CA; renegotiation could swap the certificate.
    secureOptions: crypto.SSL_OP_NO_TICKET | crypto.SSL_OP_NO_RENEGOTIATION,
  };
}
