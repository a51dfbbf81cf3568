// Edge to cloud: connections that this node asks a tunnel server for, over one connection of its own, on which this side asks. It is
// made when the first is wanted, and closed when none has been for a while.
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import type { Clock, Timer } from '../runtime/clock.ts';
import { LinkedAbort } from '../runtime/linked-abort.ts';
import type { CredentialFiles } from '../tunnel/credential-files.ts';
import { Liveness, type LivenessSettings } from '../tunnel/liveness.ts';
import { openStream } from '../tunnel/open-stream.ts';
import { RefusedError } from '../tunnel/refusal.ts';
import { formatTarget } from '../tunnel/target.ts';
import { outgoingProtocol, sessionOptions, widenConnection, type Windows } from '../tunnel/wire.ts';
import { dialTcp, secure, within, type ServerAddress } from './dial-server.ts';
import type { HttpProxy } from './http-proxy.ts';

export interface OutgoingParts {
  readonly clock: Clock;
  readonly credentials: CredentialFiles;
  /** The servers that are known, those with a live connection first. */
  readonly servers: () => readonly ServerAddress[];
  readonly proxyFor: (host: string) => HttpProxy | undefined;
}

export interface OutgoingSettings {
  readonly windows: Windows;
  readonly liveness: LivenessSettings;
  readonly maxStreams: number;
  readonly tcpTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
  /** For the whole of one connection, that of the server to the target included. */
  readonly dialTimeoutMs: number;
}

interface Uplink {
  readonly session: ClientHttp2Session;
  readonly liveness: Liveness;
  readonly server: string;
}

const idleMs = 60_000;

export class Outgoing {
  readonly #parts: OutgoingParts;
  readonly #settings: OutgoingSettings;
  readonly #sessions = new Set<ClientHttp2Session>();
  #uplink: Uplink | undefined;
  #connecting: Promise<Uplink> | undefined;
  #idle: Timer | undefined;
  #streams = 0;
  readonly #closed = new AbortController();

  constructor(parts: OutgoingParts, settings: OutgoingSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** Rejects with RefusedError, or with the reason of `gone`. Whoever gets the stream ends it. */
  async open(authority: string, gone: AbortSignal): Promise<ClientHttp2Stream> {
    const { dialTimeoutMs } = this.#settings;
    using abort = new LinkedAbort(gone);
    const timer = this.#parts.clock.after(dialTimeoutMs, () =>
      abort.abort(new RefusedError('timeout', `dial ${authority}: no answer in ${dialTimeoutMs} ms`)),
    );
    this.#count(1);
    const over = (): void => this.#count(-1);
    try {
      const { session, server } = await orAborted(this.#connected(), abort.signal);
      const stream = await openStream(session, authority, `tunnel server ${server}`, abort.signal);
      if (stream.closed) over();
      else stream.once('close', over);
      return stream;
    } catch (error) {
      over();
      throw error;
    } finally {
      timer.cancel();
    }
  }

  /** Cuts everything that is open; nothing new after it. */
  close(): void {
    this.#closed.abort();
    this.#idle?.cancel();
    for (const session of this.#sessions) session.destroy();
  }

  /** Counts streams and those that are being opened; the last one starts the time until the connection is closed. */
  #count(by: 1 | -1): void {
    this.#streams += by;
    this.#idle?.cancel();
    if (this.#streams === 0) this.#idle = this.#parts.clock.after(idleMs, () => this.#uplink?.session.close());
  }

  /** One attempt for all that wait. */
  async #connected(): Promise<Uplink> {
    const present = this.#uplink;
    if (present !== undefined && !present.session.closed && !present.session.destroyed && !present.liveness.isSuspect)
      return present;
    this.#connecting ??= this.#connect().finally(() => (this.#connecting = undefined));
    return await this.#connecting;
  }

  /** To the first server that can be had. Rejects with RefusedError (not-connected). */
  async #connect(): Promise<Uplink> {
    let problem: unknown = 'no tunnel server is known';
    for (const address of this.#parts.servers()) {
      try {
        const uplink = await this.#connectTo(address);
        // What an older one carries goes on until it ends.
        this.#uplink?.session.close();
        this.#uplink = uplink;
        return uplink;
      } catch (error) {
        problem = `${formatTarget(address)}: ${(error as Error).message}`;
      }
    }
    throw new RefusedError('not-connected', `no tunnel server takes connections of this node: ${String(problem)}`);
  }

  async #connectTo(address: ServerAddress): Promise<Uplink> {
    const { clock, credentials, proxyFor } = this.#parts;
    const { tcpTimeoutMs, handshakeTimeoutMs, windows, maxStreams, liveness: livenessSettings } = this.#settings;
    const signal = this.#closed.signal;
    const tcp = await within(clock, tcpTimeoutMs, 'no TCP connection', signal, (abort) =>
      dialTcp(proxyFor(address.host), address, abort),
    );
    return await within(clock, handshakeTimeoutMs, 'no TLS connection', signal, async (abort) => {
      const socket = await secure(tcp, address, credentials.current, outgoingProtocol, abort);
      const session = http2.connect('https://tunnel-server', {
        ...sessionOptions(windows, maxStreams),
        createConnection: () => socket,
      });
      this.#sessions.add(session);
      session.once('close', () => this.#sessions.delete(session));
      // What ends the session is told by 'close'.
      session.on('error', () => undefined);
      session.once('connect', () => widenConnection(session, windows));
      const liveness = new Liveness({ clock, session }, livenessSettings, {
        suspect: () => undefined, // looked at when the next connection is wanted
        dead: () => undefined, // 'close' follows
        roundTrip: () => undefined,
      });
      liveness.start();
      return { session, liveness, server: formatTarget(address) };
    });
  }
}

/** The work goes on for the others that wait for it. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
    // Nobody may be waiting for either any more.
    work.catch(() => undefined);
  }
}
