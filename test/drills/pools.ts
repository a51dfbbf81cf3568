// The drill of the controllers: a real API server, two replicas as they are installed, every sample, a fleet that people move about
// while replicas are killed at random moments, and in the end every object exactly as it should be.
import { setTimeout as pause } from 'node:timers/promises';
import { applyConfig } from '../cluster/apply-config.ts';
import { waitFor } from '../cluster/commands.ts';
import { ControlPlane } from '../cluster/control-plane.ts';
import type { Drill, DrillContext } from './drill.ts';
import { appSets } from './pools/app-sets.ts';
import { Fleet, pools, seeded, type PoolObject } from './pools/fleet.ts';
import { takeOverMs } from './pools/killer.ts';
import { replicaNames, Replicas, type ReplicaName } from './controller-replicas.ts';
import { wholeFleet } from './pools/whole-fleet.ts';
import { expectThat } from './report.ts';

const sizes = {
  quick: { pools: 8, nodes: 60, kills: 10, disturbances: 12 },
  full: { pools: 20, nodes: 200, kills: 30, disturbances: 25 },
} as const;

export const poolsDrill: Drill = {
  name: 'pools',
  summary: 'node pools: every sample, a fleet in motion with controllers killed at random, and an exact end',
  async run(context) {
    const { report, only, quick } = context;
    const wanted = (letter: string): boolean => only.size === 0 || only.has(letter);
    const seed = Date.now() % 1_000_000;
    if (['a', 'b', 'c', 'd', 'e', 'f', 'g'].some(wanted)) await objectsOnly(context, wanted, seed);
    if (wanted('h')) await report.part('(h) app sets over pools', () => appSets(context));
    // A quarter of an hour, and kubelets that have to be built: not in the gate, unless it is asked for.
    if (only.has('i') || (only.size === 0 && !quick))
      await report.part(`(i) all of it at once, with kubelets (seed ${seed})`, () => wholeFleet(context, seed));
  },
};

/** Nodes that are objects and nothing more: what is looked at is what the controllers write. */
async function objectsOnly(context: DrillContext, wanted: (letter: string) => boolean, seed: number): Promise<void> {
  const { report, quick } = context;
  // Without controller-manager: nobody renews the Leases of these nodes, and it would call them Unknown.
  const plane = await ControlPlane.start({ controllers: false });
  context.defer(() => plane.stop());
  context.keepLogs(`${plane.dir}/controllers`);
  await applyConfig(plane, 'crds', 'rbac', 'controllers');
  const replicas = await Replicas.startBoth(context, plane);
  if (wanted('a')) await report.part('(a) every object in config/samples', () => samples(context, plane));
  const size = quick ? sizes.quick : sizes.full;
  const fleet = new Fleet(plane, size, seeded(seed));
  report.say(`a fleet of ${size.nodes} nodes in ${size.pools} pools (seed ${seed}) …`);
  await fleet.make();
  await report.part('(b) a fleet comes', () => arrival(context, fleet));
  if (wanted('c'))
    await report.part('(c) people and chance, replicas killed', () => storm(context, fleet, replicas, size, seed));
  if (wanted('d')) await report.part('(d) a pool vanishes and returns', () => vanishing(context, fleet));
  if (wanted('e')) await report.part('(e) a hand-over', () => handOver(context, replicas));
  await report.part('(f) then nothing is written', () => quiet(context, replicas));
  if (wanted('g')) await report.part("(g) beside OpenYurt's manager", () => besideOpenYurt(context, plane, replicas));
}

async function samples({ report }: DrillContext, plane: ControlPlane): Promise<void> {
  await report.check('the API server takes them', () => applyConfig(plane, 'samples'));
  await report.check('each pool has a status', async () => {
    const count = await waitFor(
      'statuses',
      async () => {
        const { items } = await plane.request<{ items: PoolObject[] }>('GET', pools);
        return items.every(({ status }) => status?.readyNodeNum !== undefined) ? items.length : undefined;
      },
      { deadlineMs: 180_000 },
    );
    return `${count} pools`;
  });
}

/** Waits until all is exact; fails with what is not. */
async function exact(fleet: Fleet, deadlineMs: number): Promise<string> {
  const begunMs = performance.now();
  let problems: string[] = [];
  await waitFor(
    'everything is as it should be',
    async () => {
      problems = await fleet.problems();
      return problems.length === 0;
    },
    { deadlineMs, everyMs: 250, context: () => problems.slice(0, 5).join('\n') },
  );
  return `${fleet.nodes} nodes, after ${((performance.now() - begunMs) / 1000).toFixed(1)} s`;
}

