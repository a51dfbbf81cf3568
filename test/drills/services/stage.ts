// What all parts of the services drill stand on: two nodes with kube-proxy, CoreDNS, an application with a service, and a
// client of the service and of the API in a pod.
import { mkdirSync } from 'node:fs';
import { buildBinaries, servicePrograms } from '../../cluster/binaries.ts';
import { corednsImage, corednsManifests } from '../../cluster/coredns.ts';
import { kubeProxyImage, kubeProxyManifests } from '../../cluster/kube-proxy.ts';
import { create } from '../../cluster/manifest.ts';
import type { EdgeNode } from '../../cluster/node.ts';
import type { DrillContext } from '../drill.ts';
import { hubManifests } from '../hub-manifests.ts';
import { waitForPods } from '../pods.ts';
import { addTwoNodes, TwoNodes } from '../two-nodes.ts';
import {
  account,
  clientImage,
  dataFolder,
  namespace,
  nodeManifests,
  podsPerNode,
  sharedManifests,
} from './application.ts';

export class Stage extends TwoNodes {
  /** Cluster, both nodes, hub, add-ons, application; returns when all pods of `edge` are Ready. */
  static async build(context: DrillContext): Promise<Stage> {
    await buildBinaries(servicePrograms, (line) => context.report.say(line));
    const stage = new Stage(context, await addTwoNodes(context, { disks: { '/var/lib/holdfast': 128 } }));
    await stage.#populate();
    return stage;
  }

  async podsAreReady(node: EdgeNode): Promise<void> {
    await waitForPods(this.cloud, node.name, podsPerNode, 120_000);
  }

  async #populate(): Promise<void> {
    const images = [await kubeProxyImage(), corednsImage(), clientImage()];
    for (const node of [this.edge, this.plain]) {
      mkdirSync(node.file(dataFolder), { recursive: true });
      for (const image of images) await node.importImage(image);
    }
    // Before the first hub starts: one that may not read the ConfigMap asks again only after minutes.
    await create(this.cloud, [...hubManifests([`${namespace}:${account}`]), ...sharedManifests()]);
    await this.installHub();
    await create(this.cloud, [...kubeProxyManifests(this.cluster.plane.url), ...corednsManifests()]);
    await Promise.all([this.edge.startKubelet(), this.plain.startKubelet()]);
    for (const node of [this.edge, this.plain]) await create(this.cloud, nodeManifests(node.name));
    await this.podsAreReady(this.edge);
    await this.leasesExist();
  }
}
