// One connection to a tunnel server: dialled out over TLS 1.3 with the node's certificate, then turned around, so that this
// side serves HTTP/2 on it. It is up once the server has said hello and has heard the answer: from then on the server sends what
// is new over it, and an older connection may end.
import http2, { type IncomingHttpHeaders, type ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { Clock } from '../runtime/clock.ts';
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
import { dialTcp, secure, within, type ServerAddress } from './dial-server.ts';
import type { Detour } from './detour.ts';
import type { HttpProxy } from './http-proxy.ts';
import type { StreamService } from './stream-service.ts';

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
  readonly detour: Detour;
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
  /** It was made by a detour: the node's own way is to be tried again. */
  readonly isDetour: boolean;
  #over: boolean;

  private constructor(session: ServerHttp2Session, liveness: Liveness, hello: IncomingHttpHeaders, isDetour: boolean) {
    this.isDetour = isDetour;
    this.#session = session;
    this.#liveness = liveness;
    this.serverId = String(hello[serverIdHeader] ?? '');
    this.peers = String(hello[peersHeader] ?? '');
    this.#over = session.closed;
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
    const { clock, service, detour } = parts;
    const connect = (dial: (abort: AbortSignal) => Promise<Socket>): Promise<Socket> =>
      within(clock, settings.tcpTimeoutMs, `no TCP connection`, signal, dial);
    let isDetour = false;
    const tcp = await connect((abort) => dialTcp(parts.proxy, address, abort)).catch((error: unknown) => {
      if (signal.aborted || !detour.isOpen) throw error;
      isDetour = true;
      return connect((abort) => detour.open(address, abort));
    });
    return await within(clock, settings.handshakeTimeoutMs, 'no TLS connection and hello', signal, async (abort) => {
      const socket = await secure(tcp, address, credentials, alpnProtocol, abort);
      const session = http2.performServerHandshake(socket, sessionOptions(settings.windows, settings.maxStreams));
      // What ends the session is told by 'close'.
      session.on('error', () => undefined);
      const stop = (): void => session.destroy();
      abort.addEventListener('abort', stop, { once: true });
      let cause: unknown;
      socket.once('error', (error) => (cause = error));
      const endedBy = (): unknown =>
        abort.aborted
          ? abort.reason
          : new TunnelError('ERR_TUNNEL_PEER', `the server ended the connection: ${reasonOf(cause)}`, cause);
      try {
        const hello = await new Promise<IncomingHttpHeaders>((resolve, reject) => {
          session.once('close', () => reject(endedBy()));
          service.serve(session, resolve);
          widenConnection(session, settings.windows);
        });
        if (!(await hasHeard(session))) {
          session.destroy();
          throw endedBy();
        }
        const liveness = new Liveness({ clock, session }, settings.liveness, {
          suspect: (isSuspect) => events.suspect(isSuspect),
          dead: () => undefined, // 'close' follows
          roundTrip: (durationMs) => events.roundTrip(durationMs),
        });
        const connection = new ServerConnection(session, liveness, hello, isDetour);
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

/** Whether the far end has read all that was sent to it before; false when the session ended meanwhile. */
function hasHeard(session: ServerHttp2Session): Promise<boolean> {
  return new Promise((resolve) => {
    if (session.destroyed) resolve(false);
    else session.ping((error: Error | null) => resolve(error === null));
  });
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : 'without saying why';
}
