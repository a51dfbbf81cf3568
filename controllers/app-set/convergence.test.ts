// Whatever happens to an app set, its pools, its workloads and the controller itself, in any order.
import fc from 'fast-check';
import type { Plan } from './plan.ts';
import { poolLimit } from './rollout.ts';
import { daemonSetSpec, deploymentSpec, statefulSetSpec } from './sample-specs.testing.ts';
import { imageOf, SimulatedCluster } from './simulated-cluster.testing.ts';
import type { RolloutSpec, Workload, WorkloadKind } from './types.ts';

const pools = ['a', 'b', 'c', 'd', 'e'];
const graceMs = 300_000;
const deadlineSeconds = 120;

type Step = (cluster: SimulatedCluster) => void;

const specOf = { Deployment: deploymentSpec, StatefulSet: statefulSetSpec, DaemonSet: daemonSetSpec };

/** The template of the app set's kind, which never changes. */
function kindOf({ appSet }: SimulatedCluster): WorkloadKind {
  const { deploymentTemplate, statefulSetTemplate } = appSet.spec.workload.workloadTemplate;
  return deploymentTemplate !== undefined
    ? 'Deployment'
    : statefulSetTemplate !== undefined
      ? 'StatefulSet'
      : 'DaemonSet';
}

const pool = fc.constantFrom(...pools);
const image = fc.constantFrom('web:1', 'web:2', 'web:bad');
const replicas = fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined });

/** Each with a name, so that a failing run can be read. */
const step: fc.Arbitrary<readonly [string, Step]> = fc.oneof(
  named(
    'template',
    fc.tuple(image, replicas, fc.option(pool, { nil: undefined })),
    ([tag, count, tweaked]) =>
      (cluster) => {
        const kind = kindOf(cluster);
        // Replicas of a DaemonSet are refused.
        const tweaks =
          tweaked === undefined || kind === 'DaemonSet' ? [] : [{ pools: [tweaked], tweaks: { replicas: 2 } }];
        const options = { image: tag, ...(count === undefined ? {} : { replicas: count }) };
        cluster.setSpec({ workload: { ...specOf[kind](options), workloadTweaks: tweaks } });
      },
  ),
  named('list', fc.subarray(pools), (list) => (cluster) => cluster.setSpec({ pools: list })),
  named(
    'rollout',
    fc.record({
      maxPools: fc.constantFrom(1, 2, '40%'),
      maxFailedPools: fc.constantFrom(0, 1),
      paused: fc.boolean(),
    }),
    (rollout) => (cluster) => cluster.setSpec({ rollout: { ...rollout, poolDeadlineSeconds: deadlineSeconds } }),
  ),
  named('revision', fc.nat(5), (index) => (cluster) => {
    const revision = [...cluster.revisions.keys()][index];
    if (revision !== undefined) cluster.setSpec({ rollout: { ...cluster.appSet.spec.rollout, revision } });
  }),
  named('nodes', fc.tuple(pool, fc.nat(1)), ([name, ready]) => (cluster) => {
    const labels = cluster.nodePools.get(name)?.metadata.labels;
    if (labels !== undefined) cluster.addPool(name, labels, ready);
  }),
  named('pool gone', pool, (name) => (cluster) => void cluster.nodePools.delete(name)),
  named('pool relabelled', pool, (name) => (cluster) => cluster.addPool(name, {})),
  named('pool back', pool, (name) => (cluster) => cluster.addPool(name, { site: 'shop' })),
  named('pods', pool, (name) => (cluster) => cluster.runPods(name)),
  named(
    'scale',
    fc.tuple(pool, fc.nat(5)),
    ([name, count]) =>
      (cluster) =>
        cluster.scale(name, count),
  ),
  named(
    'edit',
    pool,
    (name) => (cluster) =>
      cluster.edit(name, { spec: { template: { spec: { containers: [{ name: 'web', image: 'web:hack' }] } } } }),
  ),
  named('unlabelled', pool, (name) => (cluster) => cluster.edit(name, { metadata: { labels: null } })),
  named('taken', pool, () => (cluster) => cluster.taken.add([...cluster.workloads.keys()][0] ?? '')),
  named('time', fc.constantFrom(1_000, 60_000, 200_000), (ms) => (cluster) => void (cluster.nowMs += ms)),
  named('look', fc.constant(Infinity), (until) => (cluster) => checkedLook(cluster, until)),
  named('killed', fc.nat(4), (until) => (cluster) => checkedLook(cluster, until)),
);

