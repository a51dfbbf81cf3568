// Which tunnel servers there are: those of the settings, each address of a name that has several, and those that connected
// servers tell of. The agent holds a connection to every one.
import net from 'node:net';
import type { Endpoint } from '../runtime/settings.ts';
import { formatTarget, parseTarget } from '../tunnel/target.ts';
import type { ServerAddress } from './dial-server.ts';

/** All addresses of a name; rejects when it does not resolve. As dns.promises.lookup with `all`. */
export type Resolve = (host: string) => Promise<readonly string[]>;

/** What servers tell must not make an agent open connections without end. */
const maxServers = 16;

export class ServerSet {
  readonly #resolve: Resolve;
  readonly #named: readonly Endpoint[];
  readonly #serverName: string | undefined;
  readonly #keepsNames: (host: string) => boolean;
  readonly #resolved = new Map<string, readonly string[]>();
  #failed: string | undefined;

  /** `serverName`: what every certificate has to carry instead of its host. `keepsNames`: hosts that a proxy resolves. */
  constructor(
    parts: { resolve: Resolve },
    settings: {
      servers: readonly Endpoint[];
      serverName: string | undefined;
      keepsNames: (host: string) => boolean;
    },
  ) {
    this.#resolve = parts.resolve;
    this.#named = settings.servers;
    this.#serverName = settings.serverName;
    this.#keepsNames = settings.keepsNames;
  }

  /** The name that could not be resolved at the last look and was never before; undefined when all is well. */
  get unresolved(): string | undefined {
    return this.#failed;
  }

  /** Looks names up again; a name that does not resolve now keeps its former addresses. `told`: peers, as servers wrote them. */
  async addresses(told: readonly string[]): Promise<ServerAddress[]> {
    this.#failed = undefined;
    const found = new Map<string, ServerAddress>();
    for (const endpoint of [...this.#named, ...told.flatMap(parsePeers)]) {
      for (const host of await this.#hosts(endpoint.host)) {
        const address = { host, port: endpoint.port, serverName: this.#serverName ?? endpoint.host };
        const key = formatTarget(address);
        if (!found.has(key) && found.size < maxServers) found.set(key, address);
      }
    }
    return [...found.values()];
  }

  async #hosts(host: string): Promise<readonly string[]> {
    if (net.isIP(host) !== 0 || this.#keepsNames(host)) return [host];
    try {
      this.#resolved.set(host, await this.#resolve(host));
    } catch {
      // Without DNS the former addresses are as good as any.
      if (!this.#resolved.has(host)) this.#failed = host;
    }
    return this.#resolved.get(host) ?? [];
  }
}

/** What cannot be read is left out: a newer server may write more than this agent knows. */
function parsePeers(text: string): Endpoint[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean)
    .flatMap((part) => {
      try {
        return [parseTarget(part)];
      } catch {
        return [];
      }
    });
}
