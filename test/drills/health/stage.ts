// What the parts of the health drill stand on: pools of nodes, each at a site of its own, each node with a hub, its health part and
// a tunnel agent, behind a link of its own to the cloud, and a pod on each; in the cloud the controllers as they are installed.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { metadataOf } from '../../../kube/plain-object.ts';
import type { KubeObject } from '../../../kube/wire.ts';
import { originalTolerationAnnotation } from '../../../controllers/eviction-guard/objects.ts';
import { nodePoolLabel, poolsNamespace } from '../../../peers/membership.ts';
import { parseReport, reportAnnotation, type PeerState, type Report as PeersReport } from '../../../peers/report.ts';
import type { ApiClient } from '../../cluster/api-client.ts';
import { applyConfig } from '../../cluster/apply-config.ts';
import { Cluster } from '../../cluster/cluster.ts';
import { waitFor } from '../../cluster/commands.ts';
import { registryName } from '../../cluster/images.ts';
import { clusterRoleBinding, create } from '../../cluster/manifest.ts';
import type { EdgeNode } from '../../cluster/node.ts';
import { deadlineFor, type DrillContext } from '../drill.ts';
import { hubCaFile, HubProcess, hubUrl } from '../hub-process.ts';
import { podsOn, waitForPods, type Pod } from '../pods.ts';
import { Replicas } from '../controller-replicas.ts';
import type { Report } from '../report.ts';
import { SiteNetwork } from './site-network.ts';
import { TunnelSide } from './tunnel-side.ts';

const slices = `/apis/discovery.k8s.io/v1/namespaces/${poolsNamespace}/endpointslices`;
const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
const nodePools = '/apis/apps.openyurt.io/v1beta2/nodepools';
const relayAnnotation = 'holdfast.dev/relay';
const tunnelConfigFile = '/etc/holdfast/tunnel-agent.yaml';
const hubStart = { flags: ['--tunnel-config', tunnelConfigFile] } as const;

export interface PoolSettings {
  readonly name: string;
  readonly nodes: readonly { readonly name: string; readonly lan?: number }[];
  /** Whether its nodes lend each other their ways out. */
  readonly relay: boolean;
}

export interface PoolNode {
  readonly node: EdgeNode;
  readonly hub: HubProcess;
  readonly pool: string;
}

export interface NodeCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** How long the node controller waits for a sign of life: stock, or two renewals of a Lease and some. */
const graceMs = { full: 50_000, quick: 24_000 } as const;
/** How long a pod stays on a node that is not heard of, if nobody says otherwise. */
const staySeconds = { full: 300, quick: 5 } as const;

export class HealthStage {
  readonly quick: boolean;
  readonly report: Report;
  readonly signal: AbortSignal;
  readonly cluster: Cluster;
  readonly nodes: readonly PoolNode[];
  readonly tunnel: TunnelSide;
  readonly controllers: Replicas;
  readonly graceMs: number;
  readonly staySeconds: number;
  readonly #pools: readonly PoolSettings[];
  readonly #sites: ReadonlyMap<string, SiteNetwork>;

  private constructor(
    context: DrillContext,
    parts: { cluster: Cluster; tunnel: TunnelSide; controllers: Replicas },
    pools: readonly PoolSettings[],
    nodes: ReadonlyMap<string, readonly EdgeNode[]>,
  ) {
    const { cluster } = parts;
    const form = context.quick ? 'quick' : 'full';
    this.quick = context.quick;
    this.report = context.report;
    this.signal = context.signal;
    this.cluster = cluster;
    this.tunnel = parts.tunnel;
    this.controllers = parts.controllers;
    this.graceMs = graceMs[form];
    this.staySeconds = staySeconds[form];
    this.#pools = pools;
    this.#sites = new Map([...nodes].map(([pool, all]) => [pool, new SiteNetwork(cluster.number, pool, all)]));
    this.nodes = [...nodes].flatMap(([pool, all]) =>
      all.map((node) => {
        const hub = new HubProcess({ node, plane: cluster.plane }, path.join(cluster.dir, 'holdfast', node.name));
        return { node, hub, pool };
      }),
    );
  }