function named<T>(
  name: string,
  values: fc.Arbitrary<T>,
  make: (value: T) => Step,
): fc.Arbitrary<readonly [string, Step]> {
  return values.map((value) => [`${name} ${JSON.stringify(value) ?? ''}`, make(value)] as const);
}

/** A look, and what must hold of every look. */
function checkedLook(cluster: SimulatedCluster, until: number): Plan {
  const moving = movingPools(cluster);
  const spec = cluster.appSet.spec;
  const workloads = new Map(cluster.workloads);
  const plan = cluster.reconcile(until);
  for (const action of plan.actions) {
    if (action.type !== 'delete') continue;
    const { workload } = action;
    const name = workload.metadata.labels?.['apps.openyurt.io/pool-name'] ?? '';
    const lostSince = Date.parse(workload.metadata.annotations?.['holdfast.dev/pool-lost-since'] ?? '');
    if (spec.pools?.includes(name) === true) throw new Error(`deletes the workload of ${name}, which is in the list`);
    if (spec.nodepoolSelector !== undefined && !(cluster.nowMs - lostSince >= graceMs))
      throw new Error(`deletes the workload of ${name} before its grace period is over`);
  }
  const disturbed = plan.actions.flatMap((action) => {
    if (action.type !== 'apply' || action.why !== 'start') return [];
    const isMissing = action.existing === undefined || !workloads.has(action.existing.metadata.name);
    return isMissing || !moving.has(action.pool) ? [action.pool] : [];
  });
  // Those that have failed by now hold nobody up any more, as far as the user allows failures.
  if (plan.view?.kind === 'valid') for (const failed of plan.view.rollout.failed) moving.delete(failed.name);
  const limit = poolLimit(spec.rollout?.maxPools, plan.view?.kind === 'valid' ? plan.view.pools.length : 0);
  if (disturbed.length > 0 && moving.size + disturbed.length > limit)
    throw new Error(`${[...moving].join()} in motion, ${disturbed.join()} started, and the limit is ${limit}`);
  return plan;
}

/** Reachable pools in which not all pods run as the workload says; without those that have failed or were complete before. */
function movingPools(cluster: SimulatedCluster): Set<string> {
  const observed = cluster.observe();
  const states = new Map((observed.previous?.pools ?? []).map((item) => [item.name, item.state]));
  const moving = new Set<string>();
  for (const workload of observed.workloads) {
    const name = workload.metadata.labels?.['apps.openyurt.io/pool-name'] ?? '';
    const isReachable = cluster.nodePools.get(name)?.status?.readyNodeNum === 1;
    const isWanted = cluster.appSet.spec.pools?.includes(name);
    const state = states.get(name);
    if (!isReachable || isWanted !== true || state === 'Failed' || state === 'Degraded' || state === 'Complete')
      continue;
    if (!isComplete(workload)) moving.add(name);
  }
  return moving;
}

function isComplete({ kind, metadata, spec, status }: Workload): boolean {
  if (kind === 'DaemonSet')
    return (
      status?.['observedGeneration'] === metadata.generation &&
      status?.['numberAvailable'] === status?.['desiredNumberScheduled']
    );
  return status?.['observedGeneration'] === metadata.generation && status?.['availableReplicas'] === spec['replicas'];
}

