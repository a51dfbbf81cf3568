// The eviction guard on a pool, as it is installed: a node that loses its power is found dead and its pods are made again elsewhere,
// also when the guard is killed as it decides; a second one after it as well; a site that is cut off as a whole keeps everything.
import { setTimeout as sleep } from 'node:timers/promises';
import { nodePoolLabel } from '../../../peers/membership.ts';
import { waitFor } from '../../cluster/commands.ts';
import { registryName } from '../../cluster/images.ts';
import { containersOf, isReady, type Pod } from '../pods.ts';
import { expectThat } from '../report.ts';
import type { HealthStage } from './stage.ts';

const pods = '/api/v1/namespaces/default/pods';
const originalToleration = 'holdfast.dev/original-unreachable-toleration';
/** Two on each of three nodes. */
const replicas = 6;

type GuardedPod = Pod & { metadata: { annotations?: Record<string, string> } };

/** An application on every node of the pool, with its time to stay set ahead, and a second guard. */
export class Guarded {
  readonly #stage: HealthStage;
  readonly #pool: string;

  private constructor(stage: HealthStage, pool: string) {
    this.#stage = stage;
    this.#pool = pool;
  }

  static async begin(stage: HealthStage, pool: string): Promise<Guarded> {
    const guarded = new Guarded(stage, pool);
    await stage.report.check(`an application on every node of ${pool}, its time to stay set ahead`, async () => {
      await stage.cloud.request('POST', '/apis/apps/v1/namespaces/default/deployments', application(pool));
      const settled = async (): Promise<boolean> => {
        const all = await guarded.#pods();
        const isSpread = stage.membersOf(pool).every((name) => all.some(({ spec }) => spec.nodeName === name));
        return all.length === replicas && isSpread && all.every((pod) => isReady(pod) && isKept(pod));
      };
      await waitFor('its pods run', settled, { deadlineMs: 120_000, everyMs: 250 });
    });
    await stage.controllers.start('controllers-2');
    await stage.controllers.ready('controllers-2');
    return guarded;
  }

  async end(): Promise<void> {
    await this.#stage.controllers.kill('controllers-2');
  }