  /** Returns when every node reports the others of its pool up, and the guard has seen to the pods. */
  static async build(context: DrillContext, pools: readonly PoolSettings[]): Promise<HealthStage> {
    const { report, quick } = context;
    const folder = mkdtempSync(path.join(tmpdir(), 'holdfast-drill-'));
    context.defer(async () => rmSync(folder, { recursive: true, force: true }));
    const tunnel = new TunnelSide(folder);
    const form = quick ? 'quick' : 'full';
    const cluster = await Cluster.up({
      say: (line) => report.say(line),
      controlPlane: {
        apiserverArgs: [
          ...tunnel.apiserverArgs(),
          // Not that for NotReady: each node is so for a moment when it starts.
          `--default-unreachable-toleration-seconds=${staySeconds[form]}`,
        ],
        controllerManagerArgs: [`--node-monitor-grace-period=${graceMs[form] / 1000}s`],
      },
    });
    context.defer(() => cluster.down());
    const { plane } = cluster;
    context.keepLogs(path.join(cluster.dir, 'control-plane', 'log'));
    context.keepLogs(path.join(plane.dir, 'controllers'));
    await applyConfig(plane, 'crds', 'rbac', 'controllers');
    const controllers = await Replicas.install(plane);
    context.defer(() => controllers.kill('controllers-1'));
    await controllers.start('controllers-1');
    context.defer(() => tunnel.stop());
    await tunnel.start(plane);
    const nodes = new Map<string, EdgeNode[]>();
    for (const pool of pools) {
      nodes.set(pool.name, []);
      for (const { name, lan } of pool.nodes) {
        context.keepLogs(path.join(cluster.dir, 'nodes', name, 'log'));
        const settings = { rotateCertificates: true, ...(lan === undefined ? {} : { lan }) };
        nodes.get(pool.name)?.push(await cluster.addNode(name, settings, false));
      }
    }
    const stage = new HealthStage(context, { cluster, tunnel, controllers }, pools, nodes);
    context.defer(async () => {
      for (const site of stage.#sites.values()) await site.remove();
    });
    await stage.#populate();
    return stage;
  }

  get cloud(): Cluster['plane']['api'] {
    return this.cluster.plane.api;
  }

  at(name: string): PoolNode {
    const found = this.nodes.find(({ node }) => node.name === name);
    if (found === undefined) throw new TypeError(`no node ${name}`);
    return found;
  }

  deadline(figureMs: number): number {
    return deadlineFor(this, figureMs);
  }

  /** What the node's Lease says of its peers, as the guard reads it; undefined without a report that can be read. */
  async reportOf(name: string): Promise<PeersReport | undefined> {
    const lease = await this.cloud.request<KubeObject>('GET', `${leases}/${name}`);
    const annotations = metadataOf(lease)['annotations'] as Record<string, string> | undefined;
    const parsed = parseReport(annotations?.[reportAnnotation] ?? '', name);
    return parsed.ok ? parsed.report : undefined;
  }

  async renewTimeOf(name: string): Promise<string> {
    const lease = await this.cloud.request<{ spec: { renewTime: string } }>('GET', `${leases}/${name}`);
    return lease.spec.renewTime;
  }

  /** Waits until every one of `observers` reports `subject` to be so. */
  async waitForReports(
    observers: readonly string[],
    subject: string,
    state: PeerState,
    deadlineMs: number,
  ): Promise<void> {
    const seen = async (): Promise<boolean> => {
      for (const observer of observers) {
        const said = (await this.reportOf(observer))?.peers.find(({ name }) => name === subject)?.state;
        if (said !== state) throw new Error(`${observer} says ${said ?? 'nothing'}`);
      }
      return true;
    };
    await waitFor(`${observers.join(' and ')} report ${subject} ${state}`, seen, { deadlineMs, everyMs: 250 });
  }

  /** Returns when it stands in what the hubs of the pool watch. */
  async allowRelay(pool: string, allowed: boolean): Promise<void> {
    const metadata = { annotations: { [relayAnnotation]: String(allowed) } };
    await this.cloud.request('PATCH', `${nodePools}/${pool}`, { metadata });
    const published = async (): Promise<boolean> => {
      const slice = await this.cloud.request<KubeObject>('GET', `${slices}/${pool}-0`);
      return JSON.stringify(metadataOf(slice)['annotations'] ?? {}).includes(`"${relayAnnotation}":"${allowed}"`);
    };
    await waitFor('the annotation is published', published, { deadlineMs: 180_000, everyMs: 100 });
  }

  /** What the guard says of a node, and undefined before it has said anything. */
  async conditionOf(name: string): Promise<NodeCondition | undefined> {
    const node = await this.cloud.request<{ status: { conditions: NodeCondition[] } }>('GET', `/api/v1/nodes/${name}`);
    return node.status.conditions.find(({ type }) => type === 'PeerHealth');
  }

  /** Of a node that was never in doubt the guard says nothing. */
  async isAlive(name: string): Promise<boolean> {
    return ((await this.conditionOf(name))?.reason ?? 'Alive') === 'Alive';
  }

  async waitForReason(name: string, reason: string, deadlineMs: number): Promise<NodeCondition> {
    return await waitFor(
      `PeerHealth of ${name} says ${reason}`,
      async () => {
        const found = await this.conditionOf(name);
        if (found?.reason === reason) return found;
        throw new Error(`${found?.reason ?? 'nothing'}: ${found?.message ?? ''}`);
      },
      { deadlineMs, everyMs: 250 },
    );
  }

  /** The hub of a node, asked as kube-proxy does; the caller closes it. */
  async asKubeProxy(name: string): Promise<ApiClient> {
    return await this.at(name).hub.client({ token: await this.cluster.plane.token('kube-system', 'kube-proxy') });
  }

  membersOf(pool: string): string[] {
    return this.nodes.filter((each) => each.pool === pool).map(({ node }) => node.name);
  }

  async podsOn(name: string): Promise<Pod[]> {
    return await podsOn(this.cloud, name);
  }

  /** A power cut. What the kernel of a node that is off would answer must not be heard at its site either. */
  async powerOff({ node, pool }: PoolNode): Promise<void> {
    await this.#sites.get(pool)?.plug(node, false);
    await node.powerOff();
  }

  /** Boots a node that was powered off, as its init system would. */
  async powerOn({ node, hub, pool }: PoolNode): Promise<void> {
    await node.boot();
    await this.#sites.get(pool)?.connect(node);
    await hub.start(hubStart);
    await node.startContainerd();
    await node.startKubelet();
  }

  /** Resident memory of the hubs with their health parts, one line each. */
  memory(): string[] {
    return this.nodes
      .filter(({ hub }) => hub.pid !== undefined)
      .map(({ node, hub }) => `resident memory of the hub of ${node.name}: ${hub.residentMebibytes().toFixed(0)} MiB`);
  }

  /** The guard has set, ahead, how long the pods of a node stay. */
  async #waitUntilKept(name: string): Promise<void> {
    const kept = async (): Promise<boolean> => {
      const pods = (await this.podsOn(name)) as (Pod & { metadata: { annotations?: Record<string, string> } })[];
      return pods.every(({ metadata }) => metadata.annotations?.[originalTolerationAnnotation] !== undefined);
    };
    await waitFor(`the pods of ${name} are kept`, kept, { deadlineMs: 180_000, everyMs: 250 });
  }

