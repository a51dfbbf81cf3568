// For tests of the folder health: nodes with certificates of one cluster, as files in a temporary folder, and ends of their own.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { nullLog } from '../../runtime/log.ts';
import { systemClock } from '../../runtime/clock.ts';
import { Metrics } from '../../runtime/metrics.ts';
import type { Endpoint } from '../../runtime/settings.ts';
import { FakeHub } from './fake-hub.ts';
import { CertificateAuthority, type PemPair } from '../cluster/certificates.ts';
import { claimPort } from '../cluster/ports.ts';
import type { KubeObject } from '../../kube/wire.ts';
import { membershipSlices } from '../../peers/membership.ts';
import { PeerCredentialFiles } from '../../health/credentials.ts';
import { Health, type HealthSettings } from '../../health/health.ts';

export interface TestNode {
  readonly name: string;
  /** On loopback. */
  readonly address: string;
  readonly hub: FakeHub;
  readonly health: Health;
  readonly metrics: Metrics;
  stop(): Promise<void>;
}

export class PeerTest {
  readonly ca = new CertificateAuthority('kubernetes');
  readonly folder = mkdtempSync(path.join(tmpdir(), 'holdfast-peers-'));
  readonly #ends: (() => unknown)[] = [];
  #port: number | undefined;

  defer(end: () => unknown): void {
    this.#ends.unshift(end);
  }

  async close(): Promise<void> {
    for (const end of this.#ends.splice(0)) await end();
    rmSync(this.folder, { recursive: true, force: true });
  }

  certificate(node: string, ca = this.ca): PemPair {
    return ca.client(`system:node:${node}`, ['system:nodes']);
  }

  /** The files of one node, written anew for another pair or CA. */
  credentials(name: string, pair = this.certificate(name), ca = this.ca): PeerCredentialFiles {
    return new PeerCredentialFiles({ log: nullLog, clock: systemClock }, this.sources(name, pair, ca));
  }

  sources(name: string, pair = this.certificate(name), ca = this.ca): HealthSettings['credentials'] {
    const file = path.join(this.folder, `${name}.pem`);
    const caFile = path.join(this.folder, `${name}-ca.crt`);
    writeFileSync(file, pair.certificate + pair.key, { mode: 0o600 });
    writeFileSync(caFile, ca.pair.certificate);
    return { certificate: { file }, key: { file }, clientCA: { file: caFile } };
  }

  /** One port that is free on every address of loopback that nodes of this test have. */
  async peerPort(): Promise<number> {
    this.#port ??= await claimPort();
    return this.#port;
  }

  /** A kubelet's health port that answers `status()`. */
  async kubelet(status: () => number = () => 200): Promise<Endpoint> {
    const server = http.createServer((_request, response) => {
      response.statusCode = status();
      response.end();
    });
    return await this.#listen(server);
  }

  /** Says back what it hears; counts connections. */
  async echo(): Promise<Endpoint & { readonly connections: () => number }> {
    let connections = 0;
    const server = net.createServer((socket) => {
      connections += 1;
      socket.on('error', () => undefined);
      socket.pipe(socket);
      this.defer(() => socket.destroy());
    });
    return { ...(await this.#listen(server)), connections: () => connections };
  }

  async #listen(server: net.Server): Promise<Endpoint> {
    server.listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    this.defer(
      () =>
        new Promise((resolve) => {
          server.close(resolve);
          if (server instanceof http.Server) server.closeAllConnections();
        }),
    );
    return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
  }

  /** A node with its health part, running; probes are fast. */
  async node(name: string, address: string, settings: Partial<HealthSettings> = {}): Promise<TestNode> {
    const hub = new FakeHub();
    const metrics = new Metrics();
    const health = new Health(
      { log: nullLog, clock: systemClock, metrics, random: Math.random },
      {
        nodeName: name,
        credentials: this.sources(name),
        listen: undefined,
        peerPort: await this.peerPort(),
        kubeletHealth: await this.kubelet(),
        relay: true,
        relayTargets: () => [],
        prober: { periodMs: 60, doubtPeriodMs: 30, timeoutMs: 2_000 },
        ...settings,
      },
    );
    const abort = new AbortController();
    const ended = health.run(hub, abort.signal);
    const stop = async (): Promise<void> => {
      abort.abort();
      await ended;
    };
    this.defer(stop);
    return { name, address, hub, health, metrics, stop };
  }
}

/** The pool that these nodes make, told to each of them. */
export function joinPool(nodes: readonly TestNode[], annotations: Readonly<Record<string, string>> = {}): void {
  const members = nodes.map(({ name, address }) => ({ nodeName: name, address }));
  const slices: KubeObject[] = membershipSlices('shop', members, annotations, []);
  for (const { hub } of nodes) hub.pool = { name: 'shop', slices };
}

/** Looks again and again until something holds that no event tells. */
export async function eventually<T>(
  what: string,
  holds: () => T | Promise<T>,
  withinMs = 60_000,
): Promise<NonNullable<T>> {
  const startedMs = performance.now();
  for (;;) {
    const value = await holds();
    if (value !== undefined && value !== null && value !== false) return value;
    if (performance.now() - startedMs > withinMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
