import { deploymentSpec, daemonSetSpec, statefulSetSpec } from './sample-specs.testing.ts';
import { imageOf, SimulatedCluster } from './simulated-cluster.testing.ts';
import type { Workload, YurtAppSetSpec } from './types.ts';

const minute = 60_000;

function clusterWith(spec: Partial<YurtAppSetSpec>, pools: readonly string[] = ['north', 'south']): SimulatedCluster {
  const cluster = new SimulatedCluster({ workload: deploymentSpec(), pools, ...spec });
  for (const pool of pools) cluster.addPool(pool, { site: 'shop' });
  return cluster;
}

/** Settled with all pods running. */
function running(spec: Partial<YurtAppSetSpec>, pools?: readonly string[]): SimulatedCluster {
  const cluster = clusterWith(spec, pools);
  for (let step = 0; step < 50; step++) {
    cluster.reconcile();
    cluster.runAllPods();
  }
  cluster.settle(2);
  return cluster;
}

const condition = (cluster: SimulatedCluster, type: string): string => {
  const found = cluster.appSet.status?.conditions?.find((item) => item.type === type);
  return `${found?.status} ${found?.reason}`;
};
const stateOf = (cluster: SimulatedCluster, pool: string): string | undefined =>
  cluster.appSet.status?.pools?.find((item) => item.name === pool)?.state;
const images = (cluster: SimulatedCluster, pools: readonly string[]): string[] =>
  pools.map((pool) => imageOf(cluster.workloadIn(pool) as Workload));

test.each([
  ['Deployment', deploymentSpec()],
  ['StatefulSet', statefulSetSpec()],
  ['DaemonSet', daemonSetSpec()],
])('a %s in every pool, and then nothing is written', (kind, workload) => {
  const cluster = clusterWith({ workload });
  cluster.settle(3);
  expect([...cluster.workloads.values()].map((item) => item.kind)).toEqual([kind, kind]);
  cluster.runAllPods();
  cluster.settle(3);
  expect(condition(cluster, 'AppReady')).toBe('True AllWorkloadsReady');
  expect(condition(cluster, 'AppUpdated')).toBe('True AllPoolsUpdated');
  const writes = cluster.writes.length;
  cluster.nowMs += 60 * minute;
  cluster.reconcile();
  expect(cluster.writes).toHaveLength(writes);
});

