// Nodes of one pool that have no machine: each renews its Lease as itself (system:node:NAME, so that NodeRestriction judges), with
// the report that its hub would add, about a world in which tests switch nodes and links off. Time runs faster by a factor, for the
// reports as for the guard.
import { Observation } from '../../../peers/observers.ts';
import { membershipSlices, nodePoolLabel, poolsNamespace, type Member } from '../../../peers/membership.ts';
import { formatReport, reportAnnotation, type PeerReport } from '../../../peers/report.ts';
import { noRounds } from '../../../peers/rounds.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { ApiClient } from '../../cluster/api-client.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';

/** As kubelets do, in the time of the clock. */
const renewMs = 10_000;
const probeMs = 1_000;
const hysteresisMs = 3_000;

export const leasePath = (name: string): string =>
  `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${name}`;

interface Lease {
  metadata: { name: string; annotations?: Record<string, string> };
  spec: { renewTime: string; [field: string]: unknown };
}

/** A clock that runs `factor` times as fast. */
export function fasterClock(factor: number): Clock {
  return {
    wallMs: () => Date.now(),
    monotonicMs: () => performance.now() * factor,
    after(delayMs, callback) {
      const timeout = setTimeout(callback, delayMs / factor);
      timeout.unref();
      return { cancel: () => clearTimeout(timeout) };
    },
  };
}

export class PretendedNode {
  readonly name: string;
  readonly api: ApiClient;
  /** Runs; else nothing of it is to be seen. */
  isOn = true;
  /** Reaches the API server. */
  hasUplink = true;
  /** Writes this instead of its report. */
  forgery: ((report: string) => string) | undefined;
  seq = 0;
  readonly boot = Array.from({ length: 16 }, () => Math.floor(Math.random() * 16).toString(16)).join('');
  onlineSinceMs: number;
  /** Since when it has had no answer of a peer. */
  readonly unansweredSinceMs = new Map<string, number>();

  constructor(name: string, api: ApiClient, nowMs: number) {
    this.name = name;
    this.api = api;
    this.onlineSinceMs = nowMs;
  }
}

export class PretendedPool {
  readonly name: string;
  readonly nodes: readonly PretendedNode[];
  readonly #plane: ControlPlane;
  readonly #clock: Clock;
  readonly #observation: Observation;
  /** Names of nodes on each side of a split; undefined: all see each other. */
  sides: readonly (readonly string[])[] | undefined;
  #ended = false;
  #running: Promise<unknown> = Promise.resolve();