  /** One node loses its power, and comes back when its pods are elsewhere. */
  async oneDies(name: string): Promise<void> {
    const { report, quick } = this.#stage;
    const before = await this.#pods();
    if (!quick) await this.#leaveToStock(name);
    const since = await this.#powerOff(name);
    await report.check(`${name} without power is called dead within 30 s`, async () => {
      const { message } = await this.#stage.waitForReason(name, 'Dead', this.#stage.deadline(30_000));
      return `${since()}: ${message}`;
    });
    await this.#killLeader(since);
    await this.#areElsewhere([name], 75_000, since);
    if (!quick)
      await report.check('what is left to stock Kubernetes is evicted at its time', async () => {
        await waitFor('it is', () => this.#isStockPodLeaving(name), { deadlineMs: 500_000, everyMs: 500 });
        return since();
      });
    await this.#comeBack([name], before);
  }

  /** Two of three, one after the other: stock Kubernetes evicts nothing of the second. */
  async twoDie(first: string, second: string): Promise<void> {
    const before = await this.#pods();
    const sinceFirst = await this.#powerOff(first);
    await this.#areElsewhere([first], 75_000, sinceFirst);
    const sinceSecond = await this.#powerOff(second);
    await this.#areElsewhere([first, second], 100_000, sinceSecond);
    await this.#comeBack([first, second], before);
  }

  /** No node of the pool is heard, for longer than stock Kubernetes waits; one comes back first, with what it last knew. */
  async siteIsCut(): Promise<void> {
    const { report, cluster, signal } = this.#stage;
    const names = this.#stage.membersOf(this.#pool);
    const [first, ...others] = names as [string, ...string[]];
    const before = containersOf(await this.#pods());
    await this.#leaveToStock(first);
    // The first that is back would lend its way out to the others.
    await this.#stage.allowRelay(this.#pool, false);
    for (const name of names) await this.#stage.at(name).node.link.apply({ kind: 'drop' });
    await report.check(
      'a site without uplink is called so, and stock Kubernetes evicts what is left to it',
      async () => {
        for (const name of names) await this.#stage.waitForReason(name, 'SiteCutOff', 120_000);
        await waitFor('it does', () => this.#isStockPodLeaving(first), { deadlineMs: 600_000, everyMs: 500 });
      },
    );
    await report.check(
      `nothing else is evicted, also when ${first} alone is back, with reports of before`,
      async () => {
        await this.#stage.at(first).node.link.heal();
        await cluster.waitForNode(first, true, 120_000);
        await this.#stage.waitForReason(first, 'Alive', 60_000);
        // Longer than one that is left needs to call others dead.
        await sleep(this.#stage.quick ? 15_000 : 90_000, undefined, { signal });
        for (const name of others) await this.#stage.at(name).node.link.heal();
        for (const name of others) await this.#stage.waitForReason(name, 'Alive', 120_000);
        const now = containersOf(await this.#pods());
        const same = now.size === before.size && [...now].every(([container, id]) => before.get(container) === id);
        expectThat(same, 'pods or containers are others than before');
      },
    );
  }

  async #powerOff(name: string): Promise<() => string> {
    await this.#stage.powerOff(this.#stage.at(name));
    const off = performance.now();
    return () => `${((performance.now() - off) / 1000).toFixed(1)} s after its power went`;
  }

  async #killLeader(since: () => string): Promise<void> {
    const { report, controllers } = this.#stage;
    await report.check('the guard that leads is killed at that moment; the other goes on', async () => {
      const leader = await waitFor('one leads', () => controllers.leader(), { deadlineMs: 30_000 });
      await controllers.kill(leader);
      await controllers.start(leader);
      return since();
    });
  }

  async #areElsewhere(lost: readonly string[], figureMs: number, since: () => string): Promise<void> {
    const deadlineMs = this.#stage.deadline(figureMs);
    await this.#stage.report.check(`the pods of ${lost.at(-1)} run elsewhere within ${figureMs / 1000} s`, async () => {
      const elsewhere = async (): Promise<boolean> => {
        const running = (await this.#pods()).filter(isReady);
        return running.filter(({ spec }) => !lost.includes(spec.nodeName ?? '')).length === replicas;
      };
      await waitFor('as many as before', elsewhere, { deadlineMs, everyMs: 250 });
      return since();
    });
  }

  async #comeBack(names: readonly string[], before: readonly Pod[]): Promise<void> {
    const title = `${names.join(' and ')} back: no pod is doubled, none was moved that did not have to, no taint is left`;
    await this.#stage.report.check(title, async () => {
      for (const name of names) await this.#stage.powerOn(this.#stage.at(name));
      for (const name of names) await this.#stage.waitForReason(name, 'Alive', 180_000);
      const wereLost = new Set(
        before.filter(({ spec }) => names.includes(spec.nodeName ?? '')).map(({ metadata }) => metadata.uid),
      );
      const settled = async (): Promise<boolean> => {
        const all = await this.#pods(true);
        return all.length === replicas && all.every((pod) => isReady(pod) && !wereLost.has(pod.metadata.uid));
      };
      await waitFor('only the new pods are there', settled, { deadlineMs: 120_000, everyMs: 250 });
      const now = new Set((await this.#pods()).map(({ metadata }) => metadata.uid));
      const moved = before.filter(({ metadata: { uid } }) => !wereLost.has(uid) && !now.has(uid));
      expectThat(moved.length === 0, `moved: ${moved.map(({ metadata }) => metadata.name).join(', ')}`);
      for (const name of names) {
        const node = await this.#stage.cloud.request<{ spec: { taints?: { key: string }[] } }>(
          'GET',
          `/api/v1/nodes/${name}`,
        );
        const left = (node.spec.taints ?? []).filter(({ key }) => key.startsWith('holdfast.dev/'));
        expectThat(left.length === 0, `${name} has ${JSON.stringify(left)}`);
      }
    });
  }

  /** A pod of which its owner says that the guard is to keep its hands off it. */
  async #leaveToStock(nodeName: string): Promise<void> {
    await this.#stage.cloud.request('POST', pods, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: stockPod(nodeName), annotations: { 'holdfast.dev/eviction': 'stock' } },
      spec: { nodeName, terminationGracePeriodSeconds: 1, containers: [container] },
    });
    const path = `${pods}/${stockPod(nodeName)}`;
    const runs = async (): Promise<boolean> => isReady(await this.#stage.cloud.request<Pod>('GET', path));
    await waitFor('the pod that is left to stock Kubernetes runs', runs, { deadlineMs: 60_000, everyMs: 250 });
  }

  async #isStockPodLeaving(nodeName: string): Promise<boolean> {
    const answer = await this.#stage.cloud.rawRequest('GET', `${pods}/${stockPod(nodeName)}`);
    if (answer.status === 404) return true;
    return (JSON.parse(answer.body.toString()) as Pod).metadata.deletionTimestamp !== undefined;
  }

  /** Of the application; those that are being deleted only if `all`. */
  async #pods(all = false): Promise<GuardedPod[]> {
    const { items } = await this.#stage.cloud.request<{ items: GuardedPod[] }>(
      'GET',
      `${pods}?labelSelector=app%3Dguarded`,
    );
    return items.filter(({ metadata }) => all || metadata.deletionTimestamp === undefined);
  }
}

const container = {
  name: 'main',
  image: `${registryName}/busybox:1`,
  command: ['sh', '-c', 'trap "exit 0" TERM; sleep 1000000 & wait'],
};

const stockPod = (nodeName: string): string => `stock-${nodeName}`;

function application(pool: string): object {
  const labels = { app: 'guarded' };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'guarded' },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          nodeSelector: { [nodePoolLabel]: pool },
          terminationGracePeriodSeconds: 1,
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: 'kubernetes.io/hostname',
              whenUnsatisfiable: 'ScheduleAnyway',
              labelSelector: { matchLabels: labels },
            },
          ],
          containers: [container],
        },
      },
    },
  };
}

function isKept({ metadata }: GuardedPod): boolean {
  return metadata.annotations?.[originalToleration] !== undefined;
}
