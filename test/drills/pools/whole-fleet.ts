// All of it at once, with kubelets: 200 hollow nodes, Kubernetes' own controllers and scheduler, app sets of every kind over 20 pools;
// templates change and fail, nodes move, a pool vanishes and returns, and all the while replicas of the controllers are killed.
import { applyConfig } from '../../cluster/apply-config.ts';
import { buildBinaries, fleetPrograms } from '../../cluster/binaries.ts';
import { waitFor } from '../../cluster/commands.ts';
import { ControlPlane } from '../../cluster/control-plane.ts';
import { HollowNodes } from '../../cluster/hollow-nodes.ts';
import type { DrillContext } from '../drill.ts';
import { expectThat } from '../report.ts';
import { AppSetInDrill, makeNamespace, namespace, podsOf } from './app-set.ts';
import { Fleet, fleetLabels, seeded } from './fleet.ts';
import { Killer } from './killer.ts';
import { replicaNames, Replicas } from '../controller-replicas.ts';

const size = { pools: 20, nodes: 200, kills: 30 };
/** Pods have to go and come, on two processors. */
const longMs = 300_000;
const appSets = `/apis/apps.openyurt.io/v1beta1/namespaces/${namespace}/yurtappsets`;

interface Workload {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly generation: number;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly spec: { readonly replicas?: number };
  readonly status: Readonly<Record<string, number | undefined>>;
}
interface List<T> {
  readonly items: readonly T[];
}
interface Pod {
  readonly spec: { readonly nodeName?: string };
  readonly status: { readonly phase?: string };
}

export async function wholeFleet(context: DrillContext, seed: number): Promise<void> {
  const { report } = context;
  await buildBinaries(fleetPrograms, (line) => report.say(line));
  const plane = await ControlPlane.start({ controllers: true });
  context.defer(() => plane.stop());
  context.keepLogs(`${plane.dir}/controllers`);
  context.keepLogs(`${plane.dir}/log`);
  await applyConfig(plane, 'crds', 'rbac', 'controllers');
  const fleet = new Fleet(plane, size, seeded(seed), { haveKubelets: true });
  await fleet.make();
  const kubelets = await HollowNodes.start(plane, fleet.nodeNames);
  context.defer(() => kubelets.stop());
  const replicas = await Replicas.startBoth(context, plane);
  await makeNamespace(plane);
  const app = new AppSetInDrill(plane, fleet.poolNames);
  const world = new World(plane, fleet);

  // Without these nothing of the rest can be: each would be waited for in vain.
  const isThere = await report.check(
    `${size.nodes} kubelets of kubemark are Ready, and every pool is exact`,
    async () => {
      await kubelets.ready(longMs);
      return await world.exact();
    },
  );
  if (!isThere) return;
  const isMade = await report.check(
    `a Deployment, a StatefulSet and a DaemonSet in each of ${size.pools} pools`,
    async () => {
      await app.make('till:1', { matchLabels: fleetLabels }, { maxPools: 5 });
      await world.makeOthers();
      await app.becomes('AllPoolsUpdated', longMs);
      return await world.workloadsReady();
    },
  );
  if (!isMade) return;
  const original = await world.uids();
  const killer = new Killer(replicas, seeded(seed + 1), size.kills);
  killer.start();
  await underFire(context, fleet, app, world, killer);
  await killer.end();
  await theEnd(context, app, world, replicas, original);
}

