// The eviction guard against a real API server, node controller, scheduler and NodeRestriction: what it makes of nodes that are dead or
// cut off.
import { waitFor } from '../../cluster/commands.ts';
import { describeWithControlPlane } from '../../cluster/integration.ts';
import type { GuardReplica } from './guard-replica.ts';
import {
  containers,
  GuardStage,
  isKept,
  isKind,
  leaving,
  nowSeconds,
  pass,
  stockSeconds,
  unreachableSeconds,
  within,
} from './guard-stage.ts';

describeWithControlPlane('the eviction guard', () => {
  let stage: GuardStage;
  let guard: GuardReplica;

  beforeAll(async () => {
    stage = await GuardStage.start();
    guard = stage.guard('first');
  }, 600_000);
  afterAll(async () => {
    await guard?.stop();
    await stage?.stop();
  }, 60_000);

  it('a dead node: its pods are made again elsewhere; stateful ones when it is fenced; back, it is as before', async () => {
    const pool = await stage.startPool('dead', 3);
    for (const kind of ['StatefulSet', 'DaemonSet'] as const) await stage.create('dead', kind, kind.toLowerCase());
    await stage.deploy('dead', 6);
    const stateful = await waitFor(
      'the stateful pod has landed',
      async () => (await stage.podsOf('dead')).find((pod) => isKind(pod, 'StatefulSet') && isKept(pod)),
      within(60),
    );
    const victim = pool.nodes.find(({ name }) => name === stateful.spec.nodeName)!;
    await waitFor(
      'the DaemonSet has landed',
      async () => (await stage.podsOf('dead')).filter((pod) => isKind(pod, 'DaemonSet')).length === 3,
      within(60),
    );

    victim.isOn = false;
    const offSeconds = nowSeconds();
    await waitFor(
      'its pods are deleted',
      async () => {
        const pods = (await stage.podsOf('dead', victim.name)).filter((pod) => isKind(pod, 'ReplicaSet'));
        return pods.length > 0 && leaving(pods).length === pods.length;
      },
      within(75),
    );
    const seconds = nowSeconds() - offSeconds;
    // The last renewal may have been ten seconds before.
    expect(seconds).toBeGreaterThan(34);
    expect(await stage.conditionOf(victim.name)).toMatchObject({
      status: 'False',
      reason: 'Dead',
      message: expect.stringMatching(
        /^PeersSilent: silent for \d+ s; silent: dead-\d \(\d+ s\), dead-\d \(\d+ s\); 2 of 3 heard$/,
      ),
    });
    const onVictim = await stage.podsOf('dead', victim.name);
    expect(leaving(onVictim.filter((pod) => !isKind(pod, 'ReplicaSet')))).toEqual([]);
    await waitFor(
      'all are replaced elsewhere',
      async () =>
        (await stage.podsOf('dead')).filter(
          (pod) =>
            isKind(pod, 'ReplicaSet') &&
            pod.metadata.deletionTimestamp === undefined &&
            pod.spec.nodeName !== victim.name &&
            pod.spec.nodeName !== undefined,
        ).length === 6,
      within(60),
    );
    const command = `kubectl annotate node ${victim.name} holdfast.dev/fenced=boot-of-${victim.name}`;
    await waitFor(
      'people are told',
      async () => {
        const told = (await stage.eventsOn(victim.name)).join('\n');
        return told.includes('NodeDead PeersSilent') && told.includes(command);
      },
      within(30),
    );

    // For another boot of it the declaration is void.
    await stage.annotate(victim.name, { 'holdfast.dev/fenced': 'boot-of-last-year' });
    await pass(15);
    expect(await stage.taintsOf(victim.name)).not.toContain('node.kubernetes.io/out-of-service');
    await stage.annotate(victim.name, { 'holdfast.dev/fenced': `boot-of-${victim.name}` });
    await waitFor(
      'the stateful pod is elsewhere',
      async () =>
        (await stage.podsOf('dead')).some(
          (pod) =>
            pod.metadata.name === stateful.metadata.name &&
            pod.metadata.uid !== stateful.metadata.uid &&
            pod.spec.nodeName !== victim.name,
        ),
      // The pod garbage collector looks every 20 s, of real time.
      within(90),
    );

    pool.powerOn(victim);
    await stage.says(victim.name, 'Alive', 60);
    expect((await stage.taintsOf(victim.name)).filter((key) => !key.startsWith('node.kubernetes.io/unreach'))).toEqual(
      [],
    );
  }, 600_000);

  it('a node that is cut off: the node controller evicts what is left to it, and nothing else', async () => {
    const pool = await stage.startPool('cut', 3);
    const cut = pool.node(2);
    await stage.create('cut', 'DaemonSet', 'agent');
    const before = await stage.deploy('cut', 6);
    // What stock Kubernetes does, beside it: a pod that its owner left to it.
    await stage.plane.request('POST', '/api/v1/namespaces/cut/pods', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'stock', annotations: { 'holdfast.dev/eviction': 'stock' } },
      spec: { nodeName: cut.name, containers },
    });
    cut.hasUplink = false;
    await stage.says(cut.name, 'CutOff', 60);
    expect(await stage.taintsOf(cut.name)).toContain('holdfast.dev/cut-off');
    await waitFor(
      'the node controller has evicted the pod that was left to it',
      async () => {
        const stock = (await stage.podsOf('cut')).find(({ metadata }) => metadata.name === 'stock');
        return stock === undefined || stock.metadata.deletionTimestamp !== undefined;
      },
      within(60),
    );
    await pass(8 * stockSeconds);
    const others = (await stage.podsOf('cut')).filter(({ metadata }) => metadata.name !== 'stock');
    expect(leaving(others)).toEqual([]);
    pool.restoreUplink(cut);
    await stage.says(cut.name, 'Alive', 40);
    expect(await stage.taintsOf(cut.name)).not.toContain('holdfast.dev/cut-off');
    const uids = (await stage.podsOf('cut')).map(({ metadata }) => metadata.uid);
    expect(uids).toEqual(expect.arrayContaining(before.map(({ metadata }) => metadata.uid)));
  }, 600_000);

  it('a pool of one: stock timing, unless the pool says how long its node may be alone', async () => {
    // A zone that is well: the node controller evicts nobody while all zones are gone.
    await stage.startPool('bystander', 1);
    await stage.startPool('alone', 1);
    await stage.startPool('autonomous', 1, { 'holdfast.dev/autonomy-duration': '48h' });
    const [stock] = await stage.deploy('alone', 1, false);
    const [kept] = await stage.deploy('autonomous', 1);
    expect(unreachableSeconds(kept!)).toBe(172_800);
    for (const pool of stage.pools.slice(-2)) pool.node(1).isOn = false;
    await waitFor(
      'stock Kubernetes has evicted its pod',
      async () => leaving(await stage.podsOf('alone')).includes(stock!.metadata.name),
      within(60),
    );
    await stage.says('autonomous-1', 'Undecided', 60);
    expect(leaving(await stage.podsOf('autonomous'))).toEqual([]);
  }, 600_000);

  it('a pool of two: one dead is found by the other after a minute; both silent are a site', async () => {
    const pool = await stage.startPool('two', 2);
    await stage.deploy('two', 2);
    const offSeconds = nowSeconds();
    pool.node(1).isOn = false;
    await waitFor(
      'its pods are deleted',
      async () => {
        const pods = await stage.podsOf('two', 'two-1');
        return pods.length > 0 && leaving(pods).length === pods.length;
      },
      within(90),
    );
    expect(nowSeconds() - offSeconds).toBeGreaterThan(59);
    pool.powerOn(pool.node(1));
    await stage.says('two-1', 'Alive', 60);
    const before = leaving(await stage.podsOf('two'));
    for (const each of pool.nodes) each.hasUplink = false;
    await stage.says('two-1', 'SiteCutOff', 60);
    await stage.says('two-2', 'SiteCutOff', 60);
    await pass(60);
    expect(leaving(await stage.podsOf('two')).filter((name) => !before.includes(name))).toEqual([]);
  }, 600_000);

  it('two of three die, one after the other: both are found, the second by the one that is left', async () => {
    const pool = await stage.startPool('three', 3);
    await stage.deploy('three', 6);
    const areLeaving = async (name: string, seconds: number): Promise<void> => {
      let seen = '';
      await waitFor(
        `the pods of ${name} are deleted`,
        async () => {
          const pods = await stage.podsOf('three', name);
          seen = `${leaving(pods).length} of ${pods.length} pods; ${(await stage.conditionOf(name))?.message}`;
          return pods.length > 0 && leaving(pods).length === pods.length;
        },
        { ...within(seconds), context: () => seen },
      );
    };
    pool.node(1).isOn = false;
    await areLeaving('three-1', 75);
    pool.node(2).isOn = false;
    await areLeaving('three-2', 100);
    expect(leaving(await stage.podsOf('three', 'three-3'))).toEqual([]);
  }, 600_000);

  it('five, split two and three, the two with the uplink: they condemn nobody', async () => {
    const pool = await stage.startPool('split', 5);
    await stage.deploy('split', 5);
    const names = pool.nodes.map(({ name }) => name);
    pool.sides = [names.slice(0, 2), names.slice(2)];
    for (const each of pool.nodes.slice(2)) each.hasUplink = false;
    for (const name of names.slice(2)) await stage.says(name, 'Undecided', 60);
    expect((await stage.conditionOf(names[4]!))?.message).toMatch(/^FewHeard: /);
    await pass(60);
    expect(leaving(await stage.podsOf('split'))).toEqual([]);
  }, 600_000);

  it('a site that was cut off and comes back one by one, the first with the worst to say of the others', async () => {
    const pool = await stage.startPool('site', 3);
    await stage.deploy('site', 3);
    const names = pool.nodes.map(({ name }) => name);
    // Its switch is gone: nobody sees anybody, nor the cloud.
    pool.sides = names.map((name) => [name]);
    for (const each of pool.nodes) each.hasUplink = false;
    for (const name of names) await stage.says(name, 'SiteCutOff', 60);
    pool.restoreUplink(pool.node(1));
    await pass(40);
    pool.restoreUplink(pool.node(2));
    await stage.says(names[1]!, 'Alive', 40);
    await pass(90);
    expect(leaving(await stage.podsOf('site'))).toEqual([]);
    expect((await stage.conditionOf(names[2]!))?.reason).toBe('SiteCutOff');
  }, 600_000);
});
