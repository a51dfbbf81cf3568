// Which agents are connected. The newest registration of a node takes what is new; an older one keeps its open streams, and
// its end removes itself and nothing else.
import type { Clock } from '../runtime/clock.ts';
import type { AgentSession } from './agent-session.ts';

export interface NodeListing {
  readonly node: string;
  readonly since: string;
  readonly address: string;
  readonly version: string;
  readonly streams: number;
  readonly connections: number;
  readonly suspect: boolean;
  readonly roundTripMs: number | undefined;
}

export class Registry {
  readonly #clock: Clock;
  readonly #changed: () => void;
  /** Oldest first. */
  readonly #sessions = new Map<string, AgentSession[]>();

  /** `changed` is called after every registration and end. */
  constructor(parts: { clock: Clock; changed: () => void }) {
    this.#clock = parts.clock;
    this.#changed = parts.changed;
  }

  /** True if another connection of the node was open. */
  register(session: AgentSession): boolean {
    const former = this.#sessions.get(session.node) ?? [];
    this.#sessions.set(session.node, [...former, session]);
    void session.closed().then(() => this.#remove(session));
    this.#changed();
    return former.some((other) => !other.isOver);
  }

  /** The connection for a new stream: the newest that is alive, else the newest there is. */
  pick(node: string): AgentSession | undefined {
    const now = this.#clock.wallMs();
    const usable = this.#sessions.get(node)?.filter((session) => !session.isOver && session.expiresMs > now) ?? [];
    return usable.findLast((session) => !session.isSuspect) ?? usable.at(-1);
  }

  isConnected(node: string): boolean {
    return this.pick(node) !== undefined;
  }

  openStreams(node: string): number {
    return this.#sessions.get(node)?.reduce((sum, session) => sum + session.openStreams, 0) ?? 0;
  }

  get nodes(): number {
    return [...this.#sessions.keys()].filter((node) => this.isConnected(node)).length;
  }

  get connections(): number {
    return this.all().length;
  }

  all(): AgentSession[] {
    return [...this.#sessions.values()].flat();
  }

  /** Ends every connection of a node, with its streams. */
  drop(node: string): void {
    for (const session of this.#sessions.get(node) ?? []) session.destroy();
  }

  listing(): NodeListing[] {
    return [...this.#sessions.keys()].sort().flatMap((node) => {
      const session = this.pick(node);
      if (session === undefined) return [];
      return {
        node,
        since: new Date(session.sinceMs).toISOString(),
        address: session.remoteAddress,
        version: session.version,
        streams: this.openStreams(node),
        connections: this.#sessions.get(node)?.length ?? 0,
        suspect: session.isSuspect,
        roundTripMs: session.roundTripMs,
      };
    });
  }

  #remove(session: AgentSession): void {
    const left = (this.#sessions.get(session.node) ?? []).filter((other) => other !== session);
    if (left.length > 0) this.#sessions.set(session.node, left);
    else this.#sessions.delete(session.node);
    this.#changed();
  }
}
