// Lets peers of the pool whose own way out is gone through to the cloud: one CONNECT, then bytes, TLS from end to end inside
// them. Only to addresses that this node itself is set to use, dialled directly and only while it has a way out of its own: so a
// relay never leads through another one.
import net from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Endpoint } from '../runtime/settings.ts';
import type { HealthMetrics, RelayOutcome } from './metrics.ts';
import { pour } from './pour.ts';

export interface RelayServiceParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: HealthMetrics;
  /** Whether the pool and this node allow relays now. */
  readonly allowed: () => boolean;
  /** Whether this node reaches an API server without a relay. */
  readonly hasWayOut: () => boolean;
  readonly isMember: (node: string) => boolean;
  /** Where relays may lead: API servers and tunnel servers. */
  readonly targets: () => readonly Endpoint[];
}

export interface RelayServiceSettings {
  readonly maxConnections: number;
  readonly maxPerPeer: number;
  readonly dialTimeoutMs: number;
  /** A connection on which nothing went either way for so long is closed: whoever uses it pings more often. */
  readonly idleMs: number;
}

export const defaultRelaySettings: RelayServiceSettings = {
  maxConnections: 256,
  maxPerPeer: 100,
  dialTimeoutMs: 5_000,
  idleMs: 150_000,
};

type Refusal = Exclude<RelayOutcome, 'relayed'>;

const statusOf: Readonly<Record<Refusal, string>> = {
  off: '403 Relay Is Off',
  stranger: '403 Not Of This Pool',
  target: '403 Not A Configured Target',
  'no-way-out': '503 No Way Out',
  limit: '503 Too Many Connections',
  dial: '502 Cannot Be Reached',
};

export class RelayService {
  readonly #parts: RelayServiceParts;
  readonly #settings: RelayServiceSettings;
  readonly #open = new Map<Duplex, string>();

  constructor(parts: RelayServiceParts, settings: RelayServiceSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  get connections(): number {
    return this.#open.size;
  }

  /** Takes over the connection of the verified peer `node`. `head`: what it sent behind its request for `authority`. */
  connect(node: string, authority: string, near: net.Socket, head: Buffer): void {
    const { metrics, log } = this.#parts;
    near.on('error', () => undefined);
    const refuse = (reason: Refusal, problem: string): void => {
      metrics.relayed(reason);
      log.info('a peer was not relayed', { peer: node, reason, problem: problem.slice(0, 200) });
      near.end(`HTTP/1.1 ${statusOf[reason]}\r\nConnection: close\r\n\r\n`);
      // Whoever does not take the refusal holds a descriptor all the same.
      const timer = this.#parts.clock.after(1_000, () => near.destroy());
      near.once('close', () => timer.cancel());
    };
    const target = this.#parts.targets().find((each) => authorityOf(each) === authority.toLowerCase());
    if (!this.#parts.allowed()) return refuse('off', authority);
    if (!this.#parts.isMember(node)) return refuse('stranger', authority);
    if (target === undefined) return refuse('target', authority);
    if (!this.#parts.hasWayOut()) return refuse('no-way-out', authority);
    const ofPeer = [...this.#open.values()].filter((each) => each === node).length;
    if (this.#open.size >= this.#settings.maxConnections || ofPeer >= this.#settings.maxPerPeer)
      return refuse('limit', `${this.#open.size} are open, ${ofPeer} of this peer`);
    this.#open.set(near, node);
    metrics.relayConnections.set(this.#open.size);
    near.once('close', () => {
      this.#open.delete(near);
      metrics.relayConnections.set(this.#open.size);
    });
    this.#dial(node, target, near, head, (problem) => refuse('dial', problem));
  }

  /** Ends every connection. */
  close(): void {
    for (const near of this.#open.keys()) near.destroy();
  }

  #dial(node: string, target: Endpoint, near: net.Socket, head: Buffer, refuse: (problem: string) => void): void {
    const { clock, metrics, log } = this.#parts;
    const { dialTimeoutMs, idleMs } = this.#settings;
    const far = net.connect({ ...target, noDelay: true, keepAlive: true, keepAliveInitialDelay: 15_000 });
    const timer = clock.after(dialTimeoutMs, () => far.destroy(new Error(`no answer within ${dialTimeoutMs} ms`)));
    let connected = false;
    far.on('error', (error) => {
      if (!connected && !near.destroyed) refuse(`${authorityOf(target)}: ${error.message}`);
    });
    far.once('connect', () => {
      connected = true;
      timer.cancel();
      if (near.destroyed) return;
      metrics.relayed('relayed');
      near.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (head.length > 0) far.write(head);
      pour(near, far);
      pour(far, near);
      // Either side alone tells that nothing goes on: what comes in on one goes out on the other.
      near.setTimeout(idleMs, () => near.destroy());
    });
    // TLS inside tells a cut from an end, so that nothing more than to end the other side is called for.
    near.once('close', () => far.destroy());
    far.once('close', () => {
      timer.cancel();
      if (!connected) return;
      metrics.relayBytes(far.bytesWritten, far.bytesRead);
      log.debug('a relayed connection ended', { peer: node, up: far.bytesWritten, down: far.bytesRead });
      near.destroySoon();
    });
  }
}

/** As a peer writes it in its CONNECT. */
export function authorityOf({ host, port }: Endpoint): string {
  return `${net.isIPv6(host) ? `[${host}]` : host}:${port}`.toLowerCase();
}
