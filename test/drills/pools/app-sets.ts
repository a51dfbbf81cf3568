// App sets over many pools, with the real controllers of Deployments, and pods that are only pretended: a change goes pool by pool, a
// failing image stops it, it is taken back, a pool vanishes and returns, all of it with replicas of the controllers killed.
import { applyConfig } from '../../cluster/apply-config.ts';
import { ControlPlane } from '../../cluster/control-plane.ts';
import { HollowPods } from '../../cluster/hollow-pods.ts';
import { waitFor } from '../../cluster/commands.ts';
import type { DrillContext } from '../drill.ts';
import { expectThat } from '../report.ts';
import { poolLabel, pools } from './fleet.ts';
import { replicaNames, Replicas } from './replicas.ts';

interface AppSet {
  readonly metadata: { readonly generation: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly currentRevision?: string;
    readonly conditions?: readonly { readonly type: string; readonly reason: string }[];
    readonly pools?: readonly { readonly name: string; readonly state: string; readonly message?: string }[];
  };
}
interface Deployment {
  readonly metadata: {
    readonly uid: string;
    readonly generation: number;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly template: { readonly spec: { readonly containers: readonly { readonly image: string }[] } };
  };
}

const namespace = 'app-sets';
const appSet = `/apis/apps.openyurt.io/v1beta1/namespaces/${namespace}/yurtappsets/till`;
const deployments = `/apis/apps/v1/namespaces/${namespace}/deployments`;
const everyMs = 250;

/** On a control plane of its own: Kubernetes' controllers would judge the nodes of the fleet. */
export async function appSets(context: DrillContext): Promise<void> {
  const { report, quick } = context;
  const plane = await ControlPlane.start({
    controllers: true,
    // Nobody renews the Leases of nodes that are only objects.
    controllerManagerArgs: ['--controllers=*,-node-lifecycle-controller'],
  });
  context.defer(() => plane.stop());
  await applyConfig(plane, 'crds', 'rbac', 'controllers');
  const replicas = await Replicas.install(plane);
  context.defer(async () => {
    for (const name of replicaNames) await replicas.kill(name);
  });
  for (const name of replicaNames) await replicas.start(name);
  for (const name of replicaNames) await replicas.ready(name);
  const names = Array.from({ length: quick ? 8 : 20 }, (_, index) => `shop-${String(index).padStart(2, '0')}`);
  const pods = new HollowPods(plane.api);
  pods.start();
  context.defer(() => pods.stop());
  await makeShops(plane, names);
  const app = new AppSetInDrill(plane, names);
  const rollout = { maxPools: 3, poolDeadlineSeconds: 15 };

  await plane.request('POST', '/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace },
  });
  await app.make('till:1', { maxPools: 3 });
  await report.check(`a Deployment in each of ${names.length} pools`, () => app.becomes('AllPoolsUpdated', 120_000));
  const original = await app.uids();

  await report.check('a change goes through the pools, at most three in motion, with the leader killed', async () => {
    await app.change('till:2', rollout);
    const most = app.watchMotion();
    await killLeader(replicas);
    await app.becomes('AllPoolsUpdated', 240_000);
    const inMotion = await most();
    expectThat(inMotion <= 3, `${inMotion} pools were in motion at a time`);
    await app.expectImages('till:2');
    return `at most ${inMotion} at a time`;
  });

  await report.check('a failing image stops at the first pools, and says so', async () => {
    pods.brokenImages.add('till:bad');
    await app.change('till:bad', rollout);
    await app.becomes('Stopped', 120_000);
    const bad = (await app.images()).filter((image) => image === 'till:bad').length;
    expectThat(bad <= 3, `${bad} pools have the failing image`);
    return `${bad} of ${names.length} pools have it`;
  });

  await report.check('it is taken back by the revision before, with the leader killed', async () => {
    await app.rollBack('till:2', rollout);
    await killLeader(replicas);
    await app.becomes('AllPoolsUpdated', 240_000);
    await app.expectImages('till:2');
  });

  await report.check('a pool vanishes and returns within a minute: its workload stays', async () => {
    const [gone = ''] = names;
    await plane.request('PATCH', `${pools}/${gone}`, { metadata: { labels: { shop: null } } });
    await app.poolIs(gone, 'Lost');
    await plane.request('PATCH', `${pools}/${gone}`, { metadata: { labels: { shop: 'yes' } } });
    await app.poolIs(gone, 'Complete');
  });

  await report.check('the end is exact: no workload doubled, lost or made again', async () => {
    const uids = await app.uids();
    expectThat(JSON.stringify(uids) === JSON.stringify(original), `${uids.join()} instead of ${original.join()}`);
  });
}

/** The leader is killed and started again: in the middle of what it does, since it has just been given something to do. */
async function killLeader(replicas: Replicas): Promise<void> {
  const leader = (await replicas.leader()) ?? replicaNames[0];
  await replicas.kill(leader);
  await replicas.start(leader);
}