/** The world is whole again, and nothing but the controller and the pods moves. */
function heal(cluster: SimulatedCluster): void {
  const rollout: RolloutSpec = { ...cluster.appSet.spec.rollout, paused: false };
  const { revision: _, ...unpinned } = rollout;
  cluster.setSpec({ rollout: unpinned });
  cluster.brokenImages.clear();
  cluster.taken.clear();
  for (const name of pools) cluster.addPool(name, { site: 'shop' });
}

function newCluster(kind: WorkloadKind, selects: boolean): SimulatedCluster {
  const cluster = new SimulatedCluster({
    workload: specOf[kind](),
    pools: ['a', 'b'],
    ...(selects ? { nodepoolSelector: { matchLabels: { site: 'shop' } } } : {}),
  });
  cluster.brokenImages.add('web:bad');
  for (const name of pools.slice(0, 4)) cluster.addPool(name, { site: 'shop' });
  return cluster;
}

test.each([
  ['Deployment', 'chosen by name', false],
  ['Deployment', 'chosen by label too', true],
  ['StatefulSet', 'chosen by label too', true],
  ['DaemonSet', 'chosen by label too', true],
] as const)(
  '%s, in pools %s: from any state it converges in a bounded number of looks, and then nothing is written',
  (kind, _how, selects) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const cluster = newCluster(kind, selects);
        for (const [, run] of steps) run(cluster);
        heal(cluster);
        // Each pool takes a look to be started, one to be seen complete, and what failed before has to be tried again.
        for (let look = 0; look < 6 * pools.length; look++) {
          checkedLook(cluster, Infinity);
          cluster.runAllPods();
          cluster.nowMs += 10_000;
        }
        cluster.nowMs += graceMs;
        for (let look = 0; look < 4; look++) checkedLook(cluster, Infinity);
        const writes = cluster.writes.length;
        cluster.nowMs += 60_000;
        checkedLook(cluster, Infinity);
        expect(cluster.writes.slice(writes)).toEqual([]);

        const { spec } = cluster.appSet;
        const wanted = selects ? pools : (spec.pools ?? []).toSorted();
        const inPools = [...cluster.workloads.values()].map(
          (item) => item.metadata.labels?.['apps.openyurt.io/pool-name'],
        );
        expect(new Set(inPools)).toEqual(new Set(wanted));
        expect(inPools).toHaveLength(wanted.length);
        const [made] = Object.values(spec.workload.workloadTemplate) as { spec: Record<string, unknown> }[];
        const template = made?.spec['template'] as { spec: { containers: { image: string }[] } };
        for (const workload of cluster.workloads.values())
          expect(imageOf(workload)).toBe(template.spec.containers[0]?.image);
        expect(cluster.appSet.status?.pools?.map((item) => item.state)).toEqual(wanted.map(() => 'Complete'));
        expect(cluster.revisions.size).toBeLessThanOrEqual(16);
      }),
      { numRuns: 60 },
    );
  },
);

test('an app set of StatefulSets whose controller is killed after every single write ends as any other', () => {
  const whole = new SimulatedCluster({ workload: statefulSetSpec({ replicas: 2 }), pools });
  const cut = new SimulatedCluster({ workload: statefulSetSpec({ replicas: 2 }), pools });
  for (const cluster of [whole, cut]) for (const name of pools) cluster.addPool(name);
  for (let look = 0; look < 20; look++) {
    whole.reconcile();
    // Its first action only, and never the status until there is nothing else to do.
    cut.reconcile(cut.reconcile(0).actions.length === 0 ? Infinity : 1);
    for (const cluster of [whole, cut]) cluster.runAllPods();
  }
  const names = (cluster: SimulatedCluster): string[] => [...cluster.workloads.keys()].toSorted();
  expect(names(cut)).toEqual(names(whole));
  expect([...cut.revisions.keys()]).toEqual([...whole.revisions.keys()]);
  expect(cut.appSet.status?.pools?.map((item) => item.state)).toEqual(pools.map(() => 'Complete'));
});
