// What all parts of the autonomy drill stand on: one cluster with two equal nodes. `edge` has the hub between kubelet and
// cloud; `plain` talks to the cloud directly, is never cut, and says what a connected node without a hub does.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ApiClient } from '../../cluster/api-client.ts';
import { Cluster } from '../../cluster/cluster.ts';
import { waitFor } from '../../cluster/commands.ts';
import type { EdgeNode } from '../../cluster/node.ts';
import type { DrillContext } from '../drill.ts';
import { hubCaFile, HubProcess, hubUrl } from '../hub-process.ts';
import type { HubStart } from '../hub-process.ts';
import { podsOn, waitForPods, waitUntilBack } from '../pods.ts';
import type { Pod } from '../pods.ts';
import type { Report } from '../report.ts';
import { dataFolder, namespace, nodeManifests, podsPerNode, sharedManifests, staticPod } from '../workload.ts';
import { CloudWrites } from './cloud-writes.ts';

export interface Reboot {
  /** From pressing the button to the last pod Ready. */
  ms: number;
  pods: Pod[];
}

export class Stage {
  readonly quick: boolean;
  readonly report: Report;
  readonly signal: AbortSignal;
  readonly cluster: Cluster;
  readonly edge: EdgeNode;
  readonly plain: EdgeNode;
  readonly hub: HubProcess;
  readonly writes: CloudWrites;
  #hubClient: ApiClient | undefined;

  private constructor(context: DrillContext, cluster: Cluster, edge: EdgeNode, plain: EdgeNode) {
    this.quick = context.quick;
    this.report = context.report;
    this.signal = context.signal;
    this.cluster = cluster;
    this.edge = edge;
    this.plain = plain;
    this.hub = new HubProcess({ node: edge, plane: cluster.plane }, path.join(cluster.dir, 'holdfast'));
    this.writes = new CloudWrites(cluster.plane.api);
  }

  /** Cluster, both nodes, hub, workload; returns when all pods of both nodes are Ready. */
  static async build(context: DrillContext): Promise<Stage> {
    const { report } = context;
    const cluster = await Cluster.up({ say: (line) => report.say(line) });
    context.defer(() => cluster.down());
    context.keepLogs(path.join(cluster.dir, 'control-plane', 'log'));
    for (const name of ['edge', 'plain']) context.keepLogs(path.join(cluster.dir, 'nodes', name, 'log'));
    const settings = { rotateCertificates: true };
    const edge = await cluster.addNode('edge', { ...settings, disks: { '/var/lib/holdfast': 128 } }, false);
    const plain = await cluster.addNode('plain', settings, false);
    const stage = new Stage(context, cluster, edge, plain);
    context.defer(() => stage.writes.stop());
    context.defer(async () => stage.#hubClient?.close());
    await stage.#populate();
    return stage;
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

  /** Figures are judged in the full form; the gate waits three times as long, since its machine does other things too. */
  deadline(figureMs: number): number {
    return this.quick ? 3 * figureMs : figureMs;
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

  /** pids and ids of everything that containerd runs on a node, sorted. */
  async tasks(node: EdgeNode): Promise<string[]> {
    const list = await node.ctr(['-n', 'k8s.io', 'tasks', 'list']);
    return list.split('\n').slice(1).filter(Boolean).sort();
  }

  writeData(node: EdgeNode, name: string, content = ''): void {
    writeFileSync(path.join(node.file(dataFolder), name), content);
  }

  async #populate(): Promise<void> {
    for (const node of [this.edge, this.plain]) {
      mkdirSync(path.join(node.file(dataFolder), 'volume'), { recursive: true });
      this.writeData(node, 'ready');
      node.writeManifest('static', staticPod());
    }
    this.hub.install();
    await this.hub.start();
    await this.throughHub();
    this.edge.setServer(hubUrl, hubCaFile);
    for (const { path: collection, body } of sharedManifests()) await this.cloud.request('POST', collection, body);
    await waitFor(
      'the default service account is there',
      () => this.cloud.request('GET', `/api/v1/namespaces/${namespace}/serviceaccounts/default`).then(() => true),
      { deadlineMs: 20_000, everyMs: 50 },
    );
    await Promise.all([this.edge.startKubelet(), this.plain.startKubelet()]);
    for (const node of [this.edge, this.plain]) {
      for (const { path: collection, body } of nodeManifests(node.name)) {
        await this.cloud.request('POST', collection, body);
      }
    }
    // Finished or not, the job's pod counts; it runs until a part of the drill lets it end.
    for (const node of [this.edge, this.plain]) await waitForPods(this.cloud, node.name, podsPerNode, 90_000);
    await waitForPods(await this.throughHub(), this.edge.name, podsPerNode, 10_000);
    // A kubelet makes its Lease ten seconds after it has made its Node; no outage begins before that on a real node.
    for (const { name } of [this.edge, this.plain]) await this.#leaseOf(name);
  }

  async #leaseOf(name: string): Promise<void> {
    const lease = `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${name}`;
    await waitFor(
      `the Lease of ${name} is there`,
      () =>
        this.cloud.request('GET', lease).then(
          () => true,
          () => false,
        ),
      {
        deadlineMs: 30_000,
        everyMs: 100,
      },
    );
  }
}