/** Pools with one node each. The node controller is off here, so a node that was ready once stays so. */
async function makeShops(plane: ControlPlane, names: readonly string[]): Promise<void> {
  const kind = { apiVersion: 'apps.openyurt.io/v1beta2', kind: 'NodePool' };
  const conditions = [{ type: 'Ready', status: 'True', reason: 'Drill', message: '' }];
  for (const name of names) {
    await plane.request('POST', pools, {
      ...kind,
      metadata: { name, labels: { shop: 'yes' } },
      spec: { type: 'Edge' },
    });
    const metadata = { name: `node-of-${name}`, labels: { [poolLabel]: name } };
    await plane.request('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata });
    await plane.request('PATCH', `/api/v1/nodes/node-of-${name}/status`, { status: { conditions } });
  }
}

class AppSetInDrill {
  readonly #plane: ControlPlane;
  readonly #pools: readonly string[];

  constructor(plane: ControlPlane, poolNames: readonly string[]) {
    this.#plane = plane;
    this.#pools = poolNames;
  }

  async make(image: string, rollout: object): Promise<void> {
    const head = { apiVersion: 'apps.openyurt.io/v1beta1', kind: 'YurtAppSet', metadata: { name: 'till' } };
    const spec = { nodepoolSelector: { matchLabels: { shop: 'yes' } }, workload: workload(image), rollout };
    await this.#plane.request('POST', appSet.slice(0, appSet.lastIndexOf('/')), { ...head, spec });
  }

  async change(image: string, rollout: object): Promise<void> {
    await this.#plane.request('PATCH', appSet, { spec: { workload: workload(image), rollout } });
  }

  /** To the revision that has `image`, while the spec keeps the failing one. */
  async rollBack(image: string, rollout: object): Promise<void> {
    const { items } = await this.#plane.request<{ items: { metadata: { name: string }; data: unknown }[] }>(
      'GET',
      `/apis/apps/v1/namespaces/${namespace}/controllerrevisions`,
    );
    const revision = items.find(({ data }) => JSON.stringify(data).includes(`"${image}"`))?.metadata.name;
    await this.#plane.request('PATCH', appSet, { spec: { rollout: { ...rollout, revision } } });
  }

  async becomes(reason: string, deadlineMs: number): Promise<void> {
    let last: AppSet | undefined;
    await waitFor(
      `AppUpdated becomes ${reason}`,
      async () => {
        const { metadata, status } = (last = await this.#plane.request<AppSet>('GET', appSet));
        const updated = status?.conditions?.find(({ type }) => type === 'AppUpdated');
        return status?.observedGeneration === metadata.generation && updated?.reason === reason;
      },
      { deadlineMs, everyMs, context: () => JSON.stringify(last?.status?.pools).slice(0, 2_000) },
    );
  }

  async poolIs(name: string, state: string): Promise<void> {
    await waitFor(
      `pool ${name} is ${state}`,
      async () => {
        const { status } = await this.#plane.request<AppSet>('GET', appSet);
        return status?.pools?.some((pool) => pool.name === name && pool.state === state);
      },
      { deadlineMs: 60_000, everyMs },
    );
  }

  /** Counts, until it is asked, how many pools are neither as before nor complete; gives the most. */
  watchMotion(): () => Promise<number> {
    let most = 0;
    let isOver = false;
    const watching = (async () => {
      while (!isOver) {
        const { items } = await this.#plane.request<{ items: (Deployment & { status: Record<string, number> })[] }>(
          'GET',
          deployments,
        );
        const moving = items.filter(({ metadata, status }) => {
          const { replicas = 0, updatedReplicas = 0, availableReplicas = 0, observedGeneration = 0 } = status;
          return (
            observedGeneration < metadata.generation ||
            updatedReplicas < 1 ||
            availableReplicas < 1 ||
            replicas > updatedReplicas
          );
        });
        most = Math.max(most, moving.length);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    })();
    return async () => {
      isOver = true;
      await watching;
      return most;
    };
  }

  async images(): Promise<(string | undefined)[]> {
    const byPool = await this.#byPool();
    return this.#pools.map((pool) => byPool.get(pool)?.spec.template.spec.containers[0]?.image);
  }

  async expectImages(image: string): Promise<void> {
    const images = await this.images();
    expectThat(
      images.every((each) => each === image),
      `images are ${images.join()}`,
    );
  }

  /** Of the Deployments, in the order of the pools. */
  async uids(): Promise<(string | undefined)[]> {
    const byPool = await this.#byPool();
    return this.#pools.map((pool) => byPool.get(pool)?.metadata.uid);
  }

  async #byPool(): Promise<ReadonlyMap<string, Deployment>> {
    const { items } = await this.#plane.request<{ items: Deployment[] }>('GET', deployments);
    const byPool = new Map(items.map((item) => [item.metadata.labels['apps.openyurt.io/pool-name'] ?? '', item]));
    expectThat(items.length === byPool.size, `${items.length} Deployments in ${byPool.size} pools`);
    return byPool;
  }
}

function workload(image: string): object {
  const template = { metadata: { labels: { app: 'till' } }, spec: { containers: [{ name: 'till', image }] } };
  return {
    workloadTemplate: { deploymentTemplate: { spec: { selector: { matchLabels: { app: 'till' } }, template } } },
  };
}
