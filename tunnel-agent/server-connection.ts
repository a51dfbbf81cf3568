// One connection to a tunnel server: dialled out over TLS 1.3 with the node's certificate, then turned around, so that this
// side serves HTTP/2 on it. It is up once the server has said hello.
import http2, { type IncomingHttpHeaders, type ServerHttp2Session } from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import type { Clock } from '../runtime/clock.ts';
import { LinkedAbort } from '../runtime/linked-abort.ts';
import type { Endpoint } from '../runtime/settings.ts';
import type { Credentials } from '../tunnel/credential-files.ts';
import { TunnelError } from '../tunnel/errors.ts';
import { Liveness, type LivenessSettings } from '../tunnel/liveness.ts';
import {
  alpnProtocol,
  peersHeader,
  serverIdHeader,
  sessionOptions,
  widenConnection,
  type Windows,
} from '../tunnel/wire.ts';
import { connectThroughProxy, type HttpProxy } from './http-proxy.ts';
import type { StreamService } from './stream-service.ts';

/** Where a server is, and by which name its certificate is judged. */
export interface ServerAddress extends Endpoint {
  readonly serverName: string;
}

export interface ConnectSettings {
  readonly windows: Windows;
  readonly liveness: LivenessSettings;
  readonly maxStreams: number;
  /** For TCP alone, so that a fresh attempt follows soon when a dead link comes back; covers a lost SYN at 2 s round trip. */
  readonly tcpTimeoutMs: number;
  /** For TLS and the hello after it. */
  readonly handshakeTimeoutMs: number;
}

export interface ConnectParts {
  readonly clock: Clock;
  readonly service: StreamService;
  readonly proxy: HttpProxy | undefined;
}

export interface ConnectionEvents {
  suspect(isSuspect: boolean): void;
  roundTrip(durationMs: number): void;
  /** It takes no new streams, or has ended. */
  over(): void;
}

export class ServerConnection {
  readonly serverId: string;
  readonly peers: string;
  readonly #session: ServerHttp2Session;
  readonly #liveness: Liveness;
  #over = false;

  private constructor(session: ServerHttp2Session, liveness: Liveness, hello: IncomingHttpHeaders) {
    this.#session = session;
    this.#liveness = liveness;
    this.serverId = String(hello[serverIdHeader] ?? '');
    this.peers = String(hello[peersHeader] ?? '');
    session.once('goaway', () => (this.#over = true));
    session.once('close', () => (this.#over = true));
  }

  /** Rejects with the error of TCP, TLS or the proxy, with TunnelError, or with the reason of `signal`. */
  static async open(
    parts: ConnectParts,
    settings: ConnectSettings,
    address: ServerAddress,
    credentials: Credentials,
    events: ConnectionEvents,
    signal: AbortSignal,
  ): Promise<ServerConnection> {
    const { clock, service } = parts;
    const tcp = await within(clock, settings.tcpTimeoutMs, `no TCP connection`, signal, (abort) =>
      dialTcp(parts.proxy, address, abort),
    );
    return await within(clock, settings.handshakeTimeoutMs, 'no TLS connection and hello', signal, async (abort) => {
      const socket = await secure(tcp, address, credentials, abort);
      const session = http2.performServerHandshake(socket, sessionOptions(settings.windows, settings.maxStreams));
      // What ends the session is told by 'close'.
      session.on('error', () => undefined);
      const stop = (): void => session.destroy();
      abort.addEventListener('abort', stop, { once: true });
      try {
        const hello = await new Promise<IncomingHttpHeaders>((resolve, reject) => {
          let cause: unknown;
          socket.once('error', (error) => (cause = error));
          session.once('close', () =>
            reject(
              abort.aborted
                ? (abort.reason as Error)
                : new TunnelError('ERR_TUNNEL_PEER', `the server ended the connection: ${reasonOf(cause)}`, cause),
            ),
          );
          service.serve(session, resolve);
          widenConnection(session, settings.windows);
        });
        const liveness = new Liveness({ clock, session }, settings.liveness, {
          suspect: (isSuspect) => events.suspect(isSuspect),
          dead: () => undefined, // 'close' follows
          roundTrip: (durationMs) => events.roundTrip(durationMs),
        });
        const connection = new ServerConnection(session, liveness, hello);
        session.once('goaway', () => events.over());
        session.once('close', () => events.over());
        liveness.start();
        return connection;
      } finally {
        abort.removeEventListener('abort', stop);
      }
    });
  }

  /** Whether new streams can come over it, as far as is known. */
  get isGood(): boolean {
    return !this.#over && !this.#liveness.isSuspect;
  }

  get isClosed(): boolean {
    return this.#session.destroyed;
  }

  /** No new streams; it closes with the last that is open. */
  retire(): void {
    if (!this.#session.closed) this.#session.close();
  }

  destroy(): void {
    this.#session.destroy();
  }

  /** Resolves when it has closed. */
  closed(): Promise<void> {
    return this.#session.destroyed
      ? Promise.resolve()
      : new Promise((resolve) => this.#session.once('close', () => resolve()));
  }
}

function dialTcp(proxy: HttpProxy | undefined, address: ServerAddress, signal: AbortSignal): Promise<net.Socket> {
  if (proxy !== undefined) return connectThroughProxy(proxy, address, signal);
  const socket = net.connect({ host: address.host, port: address.port, noDelay: true });
  return settled(socket, 'connect', signal);
}

async function secure(
  tcp: net.Socket,
  { serverName }: ServerAddress,
  { certificate, key, ca }: Credentials,
  signal: AbortSignal,
): Promise<tls.TLSSocket> {
  const socket = tls.connect({
    socket: tcp,
    ca,
    cert: certificate,
    key,
    minVersion: 'TLSv1.3',
    ALPNProtocols: [alpnProtocol],
    ...(net.isIP(serverName) === 0 ? { servername: serverName } : {}),
    checkServerIdentity: (_host, presented) => tls.checkServerIdentity(serverName, presented),
  });
  await settled(socket, 'secureConnect', signal);
  if (socket.alpnProtocol !== alpnProtocol) {
    socket.destroy();
    throw new TunnelError('ERR_TUNNEL_PEER', `the far end is no tunnel server: it does not speak ${alpnProtocol}`);
  }
  return socket;
}

/** Resolves with `socket` on `event`; destroys it when it fails or `signal` aborts. */
function settled<S extends net.Socket>(socket: S, event: string, signal: AbortSignal): Promise<S> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      socket.off('error', failed).off('close', closed).off(event, good);
      signal.removeEventListener('abort', aborted);
    };
    const failed = (error: unknown): void => {
      done();
      // Errors that come after the first are of no interest.
      socket.on('error', () => undefined);
      socket.destroy();
      reject(error);
    };
    const closed = (): void => failed(new TunnelError('ERR_TUNNEL_PEER', 'the connection ended'));
    const aborted = (): void => failed(signal.reason);
    const good = (): void => {
      done();
      resolve(socket);
    };
    socket.on('error', failed).on('close', closed).on(event, good);
    if (signal.aborted) aborted();
    else signal.addEventListener('abort', aborted, { once: true });
  });
}

/** Runs `work` with a signal that aborts after `timeoutMs` as well. */
async function within<T>(
  clock: Clock,
  timeoutMs: number,
  what: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  using linked = new LinkedAbort(signal);
  const timer = clock.after(timeoutMs, () =>
    linked.abort(new TunnelError('ERR_TUNNEL_PEER', `${what} within ${timeoutMs} ms`)),
  );
  try {
    return await work(linked.signal);
  } finally {
    timer.cancel();
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : 'without saying why';
}