async function arrival({ report }: DrillContext, fleet: Fleet): Promise<void> {
  await report.check('labels, taints, status and neighbours are exact', () => exact(fleet, 60_000));
}

async function storm(
  { report, signal }: DrillContext,
  fleet: Fleet,
  replicas: Replicas,
  size: (typeof sizes)[keyof typeof sizes],
  seed: number,
): Promise<void> {
  const random = seeded(seed + 1);
  await report.check(
    `${size.kills} kills at random while ${size.kills * size.disturbances} things happen: the end is exact`,
    async () => {
      let leaders = 0;
      for (let kill = 0; kill < size.kills; kill += 1) {
        for (let i = 0; i < size.disturbances; i += 1) {
          signal.throwIfAborted();
          await fleet.disturb();
        }
        // Mostly the one that works, and while it has something to do.
        const leader = await waitFor('a leader', () => replicas.leader(), { deadlineMs: takeOverMs });
        const victim: ReplicaName = random() < 0.8 ? leader : replicaNames[kill % 2]!;
        if (victim === leader) leaders += 1;
        await pause(random() * 300);
        await replicas.kill(victim);
        await replicas.start(victim);
      }
      await fleet.mend();
      return `${leaders} of them the leader; ${await exact(fleet, takeOverMs + 60_000)}`;
    },
  );
}

async function vanishing({ report }: DrillContext, fleet: Fleet): Promise<void> {
  await fleet.vanish('site-1');
  await report.check('what it gave is taken back from its nodes, which keep their label', () =>
    exact(fleet, takeOverMs),
  );
  await fleet.mend();
  await report.check('it returns, and its nodes have what it gives', () => exact(fleet, takeOverMs));
}

async function handOver({ report }: DrillContext, replicas: Replicas): Promise<void> {
  const leader = await waitFor('a leader', () => replicas.leader(), { deadlineMs: takeOverMs });
  const other = replicaNames.find((name) => name !== leader)!;
  await replicas.ready(other);
  await report.check('told to stop, the leader hands over at once', async () => {
    const begunMs = performance.now();
    await replicas.stop(leader);
    await waitFor('the other leads', async () => (await replicas.leader()) === other, { deadlineMs: 180_000 });
    expectThat(replicas.log(leader).includes('released the Lease'), 'the Lease was not released');
    return `${((performance.now() - begunMs) / 1000).toFixed(1)} s`;
  });
  await replicas.start(leader);
  await replicas.ready(leader);
}

async function quiet({ report, quick }: DrillContext, replicas: Replicas): Promise<void> {
  const count = async (): Promise<number> => {
    const writes = await Promise.all(replicaNames.map((name) => replicas.writes(name)));
    return writes.reduce((sum, each) => sum + each, 0);
  };
  const seconds = quick ? 10 : 60;
  await report.check(`no write in ${seconds} s`, async () => {
    // Events of what just happened may still be on their way.
    await pause(3_000);
    const before = await count();
    await pause(seconds * 1_000);
    const after = await count();
    expectThat(after === before, `${after - before} writes`);
  });
}

async function besideOpenYurt({ report }: DrillContext, plane: ControlPlane, replicas: Replicas): Promise<void> {
  const [first, second] = replicaNames;
  for (const name of replicaNames) await replicas.stop(name);
  const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases';
  const spec = { holderIdentity: 'yurt-manager-0', leaseDurationSeconds: 15 };
  const kind = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'yurt-manager' } };
  await plane.request('POST', leases, { ...kind, spec });
  const renewal = setInterval(() => {
    const renewTime = new Date().toISOString().replace('Z', '000Z');
    plane.request('PATCH', `${leases}/yurt-manager`, { spec: { renewTime } }).catch(() => undefined);
  }, 1_000);
  try {
    await report.check('the controllers do not start, and say what to do', async () => {
      await replicas.start(first);
      await waitFor('it has ended', () => replicas.running(first) === undefined, { deadlineMs: 180_000 });
      expectThat(replicas.log(first).includes('scale deployment yurt-manager --replicas=0'), replicas.log(first));
    });
  } finally {
    clearInterval(renewal);
  }
  await report.check('when its Lease stands still, they do', async () => {
    await replicas.start(second);
    await waitFor('it leads', async () => (await replicas.leader()) === second, { deadlineMs: 180_000 });
  });
}
