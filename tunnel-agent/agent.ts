// The agent: one link to each tunnel server there is. Links come and go with the servers that names and servers tell of.
import { delay, type Clock } from '../runtime/clock.ts';
import { LinkedAbort } from '../runtime/linked-abort.ts';
import type { Log } from '../runtime/log.ts';
import type { CredentialFiles } from '../tunnel/credential-files.ts';
import { formatTarget } from '../tunnel/target.ts';
import type { ServerAddress } from './dial-server.ts';
import type { Detour } from './detour.ts';
import type { HttpProxy } from './http-proxy.ts';
import type { AgentMetrics } from './metrics.ts';
import { ServerLink, type LinkSettings } from './server-link.ts';
import type { ServerSet } from './server-set.ts';
import type { StreamService } from './stream-service.ts';

export interface AgentParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: AgentMetrics;
  readonly credentials: CredentialFiles;
  readonly service: StreamService;
  readonly servers: ServerSet;
  readonly proxyFor: (host: string) => HttpProxy | undefined;
  /** For when a server cannot be reached otherwise; `noDetour` for none. */
  readonly detour: Detour;
  /** What runs beside the connections until `signal` aborts; never rejects. */
  readonly beside: (signal: AbortSignal) => Promise<void>;
  readonly random: () => number;
}

export interface AgentSettings {
  readonly link: LinkSettings;
  /** Between two looks at names and at what servers told. */
  readonly resolveIntervalMs: number;
}

interface Running {
  readonly link: ServerLink;
  readonly abort: LinkedAbort;
  readonly ended: Promise<void>;
}

/** While a name has never resolved there is nothing to connect to: it is tried again soon. */
const unresolvedRetryMs = 2_000;

export class Agent {
  readonly #parts: AgentParts;
  readonly #settings: AgentSettings;
  readonly #running = new Map<string, Running>();
  #told = '';

  constructor(parts: AgentParts, settings: AgentSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** Servers with a connection that is alive. */
  get connected(): number {
    return [...this.#running.values()].filter(({ link }) => link.isConnected).length;
  }

  /** The servers that are tried, those with a live connection first. */
  servers(): ServerAddress[] {
    const links = [...this.#running.values()].map(({ link }) => link);
    return links.sort((a, b) => Number(b.isConnected) - Number(a.isConnected)).map(({ address }) => address);
  }

  /** The servers that are tried, for people. */
  listing(): unknown {
    return [...this.#running.values()].map(({ link }) => ({
      server: formatTarget(link.address),
      serverName: link.address.serverName,
      connected: link.isConnected,
      ...(link.connection === undefined ? {} : { serverId: link.connection.serverId }),
    }));
  }

  /** Connects until `signal` aborts; resolves when every connection has ended. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, credentials, metrics } = this.#parts;
    const expiry = (): void => metrics.certificateExpiry.set(credentials.current.expiresMs / 1000);
    expiry();
    const rotation = credentials.run(signal, () => {
      expiry();
      for (const { link } of this.#running.values()) link.renew();
    });
    const beside = this.#parts.beside(signal);
    while (!signal.aborted) {
      await this.#refresh(signal);
      await this.#untilRefresh(clock, signal);
    }
    await Promise.all([rotation, beside, ...[...this.#running.values()].map(({ ended }) => ended)]);
  }

  /** Starts links to new servers and ends those to servers that are no longer named. */
  async #refresh(signal: AbortSignal): Promise<void> {
    const { servers, log, metrics } = this.#parts;
    const addresses = await servers.addresses(this.#peers());
    if (signal.aborted) return;
    if (servers.unresolved !== undefined) log.warn('a server name does not resolve', { host: servers.unresolved });
    const wanted = new Set(addresses.map(formatTarget));
    for (const [key, { link, abort }] of this.#running) {
      // A server that still holds a connection is no worse for not being named: what its streams carry goes on.
      if (wanted.has(key) || link.isConnected) continue;
      this.#running.delete(key);
      abort.abort();
    }
    for (const address of addresses) {
      const key = formatTarget(address);
      if (this.#running.has(key)) continue;
      const abort = new LinkedAbort(signal);
      const parts = {
        ...this.#parts,
        proxy: this.#parts.proxyFor(address.host),
        claim: (link: ServerLink, { serverId }: { serverId: string }) => !this.#holds(serverId, link),
        changed: () => this.#changed(),
      };
      const link = new ServerLink(parts, this.#settings.link, address);
      const ended = link.run(abort.signal).finally(() => abort[Symbol.dispose]());
      this.#running.set(key, { link, abort, ended });
    }
    metrics.knownServers.set(this.#running.size);
  }

  #holds(serverId: string, except: ServerLink): boolean {
    return [...this.#running.values()].some(
      ({ link }) => link !== except && link.isConnected && link.connection?.serverId === serverId,
    );
  }

  #peers(): string[] {
    return [...this.#running.values()].flatMap(({ link }) => link.connection?.peers ?? []);
  }

  #changed(): void {
    this.#parts.metrics.servers.set(this.connected);
    this.#look();
  }

  #look: () => void = () => undefined;

  /** Until it is time to look names up again, or servers told of others. */
  async #untilRefresh(clock: Clock, signal: AbortSignal): Promise<void> {
    const waitMs = this.#parts.servers.unresolved === undefined ? this.#settings.resolveIntervalMs : unresolvedRetryMs;
    using abort = new LinkedAbort(signal);
    this.#look = () => {
      const told = this.#peers().join();
      if (told === this.#told || told === '') return;
      this.#told = told;
      abort.abort();
    };
    this.#look();
    await delay(clock, waitMs, abort.signal);
    this.#look = () => undefined;
  }
}
