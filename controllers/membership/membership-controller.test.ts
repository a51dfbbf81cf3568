// Whatever happens to nodes, pools and slices, and however often the controllers are killed: the slices name the members, each once,
// after a bounded number of looks, and then nothing is written.
import fc from 'fast-check';
import type { KubeObject } from '../../kube/wire.ts';
import { membersPerSlice, nodePoolLabel, poolLabel, readMembership } from '../../peers/membership.ts';
import type { ApiObject } from '../machinery/resource.ts';
import { SimulatedApi } from '../machinery/simulated-api.testing.ts';
import { nodePools, type NodePool } from '../node-pool/node-pool-crd.ts';
import { node, pool } from '../node-pool/objects.testing.ts';
import { nodeResource, nodes as nodeCollection, type Node } from '../nodes.ts';
import { membershipCollection, MembershipReconciler } from './membership-controller.ts';

const { signal } = new AbortController();
const slices = membershipCollection.resource;
const poolNames = ['berlin', 'paris'];

class Killed extends Error {}

class Bench {
  readonly api = new SimulatedApi();
  readonly pools = this.api.objects<NodePool, never>(nodePools, {});
  readonly nodes = this.api.objects<Node, 'pool'>(nodeResource, nodeCollection.indexes as never);
  readonly slices = this.api.objects<ApiObject, 'pool'>(slices, membershipCollection.indexes as never);

  async round(): Promise<void> {
    const reconciler = new MembershipReconciler({ api: this.api }, this.pools, this.nodes, this.slices);
    for (const name of poolNames)
      await reconciler.reconcile(name, signal).catch((error: unknown) => {
        if (!(error instanceof Killed)) throw error;
      });
  }

  /** Gives how many rounds wrote something; fails after `most`. */
  async settle(most: number): Promise<number> {
    for (let round = 0; round < most; round += 1) {
      const before = this.api.asked.length;
      await this.round();
      if (this.api.asked.length === before) return round;
    }
    throw new Error(`still writing after ${most} rounds: ${this.api.asked.slice(-5).join('; ')}`);
  }

  /** Of a pool, as its nodes read it. */
  members(name: string): string[] {
    const read = readMembership(this.slices.list() as unknown as Iterable<KubeObject>).get(name);
    return (read?.members ?? []).map(({ nodeName, address }) => `${nodeName} ${address}`);
  }

  /** Of a pool, as its nodes are. */
  wanted(name: string): string[] {
    if (this.pools.get({ name }) === undefined) return [];
    return this.nodes
      .byIndex('pool', name)
      .flatMap(({ metadata, status }) => status.addresses.map(({ address }) => `${metadata.name} ${address}`))
      .sort();
  }

  place(name: string, poolName: string | null, address: string | null): void {
    const labels = poolName === null ? {} : { [nodePoolLabel]: poolName };
    const addresses = address === null ? [] : [{ type: 'InternalIP', address }];
    const made = node(name, { labels });
    this.api.put(nodeResource, { ...made, status: { ...made.status, addresses } });
  }
}

const nodeNames = ['a', 'b', 'c', 'd'];
const step = fc.oneof(
  fc.record({ do: fc.constant('pool' as const), name: fc.constantFrom(...poolNames), relay: fc.boolean() }),
  fc.record({ do: fc.constant('no pool' as const), name: fc.constantFrom(...poolNames) }),
  fc.record({
    do: fc.constant('node' as const),
    name: fc.constantFrom(...nodeNames),
    pool: fc.option(fc.constantFrom(...poolNames)),
    address: fc.option(fc.constantFrom('10.0.0.1', '10.0.0.2')),
  }),
  fc.record({ do: fc.constant('no node' as const), name: fc.constantFrom(...nodeNames) }),
  fc.record({ do: fc.constant('slice emptied' as const), at: fc.nat(3) }),
  fc.record({ do: fc.constant('slice deleted' as const), at: fc.nat(3) }),
  fc.record({ do: fc.constant('slice doubled' as const), at: fc.nat(3) }),
  fc.record({ do: fc.constant('round' as const), kill: fc.nat(3) }),
);

