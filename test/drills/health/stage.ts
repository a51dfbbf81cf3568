// What the parts of the health drill stand on: a pool of nodes at one site, each with a hub and its health part, behind links of
// their own to the cloud, and a pod with a Service on each.
import path from 'node:path';
import { metadataOf } from '../../../kube/plain-object.ts';
import type { KubeObject } from '../../../kube/wire.ts';
import { membershipSlices, nodePoolLabel, poolsNamespace } from '../../../peers/membership.ts';
import { parseReport, reportAnnotation, type PeerState, type Report as PeersReport } from '../../../peers/report.ts';
import { Cluster } from '../../cluster/cluster.ts';
import type { ClusterOptions } from '../../cluster/cluster.ts';
import { waitFor } from '../../cluster/commands.ts';
import { registryName } from '../../cluster/images.ts';
import { create } from '../../cluster/manifest.ts';
import type { EdgeNode } from '../../cluster/node.ts';
import { nodeRules } from '../../cluster/node-rules.ts';
import type { DrillContext } from '../drill.ts';
import { hubCaFile, HubProcess, hubUrl } from '../hub-process.ts';
import { podsOn, waitForPods, type Pod } from '../pods.ts';
import type { Report } from '../report.ts';
import { SiteNetwork } from './site-network.ts';

export const poolName = 'shop';
const slices = `/apis/discovery.k8s.io/v1/namespaces/${poolsNamespace}/endpointslices`;
const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
const merge = { contentType: 'application/merge-patch+json' };

export interface PoolNode {
  readonly node: EdgeNode;
  readonly hub: HubProcess;
}

export interface StageSettings {
  readonly nodeNames: readonly string[];
  /** How long the node controller waits for a sign of life; the stock 50 s in the full form. */
  readonly graceMs?: number;
  readonly controlPlane?: ClusterOptions['controlPlane'];
}

const stockGraceMs = 50_000;
/** Two renewals of a Lease and some. */
const quickGraceMs = 24_000;

export class HealthStage {
  readonly quick: boolean;
  readonly report: Report;
  readonly signal: AbortSignal;
  readonly cluster: Cluster;
  readonly nodes: readonly PoolNode[];
  readonly site: SiteNetwork;
  readonly graceMs: number;

  private constructor(context: DrillContext, cluster: Cluster, nodes: readonly EdgeNode[], graceMs: number) {
    this.quick = context.quick;
    this.report = context.report;
    this.signal = context.signal;
    this.cluster = cluster;
    this.graceMs = graceMs;
    this.site = new SiteNetwork(cluster.number, nodes);
    this.nodes = nodes.map((node) => {
      const hub = new HubProcess({ node, plane: cluster.plane }, path.join(cluster.dir, 'holdfast', node.name));
      return { node, hub };
    });
  }

  /** Cluster, nodes with hub and kubelet, pods, pool; returns when each node reports every other one up. */
  static async build(context: DrillContext, settings: StageSettings): Promise<HealthStage> {
    const { report } = context;
    const { nodeNames, controlPlane } = settings;
    const graceMs = settings.graceMs ?? (context.quick ? quickGraceMs : stockGraceMs);
    const grace = `--node-monitor-grace-period=${graceMs / 1000}s`;
    const cluster = await Cluster.up({
      say: (line) => report.say(line),
      controlPlane: {
        ...controlPlane,
        controllerManagerArgs: [grace, ...(controlPlane?.controllerManagerArgs ?? [])],
      },
    });
    context.defer(() => cluster.down());
    context.keepLogs(path.join(cluster.dir, 'control-plane', 'log'));
    const nodes: EdgeNode[] = [];
    for (const name of nodeNames) {
      context.keepLogs(path.join(cluster.dir, 'nodes', name, 'log'));
      nodes.push(await cluster.addNode(name, { rotateCertificates: true }, false));
    }
    const stage = new HealthStage(context, cluster, nodes, graceMs);
    context.defer(() => stage.site.remove());
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

  /** Figures are judged in the full form; the gate waits three times as long, since its machine does other things too. */
  deadline(figureMs: number): number {
    return this.quick ? 3 * figureMs : figureMs;
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

  /** The annotation of the pool; hubs hear of it through their watch. */
  async allowRelay(allowed: boolean): Promise<void> {
    const patch = { metadata: { annotations: { 'holdfast.dev/relay': String(allowed) } } };
    await this.cloud.request('PATCH', `${slices}/${poolName}-0`, patch, merge);
  }

  async podsOn(name: string): Promise<Pod[]> {
    return await podsOn(this.cloud, name);
  }

  /** Boots a node that was powered off, as its init system would. */
  async powerOn({ node, hub }: PoolNode): Promise<void> {
    await node.boot();
    await this.site.connect(node);
    await hub.start();
    await node.startContainerd();
    await node.startKubelet();
  }

  /** Resident memory of the hubs with their health parts, one line each. */
  memory(): string[] {
    return this.nodes.map(
      ({ node, hub }) => `resident memory of the hub of ${node.name}: ${hub.residentMebibytes().toFixed(0)} MiB`,
    );
  }

  async #populate(): Promise<void> {
    await this.site.build();
    await create(this.cloud, nodeRules());
    for (const { node, hub } of this.nodes) {
      hub.install();
      await hub.start();
      (await hub.client()).close();
      node.setServer(hubUrl, hubCaFile);
    }
    await Promise.all(this.nodes.map(({ node }) => node.startKubelet()));
    for (const { node } of this.nodes) {
      await this.cluster.waitForNode(node.name, true, 60_000);
      // A zone for each site: the node controller judges by zones how much of a cluster is gone.
      const labels = { [nodePoolLabel]: poolName, 'topology.kubernetes.io/zone': poolName };
      await this.cloud.request('PATCH', `/api/v1/nodes/${node.name}`, { metadata: { labels } }, merge);
    }
    await this.publishPool();
    const account = '/api/v1/namespaces/default/serviceaccounts/default';
    await waitFor('the default service account is there', () => this.cloud.request('GET', account).then(() => true), {
      deadlineMs: 20_000,
      everyMs: 50,
    });
    for (const { node } of this.nodes) {
      await this.cloud.request('POST', '/api/v1/namespaces/default/pods', serverPod(`web-${node.name}`, node.name));
    }
    for (const { node } of this.nodes) await waitForPods(this.cloud, node.name, 1, 60_000);
    const names = this.nodes.map(({ node }) => node.name);
    for (const name of names) {
      const others = names.filter((other) => other !== name);
      await this.waitForReports(others, name, 'up', 60_000);
    }
  }

  /** As the controllers do, for a cluster where they do not run. */
  async publishPool(): Promise<void> {
    const members = this.nodes.map(({ node }) => ({ nodeName: node.name, address: node.site.nodeAddress }));
    for (const slice of membershipSlices(poolName, members, {}, [])) await this.cloud.request('POST', slices, slice);
  }
}

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
