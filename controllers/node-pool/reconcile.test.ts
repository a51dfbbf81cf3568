// Both reconcilers over a simulated API server: whatever people do and however often the controllers are killed, it ends as the
// objects say, in a bounded number of steps, and then nothing is written.
import fc from 'fast-check';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { ApiError } from '../machinery/errors.ts';
import { SimulatedApi } from '../machinery/simulated-api.testing.ts';
import { nodeResource, nodes as nodeCollection, poolNameOf, type Node } from '../nodes.ts';
import { attributesOf, planNode, readRecord } from './attributes.ts';
import { NodePoolReconciler, poolFinalizer } from './node-pool-controller.ts';
import { nodePools, type NodePool, type NodePoolSpec } from './node-pool-crd.ts';
import { node, pool } from './objects.testing.ts';
import { PoolNodesReconciler } from './pool-nodes-controller.ts';

const label = 'apps.openyurt.io/nodepool';
const signal = new AbortController().signal;

class Bench {
  readonly api = new SimulatedApi();
  readonly clock = new ManualClock();
  readonly told: string[] = [];
  readonly pools = this.api.objects<NodePool, never>(nodePools, {});
  readonly nodes = this.api.objects<Node, 'pool'>(nodeResource, nodeCollection.indexes as never);
  #pool = this.#newPool();
  #node = this.#newNode();

  /** As a new process. */
  restart(): void {
    this.#pool = this.#newPool();
    this.#node = this.#newNode();
  }

  /** Every key once, in the order that `flip` gives. */
  async round(flip = false): Promise<void> {
    const keys = [
      ...this.pools.list().map(
        ({ metadata }) =>
          () =>
            this.#pool.reconcile(metadata.name, signal),
      ),
      ...this.nodes.list().map(
        ({ metadata }) =>
          () =>
            this.#node.reconcile(metadata.name, signal),
      ),
    ];
    for (const reconcile of flip ? keys.reverse() : keys) await reconcile().catch(onlyExpected);
    this.clock.advance(60_000);
  }

  /** One look at a node, or at a pool, a moment after the last. */
  async look(at: 'node' | 'pool', name: string): Promise<void> {
    this.clock.advance(250);
    await (at === 'node' ? this.#node : this.#pool).reconcile(name, signal);
  }

  /** Rounds until nothing is asked to be written; fails when that takes more than `most`. */
  async settle(most = 5): Promise<void> {
    for (let round = 0; round < most; round += 1) {
      const before = this.api.asked.length;
      await this.round(round % 2 === 1);
      if (this.api.asked.length === before) return;
    }
    throw new Error(`still writing after ${most} rounds: ${this.api.asked.slice(-5).join('; ')}`);
  }

  #newPool(): NodePoolReconciler {
    const recorder = { record: (_r: unknown, _o: unknown, _t: string, reason: string) => void this.told.push(reason) };
    return new NodePoolReconciler({ api: this.api as never, recorder, clock: this.clock }, this.pools, this.nodes);
  }

  #newNode(): PoolNodesReconciler {
    const recorder = { record: (_r: unknown, _o: unknown, _t: string, reason: string) => void this.told.push(reason) };
    return new PoolNodesReconciler({ api: this.api as never, recorder }, this.pools, this.nodes);
  }
}

class Killed extends Error {}

function onlyExpected(error: unknown): void {
  if (!(error instanceof ApiError) && !(error instanceof Killed)) throw error;
}

test('a pool counts its nodes, says that they have what it gives, and carries its finalizer', async () => {
  const bench = new Bench();
  bench.api.put(nodePools, pool('berlin', { labels: { site: 'berlin' } }));
  bench.api.put(nodeResource, node('b', { labels: { [label]: 'berlin' } }));
  bench.api.put(nodeResource, node('a', { labels: { [label]: 'berlin' }, ready: false }));
  bench.api.put(nodeResource, node('c'));
  await bench.settle();
  const { metadata, status } = bench.pools.get({ name: 'berlin' })!;
  expect(metadata.finalizers).toEqual([poolFinalizer]);
  expect(metadata.labels).toEqual({ 'nodepool.openyurt.io/type': 'edge' });
  expect(status).toMatchObject({ observedGeneration: 1, readyNodeNum: 1, unreadyNodeNum: 1, nodes: ['a', 'b'] });
  expect(status?.conditions).toMatchObject([{ type: 'AttributesApplied', status: 'True' }]);
  expect(bench.nodes.get({ name: 'a' })?.metadata.labels).toMatchObject({ site: 'berlin' });
  expect(bench.nodes.get({ name: 'c' })?.metadata.labels).toEqual({});
});

