// Way in 3, for API servers whose flags may not change: connections of this host to the kubelets of edge nodes are redirected
// to a port on loopback, one for each address, and carried to the node byte for byte, so that TLS ends at the kubelet.
import net, { type AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { delay, type Clock } from '../../runtime/clock.ts';
import { LinkedAbort } from '../../runtime/linked-abort.ts';
import type { Log } from '../../runtime/log.ts';
import { formatTarget } from '../../tunnel/target.ts';
import { RefusedError } from '../../tunnel/refusal.ts';
import type { Connector } from '../connector.ts';
import type { Directory } from '../directory.ts';
import type { ServerMetrics } from '../metrics.ts';
import type { Route } from '../route.ts';
import type { AddressReport } from './address-report.ts';
import type { Nftables } from './nftables.ts';
import { planDnat, type DnatPlan } from './plan.ts';

export interface DnatModeParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: ServerMetrics;
  readonly connector: Pick<Connector, 'join'>;
  readonly directory: Pick<Directory, 'nodesSynced' | 'nodeAddresses' | 'reportedNodes'>;
  readonly nftables: Pick<Nftables, 'clear' | 'replace' | 'release'>;
  readonly report: Pick<AddressReport, 'write'>;
  /** Whether a node is reached through the tunnel only. */
  readonly isEdge: (node: string) => boolean;
}

/** Also when nothing has changed: a firewall that is loaded anew flushes every table. */
const checkEveryMs = 15_000;

interface Door {
  readonly node: string;
  readonly server: net.Server;
  readonly port: number;
}

export class DnatMode {
  readonly #parts: DnatModeParts;
  readonly #port: number;
  /** By address. */
  #doors = new Map<string, Door>();
  #wake: () => void = () => undefined;
  #changed = false;
  #problem = '';
  #set = { text: '', atMs: Number.NEGATIVE_INFINITY };

  constructor(parts: DnatModeParts, { port }: { port: number }) {
    this.#parts = parts;
    this.#port = port;
  }

  /** Removes what a predecessor that was killed has left. Rejects with TunnelError (ERR_TUNNEL_NFTABLES). */
  async prepare(): Promise<void> {
    await this.#parts.nftables.clear();
  }

  /** Nodes have changed, or become known. */
  changed(): void {
    this.#changed = true;
    this.#wake();
  }

  /** Keeps rules in step until `signal` aborts, then removes them; connections that stand go on. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, directory, log, nftables, report } = this.#parts;
    while (!signal.aborted) {
      this.#changed = false;
      if (directory.nodesSynced) {
        const plan = planDnat(this.#nodes(), isOwnAddress);
        await this.#follow(plan);
        await report.write(plan.conflicts, directory.reportedNodes(), signal);
      }
      if (this.#changed || signal.aborted) continue;
      using wait = new LinkedAbort(signal);
      this.#wake = () => wait.abort();
      await delay(clock, checkEveryMs, wait.signal);
    }
    await nftables.release().catch((error: unknown) => {
      log.warn('the rules of nftables cannot be removed', { problem: (error as Error).message });
    });
    for (const { server } of this.#doors.values()) server.close();
    this.#doors.clear();
  }

  *#nodes(): Iterable<{ name: string; isEdge: boolean; addresses: readonly string[] }> {
    for (const { name, addresses } of this.#parts.directory.nodeAddresses())
      yield { name, addresses, isEdge: this.#parts.isEdge(name) };
  }

  /** New doors first, then the rules in one step, then the doors that no rule names any more. */
  async #follow(plan: DnatPlan): Promise<void> {
    const { log, clock, metrics, nftables } = this.#parts;
    const doors = new Map<string, Door>();
    try {
      for (const [address, node] of plan.mapped) {
        const former = this.#doors.get(address);
        doors.set(address, former?.node === node ? former : await this.#open(address, node));
      }
      const redirects = new Map([...doors].map(([address, { port }]) => [address, port]));
      const ruleset = { port: this.#port, redirects, refused: plan.refused };
      const text = JSON.stringify([...redirects, ...plan.refused]);
      const nowMs = clock.monotonicMs();
      // Nodes change all the time, their addresses hardly ever.
      if (text !== this.#set.text || nowMs - this.#set.atMs >= checkEveryMs) {
        await nftables.replace(ruleset);
        this.#set = { text, atMs: nowMs };
      }
    } catch (error) {
      // The rules are as they were: so must be the doors that they lead to.
      for (const [address, door] of doors) if (this.#doors.get(address) !== door) door.server.close();
      const problem = (error as Error).message;
      if (problem !== this.#problem) log.error('rules of nftables cannot be set; tried again', { problem });
      this.#problem = problem;
      metrics.dnatInStep.set(0);
      return;
    }
    for (const [address, door] of this.#doors) if (doors.get(address) !== door) door.server.close();
    this.#doors = doors;
    this.#problem = '';
    metrics.dnatInStep.set(1);
    metrics.dnatAddresses.set(doors.size);
    metrics.dnatConflicts.set(plan.conflicts.size);
  }

  /** By name, whatever has the address later. */
  async #open(address: string, node: string): Promise<Door> {
    const authority = formatTarget({ host: node, port: this.#port });
    const server = net.createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) => {
      void this.#parts.connector.join({ way: 'dnat', authority, socket, allow });
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, net.isIPv4(address) ? '127.0.0.1' : '::1', resolve);
    });
    return { node, server, port: (server.address() as AddressInfo).port };
  }
}

/** What is dialled directly would come back to the same door. */
async function allow(route: Route): Promise<void> {
  if (route.kind === 'direct') throw new RefusedError('not-connected', `${route.target.host} is no edge node any more`);
}

function isOwnAddress(address: string): boolean {
  return Object.values(networkInterfaces()).some((each) => each?.some((own) => own.address === address));
}
