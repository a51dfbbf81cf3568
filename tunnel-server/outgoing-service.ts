// Edge to cloud and edge to edge: an agent asks for connections on a second kind of connection, on which this side serves HTTP/2. Who
// asks is what its certificate says, and what it may reach is the list of outgoing-policy.ts.
import http2, { type ServerHttp2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../runtime/clock.ts';
import { Liveness, type LivenessSettings } from '../tunnel/liveness.ts';
import { RefusedError } from '../tunnel/refusal.ts';
import { parseTarget } from '../tunnel/target.ts';
import { sessionOptions, widenConnection, type Windows } from '../tunnel/wire.ts';
import type { Connector } from './connector.ts';
import { mayReach, type OutgoingRule } from './outgoing-policy.ts';

export interface OutgoingServiceParts {
  readonly clock: Clock;
  readonly connector: Pick<Connector, 'attach'>;
  readonly poolOf: (node: string) => string | undefined;
}

export interface OutgoingServiceSettings {
  readonly rules: readonly OutgoingRule[];
  readonly windows: Windows;
  readonly liveness: LivenessSettings;
  /** Of one connection at a time. */
  readonly maxStreams: number;
}

/** An agent needs one; a second one replaces it where the path is suspect. */
const maxConnectionsPerNode = 4;

export class OutgoingService {
  readonly #parts: OutgoingServiceParts;
  readonly #settings: OutgoingServiceSettings;
  readonly #sessions = new Map<string, Set<ServerHttp2Session>>();

  constructor(parts: OutgoingServiceParts, settings: OutgoingServiceSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** Whether agents are told that there is such a thing. */
  get isOn(): boolean {
    return this.#settings.rules.length > 0;
  }

  /** `expiresMs`: when the certificate of the agent does; nothing new is carried after that. */
  serve(socket: TLSSocket, node: string, expiresMs: number): void {
    const { clock } = this.#parts;
    const { windows, liveness, maxStreams } = this.#settings;
    const sessions = this.#sessions.get(node) ?? new Set();
    this.#sessions.set(node, sessions);
    const [oldest] = sessions;
    if (sessions.size >= maxConnectionsPerNode) oldest?.destroy();
    const session = http2.performServerHandshake(socket, sessionOptions(windows, maxStreams));
    sessions.add(session);
    // What ends the session is told by 'close'.
    session.on('error', () => undefined);
    session.once('close', () => {
      sessions.delete(session);
      if (sessions.size === 0 && this.#sessions.get(node) === sessions) this.#sessions.delete(node);
    });
    widenConnection(session, windows);
    new Liveness({ clock, session }, liveness, {
      suspect: () => undefined,
      dead: () => undefined, // 'close' follows
      roundTrip: () => undefined,
    }).start();
    session.on('stream', (stream, headers) => {
      stream.on('error', () => undefined);
      const authority = String(headers[':authority'] ?? '');
      if (headers[':method'] !== 'CONNECT') {
        stream.resume();
        stream.respond({ ':status': 405 }, { endStream: true });
        return;
      }
      void this.#parts.connector.attach({
        way: 'edge',
        authority,
        stream,
        // A promise, so that a refusal is one as well.
        allow: async (route) => {
          if (clock.wallMs() >= expiresMs) throw new RefusedError('policy', 'the certificate of the agent has expired');
          const { poolOf } = this.#parts;
          const pool = poolOf(node);
          if (mayReach({ node, pool }, parseTarget(authority), route, poolOf, this.#settings.rules)) return;
          const who = pool === undefined ? `node ${node}, which is in no pool,` : `node ${node} of pool ${pool}`;
          throw new RefusedError('policy', `${who} may not reach ${authority}: no entry of outgoing allows it`);
        },
      });
    });
  }

  /** No new streams; those that are open go on. */
  drain(): void {
    for (const session of this.#all()) session.close();
  }

  destroy(): void {
    for (const session of this.#all()) session.destroy();
  }

  /** Ends the connections of a node, with their streams. */
  drop(node: string): void {
    for (const session of this.#sessions.get(node) ?? []) session.destroy();
  }

  #all(): ServerHttp2Session[] {
    return [...this.#sessions.values()].flatMap((sessions) => [...sessions]);
  }
}