describe('what others get wrong', () => {
  test('a pool that loses its last node keeps its workload', () => {
    const cluster = running({});
    cluster.addPool('north', {}, 0);
    cluster.settle(3);
    cluster.nowMs += 24 * 60 * minute;
    cluster.settle(3);
    expect(cluster.workloadIn('north')).toBeDefined();
    expect(cluster.writes).not.toContain('delete');
  });

  test('a NodePool of the list that is deleted and made again leaves its workload alone, however long that takes', () => {
    const cluster = running({});
    const uid = cluster.workloadIn('north')?.metadata.uid;
    cluster.nodePools.delete('north');
    cluster.settle(3);
    expect(condition(cluster, 'PoolFound')).toBe('False PoolsMissing');
    expect(stateOf(cluster, 'north')).toBe('Absent');
    cluster.nowMs += 24 * 60 * minute;
    cluster.settle(3);
    cluster.addPool('north');
    cluster.settle(3);
    expect(cluster.workloadIn('north')?.metadata.uid).toBe(uid);
    expect(stateOf(cluster, 'north')).toBe('Complete');
  });

  test('a NodePool that the selector does not find for less than the grace period leaves its workload alone', () => {
    const cluster = clusterWith({ pools: [], nodepoolSelector: { matchLabels: { site: 'shop' } } });
    cluster.addPool('north', { site: 'shop' });
    cluster.settle(3);
    const uid = cluster.workloadIn('north')?.metadata.uid;
    cluster.addPool('north', {});
    cluster.settle(3);
    expect(stateOf(cluster, 'north')).toBe('Lost');
    expect(cluster.notices).toContainEqual(expect.objectContaining({ type: 'Warning', reason: 'PoolLost' }));
    cluster.nowMs += 4 * minute;
    cluster.settle(3);
    cluster.addPool('north', { site: 'shop' });
    cluster.settle(3);
    cluster.nowMs += 10 * minute;
    cluster.settle(3);
    expect(cluster.workloadIn('north')?.metadata.uid).toBe(uid);
    expect(cluster.workloadIn('north')?.metadata.annotations).not.toHaveProperty(['holdfast.dev/pool-lost-since']);
  });

  test('after the grace period the workload of a pool that the selector does not find is deleted', () => {
    const cluster = clusterWith({ nodepoolSelector: { matchLabels: { site: 'shop' } }, pools: [] });
    cluster.addPool('north', { site: 'shop' });
    cluster.addPool('south', { site: 'shop' });
    cluster.settle(3);
    cluster.nodePools.delete('north');
    const { lookAgainAtMs } = cluster.reconcile();
    expect(lookAgainAtMs).toBe(cluster.nowMs + 5 * minute);
    cluster.settle(3);
    cluster.nowMs += 5 * minute;
    cluster.settle(3);
    expect(cluster.workloadIn('north')).toBeUndefined();
    expect(cluster.workloadIn('south')).toBeDefined();
  });

  test('a pool that is taken out of the list loses its workload at once', () => {
    const cluster = running({});
    cluster.setSpec({ pools: ['south'] });
    cluster.reconcile();
    expect(cluster.workloadIn('north')).toBeUndefined();
    expect(cluster.workloadIn('south')).toBeDefined();
  });

  test('omitted replicas are left to the cluster', () => {
    const cluster = running({});
    expect(cluster.writes).not.toContain('scale');
    expect(cluster.workloadIn('north')?.spec['replicas']).toBe(1);
  });

  test('an autoscaler keeps what it decided, also through a change of the template', () => {
    const cluster = running({ workload: deploymentSpec({ replicas: 2 }) });
    cluster.scale('north', 5);
    cluster.runAllPods();
    cluster.settle(3);
    expect(cluster.workloadIn('north')?.spec['replicas']).toBe(5);
    cluster.setSpec({ workload: deploymentSpec({ replicas: 2, image: 'web:2' }) });
    cluster.settle(3);
    expect(cluster.workloadIn('north')?.spec['replicas']).toBe(5);
    expect(cluster.workloadIn('south')?.spec['replicas']).toBe(2);
    expect(images(cluster, ['north', 'south'])).toEqual(['web:2', 'web:2']);
  });

  test('replicas that are taken out of the template, to leave them to an autoscaler, do not fall to one', () => {
    const cluster = running({ workload: deploymentSpec({ replicas: 4 }) });
    cluster.setSpec({ workload: deploymentSpec() });
    cluster.settle(3);
    cluster.setSpec({ workload: deploymentSpec({ image: 'web:2' }) });
    cluster.settle(3);
    expect(cluster.workloadIn('north')?.spec['replicas']).toBe(4);
  });

  test('replicas that the user changes are set, also where somebody scaled, and without touching the template', () => {
    const cluster = running({ workload: deploymentSpec({ replicas: 2 }), rollout: { paused: true } });
    cluster.setSpec({ rollout: {} });
    cluster.settle(3);
    cluster.scale('north', 5);
    cluster.setSpec({ rollout: { paused: true }, workload: deploymentSpec({ replicas: 3, image: 'web:2' }) });
    cluster.settle(3);
    expect(cluster.workloadIn('north')?.spec['replicas']).toBe(3);
    expect(images(cluster, ['north'])).toEqual(['web:1']);
  });

  test('names whose plain joins are the same belong to different workloads', () => {
    const first = clusterWith({}, ['b-c']);
    first.settle(3);
    const second = clusterWith({}, ['c']);
    second.appSet = { ...second.appSet, metadata: { ...second.appSet.metadata, name: 'web-b' } };
    second.settle(3);
    const [one, two] = [first, second].map((cluster) => [...cluster.workloads.keys()][0]);
    expect(one).toMatch(/^web-b-c-[a-z0-9]{10}$/);
    expect(two).toMatch(/^web-b-c-[a-z0-9]{10}$/);
    expect(one).not.toBe(two);
  });

  test('a tweak for one pool changes no pod in another', () => {
    const cluster = running({}, ['north', 'south', 'west']);
    const before = cluster.workloadIn('south')?.metadata.generation;
    const tweak = { pools: ['north'], tweaks: { containerImages: [{ name: 'web', targetImage: 'web:beta' }] } };
    cluster.setSpec({ workload: deploymentSpec({ tweaks: [tweak] }) });
    const writes = cluster.writes.length;
    cluster.reconcile();
    expect(images(cluster, ['north', 'south', 'west'])).toEqual(['web:beta', 'web:1', 'web:1']);
    expect(cluster.workloadIn('south')?.metadata.generation).toBe(before);
    expect(cluster.writes.slice(writes)).toEqual(['create-revision', 'apply', 'status']);
  });
});

