// One connection of an agent, seen from the server: the client side of HTTP/2, on which each CONNECT stream is one TCP
// connection at the node.
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../runtime/clock.ts';
import { TunnelError } from '../tunnel/errors.ts';
import { Liveness, type LivenessSettings } from '../tunnel/liveness.ts';
import { openStream } from '../tunnel/open-stream.ts';
import { headerText } from '../tunnel/refusal.ts';
import {
  helloPath,
  peersHeader,
  serverIdHeader,
  sessionOptions,
  versionHeader,
  widenConnection,
  type Windows,
} from '../tunnel/wire.ts';

export interface AgentSessionSettings {
  readonly windows: Windows;
  readonly liveness: LivenessSettings;
  /** Streams of one agent at a time. */
  readonly maxStreams: number;
  readonly helloTimeoutMs: number;
  readonly serverId: string;
  readonly version: string;
  /** Further servers, HOST:PORT with commas; may be empty. */
  readonly peers: string;
}

export class AgentSession {
  readonly node: string;
  readonly sinceMs: number;
  readonly remoteAddress: string;
  /** As the agent says; for people only. */
  readonly version: string;
  /** When the agent's certificate expires; nothing new goes over the connection after that. */
  readonly expiresMs: number;
  readonly #session: ClientHttp2Session;
  readonly #liveness: Liveness;
  #lastRoundTripMs: number | undefined;
  #streams = 0;
  #over = false;

  private constructor(
    session: ClientHttp2Session,
    parts: { clock: Clock; roundTrip: (durationMs: number) => void },
    liveness: LivenessSettings,
    agent: { node: string; remoteAddress: string; version: string; expiresMs: number },
  ) {
    this.#session = session;
    this.node = agent.node;
    this.remoteAddress = agent.remoteAddress;
    this.version = agent.version;
    this.expiresMs = agent.expiresMs;
    this.sinceMs = parts.clock.wallMs();
    session.once('goaway', () => (this.#over = true));
    session.once('close', () => (this.#over = true));
    this.#liveness = new Liveness({ clock: parts.clock, session }, liveness, {
      suspect: () => undefined,
      dead: () => undefined,
      roundTrip: (durationMs) => {
        this.#lastRoundTripMs = durationMs;
        parts.roundTrip(durationMs);
      },
    });
    this.#liveness.start();
  }

  /** Turns a verified TLS connection around and says hello. Rejects with TunnelError (ERR_TUNNEL_PEER). */
  static async greet(
    socket: TLSSocket,
    parts: { clock: Clock; roundTrip: (durationMs: number) => void },
    settings: AgentSessionSettings,
    agent: { node: string; remoteAddress: string; expiresMs: number },
  ): Promise<AgentSession> {
    const session = http2.connect('https://agent', {
      ...sessionOptions(settings.windows, settings.maxStreams),
      createConnection: () => socket,
    });
    // What ends the session is told by 'close'.
    session.on('error', () => undefined);
    session.once('connect', () => widenConnection(session, settings.windows));
    try {
      const version = await new Promise<string>((resolve, reject) => {
        const timer = parts.clock.after(settings.helloTimeoutMs, () => session.destroy());
        const stream = session.request(
          {
            ':path': helloPath,
            [serverIdHeader]: settings.serverId,
            [versionHeader]: headerText(settings.version),
            ...(settings.peers === '' ? {} : { [peersHeader]: settings.peers }),
          },
          { endStream: true },
        );
        const failed = (): void => reject(new TunnelError('ERR_TUNNEL_PEER', 'the agent did not answer the hello'));
        stream.on('error', () => undefined);
        stream.once('response', (headers) => {
          if (headers[':status'] === 200) resolve(headerText(String(headers[versionHeader] ?? '')));
          else failed();
        });
        stream.once('close', () => {
          timer.cancel();
          failed();
        });
        stream.resume();
      });
      return new AgentSession(session, parts, settings.liveness, { ...agent, version });
    } catch (error) {
      session.destroy();
      throw error;
    }
  }

  get openStreams(): number {
    return this.#streams;
  }

  /** The last measured round trip, in milliseconds. */
  get roundTripMs(): number | undefined {
    return this.#lastRoundTripMs;
  }

  get isSuspect(): boolean {
    return this.#liveness.isSuspect;
  }

  /** It takes no new streams: the agent said so, or it has ended. */
  get isOver(): boolean {
    return this.#over || this.#session.closed || this.#session.destroyed;
  }

  /**
   * A stream to `target` as the agent sees it. Rejects with RefusedError, or with the reason of `signal`. Whoever gets the
   * stream ends it.
   */
  async open(target: string, signal: AbortSignal): Promise<ClientHttp2Stream> {
    this.#streams += 1;
    const over = (): void => void (this.#streams -= 1);
    try {
      const stream = await openStream(this.#session, target, `node ${this.node}`, signal);
      if (stream.closed) over();
      else stream.once('close', over);
      return stream;
    } catch (error) {
      over();
      throw error;
    }
  }

  /** Tells the agent to look for other servers; open streams go on. */
  drain(): void {
    if (!this.#session.closed) this.#session.close();
  }

  destroy(): void {
    this.#session.destroy();
  }

  closed(): Promise<void> {
    return this.#session.destroyed
      ? Promise.resolve()
      : new Promise((resolve) => this.#session.once('close', () => resolve()));
  }
}