test('a node that moves takes nothing along and gets what the other pool gives', async () => {
  const bench = new Bench();
  bench.api.put(nodePools, pool('berlin', { labels: { site: 'berlin', only: 'here' } }));
  bench.api.put(nodePools, pool('paris', { labels: { site: 'paris' } }));
  bench.api.put(nodeResource, node('a', { labels: { [label]: 'berlin' } }));
  await bench.settle();
  const a = bench.nodes.get({ name: 'a' })!;
  bench.api.put(nodeResource, {
    ...a,
    metadata: { ...a.metadata, labels: { ...a.metadata.labels, [label]: 'paris' } },
  });
  await bench.settle();
  expect(bench.nodes.get({ name: 'a' })?.metadata.labels).toEqual({ [label]: 'paris', site: 'paris' });
  expect(bench.pools.get({ name: 'berlin' })?.status).toMatchObject({ readyNodeNum: 0, nodes: [] });
  expect(bench.pools.get({ name: 'paris' })?.status).toMatchObject({ readyNodeNum: 1, nodes: ['a'] });
});

test('while a change of the pool goes from node to node its status says so once, and at once when all have it', async () => {
  const bench = new Bench();
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  bench.api.put(nodePools, pool('berlin', { labels: { site: 'old' } }));
  for (const name of names) bench.api.put(nodeResource, node(name, { labels: { [label]: 'berlin' } }));
  await bench.settle();
  const before = bench.api.writes.length;
  const { metadata } = bench.pools.get({ name: 'berlin' })!;
  const { resourceVersion: _version, uid: _uid, ...kept } = metadata;
  const generation = (metadata.generation ?? 0) + 1;
  const { status } = bench.pools.get({ name: 'berlin' })!;
  bench.api.put(nodePools, { ...pool('berlin', { labels: { site: 'new' } }, { ...kept, generation }), status });
  await bench.look('pool', 'berlin');
  for (const name of names) {
    await bench.look('node', name);
    await bench.look('pool', 'berlin');
  }
  const written = bench.api.writes.slice(before).filter((what) => what.endsWith('/status'));
  expect(written).toHaveLength(2);
  expect(bench.pools.get({ name: 'berlin' })?.status?.conditions).toMatchObject([
    { type: 'AttributesApplied', status: 'True' },
  ]);
});

test('a pool that is deleted stays until its last node has left, says why, and takes back what it gave', async () => {
  const bench = new Bench();
  bench.api.put(nodePools, pool('berlin', { labels: { site: 'berlin' } }));
  bench.api.put(nodeResource, node('a', { labels: { [label]: 'berlin' } }));
  await bench.settle();
  bench.api.delete(nodePools, { name: 'berlin' });
  await bench.settle();
  const waiting = bench.pools.get({ name: 'berlin' })?.status?.conditions;
  expect(waiting).toMatchObject([{}, { type: 'Terminating', status: 'True', reason: 'NodesRemain' }]);
  expect(waiting?.[1]?.message).toContain('kubectl label node NAME apps.openyurt.io/nodepool-');
  expect(bench.told).toContain('NodesRemain');
  const a = bench.nodes.get({ name: 'a' })!;
  const { [label]: _pool, ...labels } = a.metadata.labels ?? {};
  bench.api.put(nodeResource, { ...a, metadata: { ...a.metadata, labels } });
  await bench.settle();
  expect(bench.pools.get({ name: 'berlin' })).toBeUndefined();
  expect(bench.nodes.get({ name: 'a' })?.metadata.labels).toEqual({});
});

test('a selector brings in nodes of no pool, lets them go, and never takes one that somebody placed', async () => {
  const bench = new Bench();
  const selecting = (value: string): NodePoolSpec => ({
    selector: { matchLabels: { rack: value } },
    labels: { rack: 'given' },
  });
  bench.api.put(nodePools, pool('one', selecting('1')));
  bench.api.put(nodePools, pool('other'));
  bench.api.put(nodeResource, node('found', { labels: { rack: '1' } }));
  bench.api.put(nodeResource, node('placed', { labels: { rack: '1', [label]: 'other' } }));
  await bench.settle();
  expect(poolNameOf(bench.nodes.get({ name: 'found' })!)).toBe('one');
  expect(poolNameOf(bench.nodes.get({ name: 'placed' })!)).toBe('other');
  const one = bench.pools.get({ name: 'one' })!;
  bench.api.put(nodePools, { ...one, spec: selecting('2') });
  await bench.settle();
  expect(bench.nodes.get({ name: 'found' })?.metadata.labels).toEqual({ rack: '1' });
});

test('a node that the selectors of two pools find comes into neither, and people are told', async () => {
  const bench = new Bench();
  for (const name of ['one', 'two']) bench.api.put(nodePools, pool(name, { selector: { matchLabels: { rack: '1' } } }));
  bench.api.put(nodeResource, node('found', { labels: { rack: '1' } }));
  await bench.settle();
  expect(poolNameOf(bench.nodes.get({ name: 'found' })!)).toBeUndefined();
  expect(bench.told).toContain('SeveralPools');
});