describe('rollout', () => {
  const sites = ['a', 'b', 'c', 'd'];

  test('pool by pool, in the order of the list, and each complete before the next', () => {
    const cluster = running({ rollout: { maxPools: 1 } }, ['c', 'a', 'b']);
    cluster.setSpec({ workload: deploymentSpec({ image: 'web:2' }) });
    const order: string[][] = [];
    for (let step = 0; step < 3; step++) {
      cluster.settle(3);
      order.push(images(cluster, ['c', 'a', 'b']));
      cluster.runAllPods();
    }
    expect(order).toEqual([
      ['web:2', 'web:1', 'web:1'],
      ['web:2', 'web:2', 'web:1'],
      ['web:2', 'web:2', 'web:2'],
    ]);
    cluster.settle(3);
    expect(condition(cluster, 'AppUpdated')).toBe('True AllPoolsUpdated');
  });

  test('a failing image stops it at the first pool, says so, and goes on when the image is there', () => {
    const cluster = running({ rollout: { maxPools: 1 } }, sites);
    cluster.brokenImages.add('web:bad');
    cluster.setSpec({ workload: deploymentSpec({ image: 'web:bad' }) });
    for (let step = 0; step < 30; step++) {
      cluster.settle(4);
      cluster.runAllPods();
      cluster.nowMs += minute;
    }
    expect(images(cluster, sites)).toEqual(['web:bad', 'web:1', 'web:1', 'web:1']);
    expect(condition(cluster, 'AppUpdated')).toBe('False Stopped');
    expect(stateOf(cluster, 'a')).toBe('Failed');
    expect(stateOf(cluster, 'b')).toBe('Waiting');
    expect(cluster.notices).toContainEqual(expect.objectContaining({ type: 'Warning', reason: 'PoolFailed' }));
    cluster.brokenImages.clear();
    for (let step = 0; step < 6; step++) {
      cluster.runAllPods();
      cluster.settle(4);
    }
    expect(images(cluster, sites)).toEqual(['web:bad', 'web:bad', 'web:bad', 'web:bad']);
  });

  test('the template before brings back the pool that failed and touches no other', () => {
    const cluster = running({ rollout: { maxPools: 1, poolDeadlineSeconds: 60 } }, sites);
    cluster.brokenImages.add('web:bad');
    const generation = cluster.workloadIn('b')?.metadata.generation;
    cluster.setSpec({ workload: deploymentSpec({ image: 'web:bad' }) });
    cluster.settle(4);
    cluster.nowMs += 2 * minute;
    cluster.settle(4);
    cluster.setSpec({ workload: deploymentSpec() });
    cluster.settle(4);
    cluster.runAllPods();
    cluster.settle(4);
    expect(images(cluster, sites)).toEqual(['web:1', 'web:1', 'web:1', 'web:1']);
    expect(cluster.workloadIn('b')?.metadata.generation).toBe(generation);
    expect(condition(cluster, 'AppUpdated')).toBe('True AllPoolsUpdated');
    expect(new Set([...cluster.revisions.values()].map((item) => item.revision))).toEqual(new Set([2, 3]));
  });

  test('spec.rollout.revision brings back a recorded revision while the spec stays', () => {
    const cluster = running({}, sites);
    const first = cluster.appSet.status?.currentRevision ?? '';
    cluster.setSpec({ workload: deploymentSpec({ image: 'web:2' }) });
    cluster.settle(4);
    cluster.runAllPods();
    cluster.setSpec({ rollout: { revision: first } });
    cluster.settle(4);
    expect(images(cluster, sites)).toEqual(['web:1', 'web:1', 'web:1', 'web:1']);
    expect(cluster.appSet.status?.currentRevision).toBe(first);
    cluster.setSpec({ rollout: {} });
    cluster.settle(4);
    expect(images(cluster, sites)).toEqual(['web:2', 'web:2', 'web:2', 'web:2']);
  });

  test('a revision that is not there changes nothing and is named', () => {
    const cluster = running({}, sites);
    cluster.setSpec({ workload: deploymentSpec({ image: 'web:2' }), rollout: { revision: 'web-gone' } });
    cluster.settle(4);
    expect(images(cluster, sites)).toEqual(['web:1', 'web:1', 'web:1', 'web:1']);
    expect(condition(cluster, 'AppUpdated')).toBe('False RevisionNotFound');
  });

  test('paused: what is in motion goes on, nothing else is started', () => {
    const cluster = running({ rollout: { maxPools: 1 } }, sites);
    cluster.setSpec({ workload: deploymentSpec({ image: 'web:2' }) });
    cluster.settle(4);
    cluster.setSpec({ rollout: { maxPools: 1, paused: true } });
    cluster.runAllPods();
    cluster.settle(4);
    expect(images(cluster, sites)).toEqual(['web:2', 'web:1', 'web:1', 'web:1']);
    expect(condition(cluster, 'AppUpdated')).toBe('False Paused');
  });

  test('a site that is cut off holds nobody up and follows when it is back', () => {
    const cluster = running({ rollout: { maxPools: 1 } }, sites);
    cluster.addPool('a', {}, 0);
    cluster.setSpec({ workload: deploymentSpec({ image: 'web:2' }) });
    for (let step = 0; step < 6; step++) {
      cluster.settle(4);
      cluster.runAllPods();
    }
    expect(images(cluster, sites)).toEqual(['web:1', 'web:2', 'web:2', 'web:2']);
    expect(stateOf(cluster, 'a')).toBe('Waiting');
    cluster.addPool('a');
    cluster.settle(4);
    expect(images(cluster, sites)).toEqual(['web:2', 'web:2', 'web:2', 'web:2']);
  });

  test('more failures than one are borne where the user says so', () => {
    const cluster = running({ rollout: { maxPools: 1, maxFailedPools: 1, poolDeadlineSeconds: 60 } }, sites);
    const tweak = { pools: ['a'], tweaks: { containerImages: [{ name: 'web', targetImage: 'web:bad' }] } };
    cluster.brokenImages.add('web:bad');
    cluster.setSpec({ workload: deploymentSpec({ image: 'web:2', tweaks: [tweak] }) });
    for (let step = 0; step < 8; step++) {
      cluster.settle(4);
      cluster.nowMs += 2 * minute;
      cluster.runAllPods();
    }
    expect(images(cluster, sites)).toEqual(['web:bad', 'web:2', 'web:2', 'web:2']);
    expect(condition(cluster, 'AppUpdated')).toBe('False Failed');
  });

  test('pods that fail long after the rollout are a degraded pool, not a failed rollout', () => {
    const cluster = running({ rollout: { maxPools: 1 } }, sites);
    cluster.nowMs += 60 * minute;
    cluster.brokenImages.add('web:1');
    cluster.runPods('b');
    cluster.settle(4);
    expect(stateOf(cluster, 'b')).toBe('Degraded');
    expect(condition(cluster, 'AppUpdated')).toBe('True AllPoolsUpdated');
    expect(condition(cluster, 'AppReady')).toBe('False WorkloadsNotReady');
  });

  test('a patch that does not fit fails its pool with the place of the patch, before any pool is touched', () => {
    const cluster = running({ rollout: { maxPools: 1 } }, sites);
    const patches = [{ path: '/spec/template/spec/containers/3/image', operation: 'replace', value: 'x' }] as const;
    const tweaks = [{ pools: ['c'], tweaks: { patches } }];
    cluster.setSpec({ workload: deploymentSpec({ image: 'web:2', tweaks }) });
    cluster.settle(4);
    expect(images(cluster, sites)).toEqual(['web:1', 'web:1', 'web:1', 'web:1']);
    expect(cluster.appSet.status?.pools?.[2]?.message).toMatch(/workloadTweaks\[0\]\.tweaks\.patches\[0\]: .*index 3/);
  });

  test('a name that somebody else has fails the pool, and it is tried again', () => {
    const cluster = clusterWith({ rollout: { maxPools: 1 } }, sites);
    const name = 'web-a-';
    const plan = cluster.reconcile(0);
    const apply = plan.actions.find((action) => action.type === 'apply');
    const taken = apply?.type === 'apply' ? apply.rendered.object.metadata.name : '';
    expect(taken.startsWith(name)).toBe(true);
    cluster.taken.add(taken);
    cluster.settle(4);
    expect(cluster.workloads.size).toBe(0);
    expect(stateOf(cluster, 'a')).toBe('Failed');
    cluster.taken.clear();
    cluster.nowMs += minute;
    cluster.settle(4);
    expect(cluster.workloadIn('a')).toBeDefined();
  });

  test('what somebody else changed in the template is put back, unless the rollout is paused', () => {
    const cluster = running({ rollout: { paused: true } }, ['a']);
    cluster.setSpec({ rollout: {} });
    cluster.settle(4);
    cluster.runAllPods();
    const change = { spec: { template: { spec: { containers: [{ name: 'web', image: 'web:hack' }] } } } };
    cluster.setSpec({ rollout: { paused: true } });
    cluster.edit('a', change);
    cluster.settle(4);
    expect(images(cluster, ['a'])).toEqual(['web:hack']);
    cluster.setSpec({ rollout: {} });
    cluster.settle(4);
    expect(images(cluster, ['a'])).toEqual(['web:1']);
  });
});

