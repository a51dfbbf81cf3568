// A node that is cut off from the cloud and may not go through a peer: NotReady, called cut off, and nothing on it moves, for as long
// as the site can use what runs there. Beside it a pool of one, of which nobody can say how it is: stock Kubernetes' timing.
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeObject } from '../../../kube/wire.ts';
import type { ApiClient } from '../../cluster/api-client.ts';
import { waitFor } from '../../cluster/commands.ts';
import { inNamespace } from '../../cluster/network.ts';
import { containersOf, type Pod } from '../pods.ts';
import { expectThat } from '../report.ts';
import { webPod, type HealthStage } from './stage.ts';

const webSlices =
  '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dweb';

interface Endpoint {
  readonly nodeName?: string;
  readonly addresses: readonly string[];
  readonly conditions: { readonly ready?: boolean };
}

export interface CutOffNodes {
  /** Of a pool that lends no ways out. */
  readonly cut: string;
  /** Alone in its pool; cut off at the same time. */
  readonly alone?: string;
}

export class CutOff {
  readonly #stage: HealthStage;
  readonly #nodes: CutOffNodes;
  readonly #before: ReadonlyMap<string, string>;
  readonly #address: string;
  readonly #startedMs = performance.now();

  private constructor(stage: HealthStage, nodes: CutOffNodes, pods: readonly Pod[]) {
    this.#stage = stage;
    this.#nodes = nodes;
    this.#before = containersOf(pods);
    this.#address = pods.find(({ metadata }) => metadata.name === webPod(nodes.cut))?.status.podIP ?? '';
  }

  /** Cuts the links, and returns at once. */
  static async begin(stage: HealthStage, nodes: CutOffNodes): Promise<CutOff> {
    const begun = new CutOff(stage, nodes, await stage.podsOn(nodes.cut));
    for (const name of begun.#all) await stage.at(name).node.link.apply({ kind: 'drop' });
    return begun;
  }

  get #all(): string[] {
    const { cut, alone } = this.#nodes;
    return alone === undefined ? [cut] : [cut, alone];
  }

  /** What became of them, and how they come back. `minutes` since the cut, in the full form. */
  async judge(minutes: number): Promise<void> {
    const { report, cluster, signal } = this.#stage;
    const { cut, alone } = this.#nodes;
    await report.check(`${cut} is NotReady, and called cut off`, async () => {
      await cluster.waitForNode(cut, false, 120_000);
      const { message } = await this.#stage.waitForReason(cut, 'CutOff', 120_000);
      const relayed = await this.#stage.at(cut).hub.metric('holdfast_yurthub_cloud_relayed');
      expectThat(relayed === 0, 'it goes through a peer');
      return message;
    });
    await this.#endpoints();
    if (alone !== undefined)
      await report.check(`the pod of ${alone}, alone in its pool, is evicted at stock Kubernetes' time`, async () => {
        const leaving = async (): Promise<boolean> => (await this.#leaving(alone)).length > 0;
        const { graceMs, staySeconds } = this.#stage;
        await waitFor('it is', leaving, { deadlineMs: graceMs + staySeconds * 1_000 + 180_000, everyMs: 250 });
        // Long after it happened, where other parts came between.
        return `seen ${this.#since}`;
      });
    await report.check(`no pod of ${cut} is evicted`, async () => {
      await waitFor('stock Kubernetes has given the node up', () => this.#isTainted(cut), { deadlineMs: 120_000 });
      const { quick, staySeconds } = this.#stage;
      const left = this.#startedMs + minutes * 60_000 - performance.now();
      await sleep(quick ? (staySeconds + 5) * 1_000 : Math.max(left, 0), undefined, { signal });
      const leaving = await this.#leaving(cut);
      expectThat(leaving.length === 0, `evicted: ${leaving.join(', ')}`);
      expectThat(!(await cluster.isReady(cut)), 'it is Ready');
      return this.#since;
    });
    for (const name of this.#all) await this.#stage.at(name).node.link.heal();
    await report.check(`healed, ${cut} is Ready, and nothing was restarted there`, async () => {
      const healed = performance.now();
      await cluster.waitForNode(cut, true, 60_000);
      await this.#stage.waitForReason(cut, 'Alive', 60_000);
      const now = containersOf(await this.#stage.podsOn(cut));
      const same = now.size === this.#before.size && [...now].every(([name, id]) => this.#before.get(name) === id);
      expectThat(same, 'its containers are others than before');
      return `${seconds(healed)} after the link`;
    });
    if (alone !== undefined) await cluster.waitForNode(alone, true, 60_000);
  }

  /** For the cloud the pod is not ready; at the site it is, and does what it does. */
  async #endpoints(): Promise<void> {
    const { report, cloud } = this.#stage;
    const { cut } = this.#nodes;
    const { pool } = this.#stage.at(cut);
    const peer = this.#stage.membersOf(pool).find((name) => name !== cut) ?? '';
    const stranger = this.#stage.nodes.find((each) => each.pool !== pool)?.node.name ?? '';
    await report.check(`its endpoint is given up by the cloud, and goes on at ${peer}`, async () => {
      const is = async (api: ApiClient, ready: boolean): Promise<boolean> => {
        const { items } = await api.request<{ items: (KubeObject & { endpoints: Endpoint[] })[] }>(
          'GET',
          `${webSlices}&resourceVersion=0`,
        );
        const found = items.flatMap(({ endpoints }) => endpoints).find(({ nodeName }) => nodeName === cut);
        if (found === undefined) throw new Error('there is none');
        return (found.conditions.ready === true) === ready;
      };
      await waitFor('the cloud calls it not ready', () => is(cloud, false), { deadlineMs: 120_000, everyMs: 250 });
      for (const [name, ready] of [
        [peer, true],
        [stranger, false],
      ] as const) {
        const hub = await this.#stage.asKubeProxy(name);
        try {
          await waitFor(`${name} calls it ${ready ? '' : 'not '}ready`, () => is(hub, ready), { deadlineMs: 30_000 });
        } finally {
          hub.close();
        }
      }
      return `at ${stranger}, of another site, it is gone`;
    });
    await report.check(`${peer} reaches it`, async () => {
      // The wget of a static busybox crashes now and then.
      const script = `fetch('http://${this.#address}:8080/').then((answer) => answer.text()).then(console.log)`;
      const { nodeNamespace } = this.#stage.at(peer).node.site;
      const said = await inNamespace(nodeNamespace, [process.execPath, '-e', script]);
      expectThat(said.trim() === webPod(cut), `it said ${said}`);
    });
  }

  async #isTainted(name: string): Promise<boolean> {
    interface Node {
      spec: { taints?: { key: string; effect: string }[] };
    }
    const { spec } = await this.#stage.cloud.request<Node>('GET', `/api/v1/nodes/${name}`);
    const unreachable = 'node.kubernetes.io/unreachable';
    return spec.taints?.some(({ key, effect }) => key === unreachable && effect === 'NoExecute') === true;
  }

  async #leaving(name: string): Promise<string[]> {
    const pods = await this.#stage.podsOn(name);
    const gone = pods.some(({ metadata }) => metadata.name === webPod(name)) ? [] : [webPod(name)];
    const leaving = pods.filter(({ metadata }) => metadata.deletionTimestamp !== undefined);
    return [...gone, ...leaving.map(({ metadata }) => metadata.name)];
  }

  get #since(): string {
    return `${seconds(this.#startedMs)} after the cut`;
  }
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}