test("with OpenYurt's own CRD, which drops observedGeneration, the status is written once and not again and again", async () => {
  const bench = new Bench();
  const plain = bench.api.patch.bind(bench.api);
  bench.api.patch = async (resource, name, type, body, ...rest) => {
    const { observedGeneration: _dropped, ...status } = (body as { status?: Record<string, unknown> }).status ?? {};
    const conditions = (status['conditions'] as Record<string, unknown>[] | undefined)?.map(
      ({ observedGeneration: _also, ...condition }) => condition,
    );
    const pruned = 'status' in (body as object) ? { ...(body as object), status: { ...status, conditions } } : body;
    return await plain(resource, name, type, pruned, ...rest);
  };
  bench.api.put(nodePools, pool('berlin'));
  await bench.settle();
});

const specs = fc.record({
  labels: fc.dictionary(fc.constantFrom('site', 'tier'), fc.constantFrom('1', '2')),
  taints: fc.subarray([
    { key: 'site', value: '1', effect: 'NoSchedule' as const },
    { key: 'bare', effect: 'NoExecute' as const },
  ]),
});
const names = fc.constantFrom('one', 'two');
const nodeNames = fc.constantFrom('a', 'b', 'c');
const steps = fc.oneof(
  fc.record({
    do: fc.constant('pool' as const),
    name: names,
    spec: specs,
    selector: fc.option(fc.constantFrom('1', '2')),
  }),
  fc.record({ do: fc.constant('delete pool' as const), name: names }),
  fc.record({ do: fc.constant('vanish pool' as const), name: names }),
  fc.record({
    do: fc.constant('node' as const),
    name: nodeNames,
    labels: fc.dictionary(fc.constantFrom('rack', 'site'), fc.constantFrom('1', '2')),
  }),
  fc.record({ do: fc.constant('move' as const), name: nodeNames, to: fc.option(names) }),
  fc.record({ do: fc.constant('delete node' as const), name: nodeNames }),
  fc.record({ do: fc.constant('round' as const), kill: fc.nat(6) }),
);

test('after anything that people do, with controllers killed at any write, it settles in few rounds and exactly as the objects say', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { maxLength: 25 }), async (all) => {
      const bench = new Bench();
      for (const step of all) await take(bench, step);
      await bench.settle(8);
      for (const each of bench.pools.list()) {
        const members = bench.nodes.byIndex('pool', each.metadata.name);
        expect(each.status?.nodes).toEqual(members.map(({ metadata }) => metadata.name).sort());
        expect(each.status?.readyNodeNum).toBe(members.length);
        expect(each.metadata.deletionTimestamp === undefined || members.length > 0).toBe(true);
      }
      for (const each of bench.nodes.list()) {
        const own = bench.pools.get({ name: poolNameOf(each) ?? '' });
        expect(planNode(each, attributesOf(own?.spec), readRecord(each).selectedBy)).toBeUndefined();
      }
    }),
    { numRuns: 300 },
  );
});

type Step = typeof steps extends fc.Arbitrary<infer T> ? T : never;

async function take(bench: Bench, step: Step): Promise<void> {
  switch (step.do) {
    case 'pool': {
      const known = bench.pools.get({ name: step.name });
      const spec = {
        ...step.spec,
        ...(step.selector === null ? {} : { selector: { matchLabels: { rack: step.selector } } }),
      };
      const generation = (known?.metadata.generation ?? 0) + 1;
      bench.api.put(nodePools, { ...known, ...pool(step.name, spec, { ...known?.metadata, generation }) });
      return;
    }
    case 'delete pool':
      bench.api.delete(nodePools, { name: step.name });
      return;
    case 'vanish pool': {
      // Somebody takes the finalizer off.
      const known = bench.pools.get({ name: step.name });
      if (known !== undefined) bench.api.put(nodePools, { ...known, metadata: { ...known.metadata, finalizers: [] } });
      bench.api.delete(nodePools, { name: step.name });
      return;
    }
    case 'node': {
      const known = bench.nodes.get({ name: step.name });
      const labels = { ...known?.metadata.labels, ...step.labels };
      bench.api.put(
        nodeResource,
        known === undefined ? node(step.name, { labels }) : { ...known, metadata: { ...known.metadata, labels } },
      );
      return;
    }
    case 'move': {
      const known = bench.nodes.get({ name: step.name });
      if (known === undefined) return;
      const { [label]: _before, ...labels } = known.metadata.labels ?? {};
      bench.api.put(nodeResource, {
        ...known,
        metadata: { ...known.metadata, labels: step.to === null ? labels : { ...labels, [label]: step.to } },
      });
      return;
    }
    case 'delete node':
      bench.api.delete(nodeResource, { name: step.name });
      return;
    case 'round': {
      let left = step.kill;
      bench.api.beforeWrite = () => {
        if (left === 0) throw new Killed('killed');
        left -= 1;
      };
      await bench.round();
      bench.api.beforeWrite = () => undefined;
      bench.restart();
    }
  }
}
