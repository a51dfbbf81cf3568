// What drills of one hub stand on: a cluster with two equal nodes. `edge` has the hub between its clients and the cloud;
// `plain` talks to the cloud directly, is never cut, and says what a connected node without a hub does.
import path from 'node:path';
import type { ApiClient } from '../cluster/api-client.ts';
import { Cluster } from '../cluster/cluster.ts';
import { waitFor } from '../cluster/commands.ts';
import type { NodeSettings } from '../cluster/cluster.ts';
import type { EdgeNode } from '../cluster/node.ts';
import { deadlineFor, type DrillContext } from './drill.ts';
import { hubCaFile, HubProcess, hubUrl } from './hub-process.ts';
import type { HubStart } from './hub-process.ts';
import { podsOn, waitUntilBack } from './pods.ts';
import type { Pod } from './pods.ts';
import type { Report } from './report.ts';

export interface Reboot {
  /** From pressing the button to the last pod Ready. */
  ms: number;
  pods: Pod[];
}

export interface TwoNodesParts {
  cluster: Cluster;
  edge: EdgeNode;
  plain: EdgeNode;
}

/** Both nodes with containerd and without a kubelet. */
export async function addTwoNodes(context: DrillContext, edgeSettings: NodeSettings): Promise<TwoNodesParts> {
  const { report } = context;
  const cluster = await Cluster.up({ say: (line) => report.say(line) });
  context.defer(() => cluster.down());
  context.keepLogs(path.join(cluster.dir, 'control-plane', 'log'));
  for (const name of ['edge', 'plain']) context.keepLogs(path.join(cluster.dir, 'nodes', name, 'log'));
  const settings = { rotateCertificates: true };
  const edge = await cluster.addNode('edge', { ...settings, ...edgeSettings }, false);
  const plain = await cluster.addNode('plain', settings, false);
  return { cluster, edge, plain };
}

export class TwoNodes {
  readonly quick: boolean;
  readonly report: Report;
  readonly signal: AbortSignal;
  readonly cluster: Cluster;
  readonly edge: EdgeNode;
  readonly plain: EdgeNode;
  readonly hub: HubProcess;
  #hubClient: ApiClient | undefined;

  constructor(context: DrillContext, { cluster, edge, plain }: TwoNodesParts) {
    this.quick = context.quick;
    this.report = context.report;
    this.signal = context.signal;
    this.cluster = cluster;
    this.edge = edge;
    this.plain = plain;
    this.hub = new HubProcess({ node: edge, plane: cluster.plane }, path.join(cluster.dir, 'holdfast'));
    context.defer(async () => this.#hubClient?.close());
  }

  get cloud(): ApiClient {
    return this.cluster.plane.api;
  }

  /** A client of the hub on `edge`, as the node; the same until the node reboots. */
  async throughHub(): Promise<ApiClient> {
    this.#hubClient ??= await this.hub.client();
    return this.#hubClient;
  }

  async edgePods(): Promise<Pod[]> {
    return podsOn(await this.throughHub(), this.edge.name);
  }

  deadline(figureMs: number): number {
    return deadlineFor(this, figureMs);
  }

  /** The hub runs, and the kubelet of `edge` will go through it. */
  async installHub(): Promise<void> {
    this.hub.install();
    await this.hub.start();
    await this.throughHub();
    this.edge.setServer(hubUrl, hubCaFile);
  }

  /** A kubelet makes its Lease ten seconds after it has made its Node; no outage begins before that on a real node. */
  async leasesExist(): Promise<void> {
    for (const { name } of [this.edge, this.plain]) {
      const lease = `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${name}`;
      const exists = async (): Promise<boolean> => (await this.cloud.rawRequest('GET', lease)).status === 200;
      await waitFor(`the Lease of ${name} is there`, exists, { deadlineMs: 180_000, everyMs: 100 });
    }
  }

  /** Power cut of `plain`, which stays connected: the yardstick. */
  async rebootPlain(): Promise<Reboot> {
    const before = await podsOn(this.cloud, this.plain.name);
    await this.plain.powerOff();
    const started = performance.now();
    await this.plain.powerOn();
    const pods = await waitUntilBack(this.cloud, this.plain.name, before, 120_000);
    return { ms: performance.now() - started, pods };
  }

  /** Power cut of `edge`, whatever its link is like; `whileOff` runs before it boots. */
  async rebootEdge(hubStart: HubStart = {}, whileOff?: () => void): Promise<Reboot> {
    const before = await this.edgePods();
    await this.edge.powerOff();
    whileOff?.();
    const started = performance.now();
    const client = await this.bootEdge(hubStart);
    const pods = await waitUntilBack(client, this.edge.name, before, 120_000);
    return { ms: performance.now() - started, pods };
  }

  /** Boots `edge` as its init system would: hub, containerd and kubelet one right after the other. */
  async bootEdge(hubStart: HubStart = {}): Promise<ApiClient> {
    this.#hubClient?.close();
    this.#hubClient = undefined;
    await this.edge.boot();
    await this.hub.start(hubStart);
    await this.edge.startContainerd();
    await this.edge.startKubelet();
    return this.throughHub();
  }
}