/** While replicas are killed. */
async function underFire(
  { report, signal }: DrillContext,
  fleet: Fleet,
  app: AppSetInDrill,
  world: World,
  killer: Killer,
): Promise<void> {
  // A pool's time is over sooner than that of a Deployment, but not of one that is only slow here.
  const rollout = { maxPools: 3, poolDeadlineSeconds: 60 };
  const killed = (): string => `${killer.kills.all} kills so far`;

  await report.check('a changed template rolls pool by pool, at most three in motion', async () => {
    await app.change('till:2', rollout);
    const most = app.watchMotion();
    let inMotion = 0;
    try {
      await app.becomes('AllPoolsUpdated', longMs);
    } finally {
      inMotion = await most();
    }
    expectThat(inMotion <= 3, `${inMotion} pools were in motion at a time`);
    await app.expectImages('till:2');
    return `at most ${inMotion} at a time, ${killed()}`;
  });
  await report.check('a failing image stops it in one pool', async () => {
    await app.change('till:bad', { ...rollout, maxPools: 1 });
    await app.becomes('Stopped', longMs);
    const bad = (await app.images()).filter((image) => image === 'till:bad').length;
    expectThat(bad === 1, `${bad} pools have the failing image`);
    return `1 of ${size.pools} pools has it, ${killed()}`;
  });
  await report.check('the revision before takes it back', async () => {
    await app.rollBack('till:2', rollout);
    await app.becomes('AllPoolsUpdated', longMs);
    await app.expectImages('till:2');
    return killed();
  });
  await report.check('a node moves to another pool, and its DaemonSet pod with it', async () => {
    const [node = ''] = fleet.nodeNames;
    await fleet.place(node, fleet.poolNames[1]);
    await world.exact();
    return await world.workloadsReady();
  });
  await report.check('a pool vanishes and returns within a minute: its workloads stay', async () => {
    const [, gone = ''] = fleet.poolNames;
    await fleet.vanish(gone);
    await app.poolIs(gone, 'Lost');
    await fleet.mend();
    await app.poolIs(gone, 'Complete');
    return killed();
  });
  await report.check(`until ${size.kills} are killed: nodes move, pools change, vanish and return`, async () => {
    let things = 0;
    while (!killer.isDone) {
      signal.throwIfAborted();
      await fleet.disturb();
      things += 1;
      // None is away for longer than a moment: what is lost for its grace period may be deleted.
      if (things % 20 === 0) await fleet.mend();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await fleet.mend();
    return `${things} things; ${killer.kills.leaders} of ${killer.kills.all} killed replicas led`;
  });
}

async function theEnd(
  { report }: DrillContext,
  app: AppSetInDrill,
  world: World,
  replicas: Replicas,
  original: ReadonlyMap<string, string>,
): Promise<void> {
  await report.check('the end is exact: nodes, pools and neighbours', () => world.exact());
  await report.check('… workloads: none doubled, lost or made again, each with its pods', async () => {
    const ready = await world.workloadsReady();
    await app.expectImages('till:2');
    const now = await world.uids();
    const changed = [...original].filter(([name, uid]) => now.get(name) !== uid).map(([name]) => name);
    expectThat(changed.length === 0, `made again: ${changed.join()}`);
    expectThat(now.size === original.size, `${now.size} workloads instead of ${original.size}`);
    return ready;
  });
  await report.check('… one pod of the DaemonSets on each node that is in a pool, and on no other', () =>
    world.daemonPods(),
  );
  await report.check('then nothing is written for 30 s', async () => {
    const written = async (): Promise<number> =>
      (await Promise.all(replicaNames.map((name) => replicas.writes(name)))).reduce((sum, each) => sum + each, 0);
    const isQuiet = async (ms: number): Promise<boolean> => {
      const before = await written();
      await new Promise((resolve) => setTimeout(resolve, ms));
      return (await written()) === before;
    };
    // Events of what just happened may still be on their way.
    await waitFor('a quiet moment', () => isQuiet(3_000), { deadlineMs: 60_000 });
    expectThat(await isQuiet(30_000), 'something was written');
  });
}

/** What is to be seen in the cluster. */
class World {
  readonly #plane: ControlPlane;
  readonly #fleet: Fleet;

  constructor(plane: ControlPlane, fleet: Fleet) {
    this.#plane = plane;
    this.#fleet = fleet;
  }

  async makeOthers(): Promise<void> {
    for (const [name, template] of [
      [
        'store',
        { statefulSetTemplate: { spec: { ...podsOf('store', 'store:1'), serviceName: 'store', replicas: 1 } } },
      ],
      ['meter', { daemonSetTemplate: { spec: podsOf('meter', 'meter:1') } }],
    ] as const) {
      const head = { apiVersion: 'apps.openyurt.io/v1beta1', kind: 'YurtAppSet', metadata: { name } };
      const spec = {
        nodepoolSelector: { matchLabels: fleetLabels },
        workload: { workloadTemplate: template },
        rollout: { maxPools: 5 },
      };
      await this.#plane.request('POST', appSets, { ...head, spec });
    }
  }

  /** Waits until nodes, pools and slices are as people want them. */
  async exact(): Promise<string> {
    let problems: string[] = [];
    await waitFor(
      'everything is as it should be',
      async () => {
        problems = await this.#fleet.problems();
        return problems.length === 0;
      },
      { deadlineMs: longMs, everyMs: 500, context: () => problems.slice(0, 5).join('\n') },
    );
    return `${this.#fleet.nodes} nodes in ${this.#fleet.poolNames.length} pools`;
  }

  /** Waits until every workload has all its pods, of its present template. */
  async workloadsReady(): Promise<string> {
    let behind: string[] = [];
    const count = await waitFor(
      'all workloads have their pods',
      async () => {
        const all = await this.#workloads();
        behind = all.filter((workload) => !hasItsPods(workload)).map(({ metadata }) => metadata.name);
        return behind.length === 0 ? all.length : undefined;
      },
      { deadlineMs: longMs, everyMs: 500, context: () => behind.slice(0, 5).join('\n') },
    );
    const wanted = 3 * this.#fleet.poolNames.length;
    expectThat(count === wanted, `${count} workloads instead of ${wanted}`);
    return `${count} workloads`;
  }

  /** Of workloads, by `KIND POOL`. */
  async uids(): Promise<ReadonlyMap<string, string>> {
    const uids = new Map<string, string>();
    for (const { metadata } of await this.#workloads()) {
      const key = `${metadata.labels['app'] ?? ''} ${metadata.name}`;
      expectThat(!uids.has(key), `two of ${key}`);
      uids.set(key, metadata.uid);
    }
    return uids;
  }

  async daemonPods(): Promise<string> {
    const path = `/api/v1/namespaces/${namespace}/pods?labelSelector=app%3Dmeter`;
    const wanted = this.#fleet.nodesInPools.join();
    let running = '';
    await waitFor(
      'one pod on each node',
      async () => {
        const { items } = await this.#plane.request<List<Pod>>('GET', path);
        const pods = items.filter(({ status }) => status.phase === 'Running');
        running = pods
          .map(({ spec }) => spec.nodeName ?? '')
          .sort()
          .join();
        return running === wanted;
      },
      { deadlineMs: longMs, everyMs: 1_000, context: () => `on ${running}\nand not on ${wanted}` },
    );
    return `${this.#fleet.nodesInPools.length} of ${this.#fleet.nodes} nodes`;
  }

  async #workloads(): Promise<readonly Workload[]> {
    const lists = await Promise.all(
      ['deployments', 'statefulsets', 'daemonsets'].map((plural) =>
        this.#plane.request<List<Workload>>('GET', `/apis/apps/v1/namespaces/${namespace}/${plural}`),
      ),
    );
    return lists.flatMap(({ items }) => items);
  }
}

function hasItsPods({ metadata, spec, status }: Workload): boolean {
  const of = (field: string): number => status[field] ?? 0;
  if (of('observedGeneration') < metadata.generation) return false;
  if (spec.replicas === undefined) {
    const wanted = of('desiredNumberScheduled');
    return (
      of('numberAvailable') === wanted && of('updatedNumberScheduled') === wanted && of('numberMisscheduled') === 0
    );
  }
  return [of('replicas'), of('updatedReplicas'), of('readyReplicas')].every((count) => count === spec.replicas);
}