describe('deletion', () => {
  test('the workloads go first, then the app set', () => {
    const cluster = running({});
    cluster.deleteAppSet();
    cluster.reconcile();
    expect(cluster.workloads.size).toBe(0);
    expect(cluster.appSet.metadata.finalizers).toEqual(['holdfast.dev/app-set']);
    cluster.settle(2);
    expect(cluster.appSet.metadata.finalizers).toEqual([]);
  });

  test('deleted with --cascade=orphan it leaves the workloads', () => {
    const cluster = running({});
    const { metadata } = cluster.appSet;
    cluster.appSet = { ...cluster.appSet, metadata: { ...metadata, finalizers: ['holdfast.dev/app-set', 'orphan'] } };
    cluster.deleteAppSet();
    cluster.reconcile();
    expect(cluster.workloads.size).toBe(2);
    expect(cluster.appSet.metadata.finalizers).toEqual([]);
  });
});

describe("under OpenYurt's CRD, which checks less", () => {
  test.each([
    [{ workload: { workloadTemplate: {} } }, /needs exactly one of deploymentTemplate, statefulSetTemplate/],
    [{ rollout: { maxPools: 'some' } }, /maxPools is 'some': it has to be a number of at least 1, or a share/],
    [
      { nodepoolSelector: { matchExpressions: [{ key: 'a', operator: 'Is' }] } },
      /nodepoolSelector\.matchExpressions\[0\]: operator 'Is' has to be/,
    ],
  ] as [Partial<YurtAppSetSpec>, RegExp][])('%j is reported and nothing is touched', (spec, problem) => {
    const cluster = running({});
    cluster.setSpec(spec);
    const writes = cluster.writes.length;
    cluster.settle(3);
    expect(cluster.writes.slice(writes)).toEqual(['status']);
    expect(condition(cluster, 'AppUpdated')).toBe('False InvalidSpec');
    expect(cluster.notices.at(-1)?.message).toMatch(problem);
  });

  test('a template of another kind is reported; the workloads stay', () => {
    const cluster = running({});
    cluster.setSpec({ workload: statefulSetSpec() });
    cluster.settle(3);
    expect([...cluster.workloads.values()].map((item) => item.kind)).toEqual(['Deployment', 'Deployment']);
    expect(cluster.notices.at(-1)?.message).toMatch(/was a Deployment's and is a StatefulSet's now/);
  });

  test('workloads that OpenYurt made are taken over as they are: same name, same pods', () => {
    const cluster = running({ workload: deploymentSpec({ replicas: 2 }) }, ['north']);
    const made = cluster.workloadIn('north') as Workload;
    const { 'holdfast.dev/applied': _, ...rest } = made.metadata.annotations ?? {};
    cluster.workloads.clear();
    cluster.workloads.set('web-north-x7k2p', {
      ...made,
      metadata: { ...made.metadata, name: 'web-north-x7k2p', annotations: rest },
      spec: { ...made.spec, replicas: 7 },
    });
    const writes = cluster.writes.length;
    cluster.settle(4);
    expect(cluster.writes.slice(writes)).toEqual(['apply', 'status']);
    expect([...cluster.workloads.values()]).toMatchObject([
      { metadata: { name: 'web-north-x7k2p', generation: made.metadata.generation }, spec: { replicas: 7 } },
    ]);
  });
});