  private constructor(plane: ControlPlane, clock: Clock, name: string, size: number) {
    this.name = name;
    this.#plane = plane;
    this.#clock = clock;
    const server = { url: plane.url, ca: plane.ca };
    this.nodes = Array.from({ length: size }, (_, n) => {
      const nodeName = `${name}-${n + 1}`;
      return new PretendedNode(nodeName, new ApiClient(server, plane.nodeCertificate(nodeName)), clock.monotonicMs());
    });
    this.#observation = new Observation(
      this.nodes.map((node) => node.name),
      5,
    );
  }

  /** Nodes that are Ready and renew their Leases, and the pool's membership. */
  static async start(
    plane: ControlPlane,
    clock: Clock,
    name: string,
    size: number,
    annotations: Readonly<Record<string, string>> = {},
  ): Promise<PretendedPool> {
    const pool = new PretendedPool(plane, clock, name, size);
    const members: Member[] = pool.nodes.map((node, n) => ({ nodeName: node.name, address: `192.0.2.${n + 1}` }));
    await plane.rawRequest('POST', '/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: poolsNamespace },
    });
    await Promise.all(pool.nodes.map((node) => pool.#join(node)));
    for (const slice of membershipSlices(name, members, annotations, []))
      await plane.request('POST', `/apis/discovery.k8s.io/v1/namespaces/${poolsNamespace}/endpointslices`, slice);
    pool.#running = Promise.all(pool.nodes.map((node, n) => pool.#live(node, n)));
    return pool;
  }

  node(n: number): PretendedNode {
    return this.nodes[n - 1]!;
  }

  /** All Leases are left as they are. */
  async stop(): Promise<void> {
    this.#ended = true;
    await this.#running;
    for (const { api } of this.nodes) api.close();
  }

  /** The machine itself is started again: its hub knows nothing of before. */
  powerOn(node: PretendedNode): void {
    node.unansweredSinceMs.clear();
    node.onlineSinceMs = this.#clock.monotonicMs();
    node.isOn = true;
  }

  restoreUplink(node: PretendedNode): void {
    node.onlineSinceMs = this.#clock.monotonicMs();
    node.hasUplink = true;
  }

  async #join(node: PretendedNode): Promise<void> {
    const { name } = node;
    await this.#plane.request('POST', '/api/v1/nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name,
        labels: {
          [nodePoolLabel]: this.name,
          'topology.kubernetes.io/zone': this.name,
          'kubernetes.io/hostname': name,
        },
      },
    });
    const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
    const ready = {
      type: 'Ready',
      status: 'True',
      reason: 'Pretended',
      lastHeartbeatTime: now,
      lastTransitionTime: now,
    };
    const resources = { cpu: '8', memory: '16Gi', pods: '50' };
    await this.#plane.request('PATCH', `/api/v1/nodes/${name}/status`, {
      status: {
        conditions: [ready],
        capacity: resources,
        allocatable: resources,
        nodeInfo: {
          bootID: `boot-of-${name}`,
          machineID: '',
          systemUUID: '',
          kernelVersion: '',
          osImage: '',
          containerRuntimeVersion: '',
          kubeletVersion: 'v1.34.0',
          kubeProxyVersion: '',
          operatingSystem: 'linux',
          architecture: 'amd64',
        },
      },
    });
    await node.api.request('POST', leasePath('').replace(/\/$/, ''), {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name },
      spec: { holderIdentity: name, leaseDurationSeconds: 40, renewTime: microTime() },
    });
  }

  /** Until the pool is stopped. Nodes do not renew in step. */
  async #live(node: PretendedNode, n: number): Promise<void> {
    await this.#pause((renewMs * n) / this.nodes.length);
    while (!this.#ended) {
      if (node.isOn) {
        this.#probe(node);
        if (node.hasUplink) await this.renew(node).catch(() => undefined);
      }
      // Probes are more frequent than renewals, and what they see counts from when they saw it.
      for (let waited = 0; waited < renewMs && !this.#ended; waited += probeMs) {
        await this.#pause(probeMs);
        if (node.isOn) this.#probe(node);
      }
    }
  }

  /** Its Lease once, as the kubelet puts it with the hub's report in it. */
  async renew(node: PretendedNode): Promise<void> {
    const lease = await node.api.request<Lease>('GET', leasePath(node.name));
    const report = this.report(node);
    lease.spec.renewTime = microTime();
    lease.metadata.annotations = {
      ...lease.metadata.annotations,
      [reportAnnotation]: node.forgery === undefined ? report : node.forgery(report),
    };
    await node.api.request('PUT', leasePath(node.name), lease);
  }

  report(node: PretendedNode): string {
    const nowMs = this.#clock.monotonicMs();
    node.seq += 1;
    return formatReport({
      reporter: node.name,
      pool: this.name,
      boot: node.boot,
      seq: node.seq,
      onlineSeconds: (nowMs - node.onlineSinceMs) / 1000,
      cutSeconds: 0,
      // As a hub of before: the guard goes by what it has watched.
      renewals: noRounds,
      peers: this.#observation.observedBy(node.name).map((peer): PeerReport => {
        const silentMs = nowMs - (node.unansweredSinceMs.get(peer) ?? nowMs);
        const isSilent = silentMs >= hysteresisMs;
        return {
          name: peer,
          state: isSilent ? 'silent' : 'up',
          forSeconds: isSilent ? silentMs / 1000 : 60,
          probedSeconds: 1,
          failures: isSilent ? Math.floor(silentMs / probeMs) : 0,
          probes: noRounds,
        };
      }),
    });
  }

  #probe(node: PretendedNode): void {
    for (const peer of this.#observation.observedBy(node.name))
      if (this.#sees(node.name, peer)) node.unansweredSinceMs.delete(peer);
      else if (!node.unansweredSinceMs.has(peer)) node.unansweredSinceMs.set(peer, this.#clock.monotonicMs());
  }

  #sees(one: string, other: string): boolean {
    if (this.nodes.find(({ name }) => name === other)?.isOn !== true) return false;
    return this.sides === undefined || this.sides.some((side) => side.includes(one) && side.includes(other));
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(ms, resolve));
  }
}

function microTime(): string {
  return new Date().toISOString().replace('Z', '000Z');
}