  async #populate(): Promise<void> {
    for (const site of this.#sites.values()) await site.build();
    for (const { name, relay } of this.#pools)
      await this.cloud.request('POST', nodePools, {
        apiVersion: 'apps.openyurt.io/v1beta2',
        kind: 'NodePool',
        metadata: { name, annotations: { [relayAnnotation]: String(relay) } },
        spec: { type: 'Edge' },
      });
    for (const { node, hub } of this.nodes) {
      hub.install();
      const settings = node.file(tunnelConfigFile);
      mkdirSync(path.dirname(settings), { recursive: true });
      writeFileSync(settings, JSON.stringify(this.tunnel.agentSettings(this.cluster.plane.address)));
      await hub.start(hubStart);
      (await hub.client()).close();
      node.setServer(hubUrl, hubCaFile);
    }
    await Promise.all(this.nodes.map(({ node }) => node.startKubelet()));
    for (const { node, pool } of this.nodes) {
      await this.cluster.waitForNode(node.name, true, 180_000);
      // A zone for each site: the node controller judges by zones how much of a cluster is gone.
      const labels = { [nodePoolLabel]: pool, 'topology.kubernetes.io/zone': pool };
      await this.cloud.request('PATCH', `/api/v1/nodes/${node.name}`, { metadata: { labels } });
    }
    const account = '/api/v1/namespaces/default/serviceaccounts/default';
    await waitFor('the default service account is there', () => this.cloud.request('GET', account).then(() => true), {
      deadlineMs: 180_000,
    });
    await create(this.cloud, [
      clusterRoleBinding('kube-proxy', 'system:node-proxier', { name: 'kube-proxy', namespace: 'kube-system' }),
      {
        path: '/api/v1/namespaces/default/services',
        body: { metadata: { name: 'web' }, spec: { selector: { app: 'web' }, ports: [{ port: 8080 }] } },
      },
      ...this.nodes.map(({ node }) => ({
        path: '/api/v1/namespaces/default/pods',
        body: serverPod(webPod(node.name), node.name),
      })),
    ]);
    for (const { node } of this.nodes) await waitForPods(this.cloud, node.name, 1, 180_000);
    for (const { node, pool } of this.nodes) {
      const others = this.membersOf(pool).filter((other) => other !== node.name);
      await this.waitForReports(others, node.name, 'up', 180_000);
      if (others.length > 0) await this.#waitUntilKept(node.name);
    }
  }
}

/** The pod that every node has from the start. */
export const webPod = (nodeName: string): string => `web-${nodeName}`;

/** On a node of its own, tied to it by nothing but the scheduler's field. */
export function serverPod(name: string, nodeName: string): KubeObject {
  const script = 'mkdir -p /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www';
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: 'web' } },
    spec: {
      nodeName,
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'main', image: `${registryName}/busybox:1`, command: ['sh', '-c', script] }],
    },
  };
}