test('whatever happens, two looks are enough, the slices then say what the nodes are, and nothing more is written', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (all) => {
      const bench = new Bench();
      for (const each of all) await take(bench, each);
      expect(await bench.settle(3)).toBeLessThanOrEqual(1);
      for (const name of poolNames) {
        expect(bench.members(name)).toEqual(bench.wanted(name));
        // No slice is left over, not even where it names nobody, but the one of a pool without members; and each member is in one alone.
        // Two may name somebody: a member stays in its slice, wherever somebody put it.
        const sizes = bench.slices.byIndex('pool', name).map((slice) => endpointsOf(slice).length);
        const isThere = bench.pools.get({ name }) !== undefined;
        expect(isThere ? sizes.length === 1 || sizes.every((size) => size > 0) : sizes.length === 0).toBe(true);
        const named = bench.slices.byIndex('pool', name).flatMap(endpointsOf);
        expect(named).toHaveLength(bench.wanted(name).length);
      }
    }),
    { numRuns: 300 },
  );
});

test('a pool of 5,000 is published whole; a member that leaves and one that comes change one slice each, at most', async () => {
  const bench = new Bench();
  bench.api.put(nodePools, pool('berlin'));
  const name = (index: number): string => `node-${String(index).padStart(4, '0')}`;
  for (let index = 0; index < 5_000; index += 1)
    bench.place(name(index), 'berlin', `10.0.${index >> 8}.${index & 255}`);
  await bench.settle(3);
  expect(bench.slices.list()).toHaveLength(5_000 / membersPerSlice);
  expect(bench.members('berlin')).toEqual(bench.wanted('berlin'));
  for (const change of [() => bench.place(name(2_345), null, null), () => bench.place('new', 'berlin', '10.9.9.9')]) {
    const before = bench.api.writes.length;
    change();
    await bench.settle(3);
    expect(bench.api.writes.length - before).toBe(1);
    expect(bench.members('berlin')).toEqual(bench.wanted('berlin'));
  }
});

function endpointsOf(slice: ApiObject): readonly unknown[] {
  return (slice as unknown as { endpoints: readonly unknown[] | null }).endpoints ?? [];
}

async function take(bench: Bench, happening: typeof step extends fc.Arbitrary<infer T> ? T : never): Promise<void> {
  const sliceAt = (at: number): ApiObject | undefined => bench.slices.list()[at];
  switch (happening.do) {
    case 'pool': {
      const annotations: Record<string, string> = happening.relay ? {} : { 'holdfast.dev/relay': 'false' };
      bench.api.put(nodePools, pool(happening.name, {}, { annotations }));
      return;
    }
    case 'no pool':
      bench.api.delete(nodePools, { name: happening.name });
      return;
    case 'node':
      bench.place(happening.name, happening.pool, happening.address);
      return;
    case 'no node':
      bench.api.delete(nodeResource, { name: happening.name });
      return;
    case 'slice emptied': {
      const slice = sliceAt(happening.at);
      if (slice !== undefined) bench.api.put(slices, { ...slice, endpoints: null });
      return;
    }
    case 'slice deleted': {
      const slice = sliceAt(happening.at);
      if (slice !== undefined) bench.api.delete(slices, slice.metadata);
      return;
    }
    case 'slice doubled': {
      const slice = sliceAt(happening.at);
      if (slice === undefined) return;
      const name = `${slice.metadata.labels?.[poolLabel]}-by-somebody`;
      bench.api.put(slices, { ...slice, metadata: { ...slice.metadata, name } });
      return;
    }
    case 'round': {
      let left = happening.kill;
      bench.api.beforeWrite = () => {
        if (left === 0) throw new Killed('killed');
        left -= 1;
      };
      await bench.round();
      bench.api.beforeWrite = () => undefined;
    }
  }
}
