// What all parts of the autonomy drill stand on: two nodes with the kinds of pods that fail rivals after an offline reboot.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { waitFor } from '../../cluster/commands.ts';
import { create, type Manifest } from '../../cluster/manifest.ts';
import type { EdgeNode } from '../../cluster/node.ts';
import type { DrillContext } from '../drill.ts';
import { waitForPods } from '../pods.ts';
import { addTwoNodes, TwoNodes } from '../two-nodes.ts';
import type { TwoNodesParts } from '../two-nodes.ts';
import {
  dataFolder,
  namespace,
  nodeManifests,
  nodeVolume,
  podsPerNode,
  sharedManifests,
  staticPod,
} from '../workload.ts';
import { CloudWrites } from './cloud-writes.ts';

export class Stage extends TwoNodes {
  readonly writes: CloudWrites;

  private constructor(context: DrillContext, parts: TwoNodesParts) {
    super(context, parts);
    this.writes = new CloudWrites(this.cloud);
    context.defer(() => this.writes.stop());
  }

  /** Cluster, both nodes, hub, workload; returns when all pods of both nodes are Ready. */
  static async build(context: DrillContext): Promise<Stage> {
    const stage = new Stage(context, await addTwoNodes(context, { disks: { '/var/lib/holdfast': 128 } }));
    await stage.#populate();
    return stage;
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
    await this.installHub();
    await create(this.cloud, sharedManifests());
    await waitFor(
      'the default service account is there',
      () => this.cloud.request('GET', `/api/v1/namespaces/${namespace}/serviceaccounts/default`).then(() => true),
      { deadlineMs: 180_000, everyMs: 50 },
    );
    await Promise.all([this.edge.startKubelet(), this.plain.startKubelet()]);
    for (const node of [this.edge, this.plain]) {
      await this.#bindVolume(node.name);
      await create(this.cloud, nodeManifests(node.name));
    }
    // Finished or not, the job's pod counts; it runs until a part of the drill lets it end.
    for (const node of [this.edge, this.plain]) await waitForPods(this.cloud, node.name, podsPerNode, 180_000);
    await waitForPods(await this.throughHub(), this.edge.name, podsPerNode, 180_000);
    await this.leasesExist();
  }

  /**
   * A pod whose claim is bound just as the scheduler gives up on it is looked at again after five minutes; and a claim that finds no
   * volume yet is bound 15 s later.
   */
  async #bindVolume(nodeName: string): Promise<void> {
    const { volume, claim } = nodeVolume(nodeName);
    await create(this.cloud, [volume]);
    await this.#phaseIs('Available', volume);
    await create(this.cloud, [claim]);
    await this.#phaseIs('Bound', claim);
  }

  async #phaseIs(phase: string, { path: collection, body }: Manifest): Promise<void> {
    const { name } = body['metadata'] as { name: string };
    await waitFor(
      `${collection}/${name} is ${phase}`,
      async () => {
        const { status } = await this.cloud.request<{ status?: { phase?: string } }>('GET', `${collection}/${name}`);
        return status?.phase === phase;
      },
      { deadlineMs: 180_000, everyMs: 50 },
    );
  }
}
