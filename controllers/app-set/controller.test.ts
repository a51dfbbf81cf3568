// The controller as a whole over a simulated API server: what it knows may be behind, its writes come too late or are cut off, and
// all the same it ends as people want it, in a bounded number of looks, and then writes nothing.
import fc from 'fast-check';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { ApiError, ApiUnreachableError } from '../machinery/errors.ts';
import type { Collection } from '../machinery/informer.ts';
import { ObjectCache } from '../machinery/object-cache.ts';
import type { ApiObject, ObjectName } from '../machinery/resource.ts';
import { SimulatedApi } from '../machinery/simulated-api.testing.ts';
import { nodePools } from '../node-pool/node-pool-crd.ts';
import type { ControllerParts } from '../registry.ts';
import { appSetResource } from './app-set-crd.ts';
import { workloadResources, type StoredAppSet, type StoredWorkload } from './collections.ts';
import { appSetController } from './controller.ts';
import { deploymentSpec } from './sample-specs.testing.ts';
import { poolOf } from './selection.ts';
import { imageOf } from './simulated-cluster.testing.ts';

const key = 'shop/web';
const name: ObjectName = { namespace: 'shop', name: 'web' };
const poolNames = ['a', 'b', 'c'];

class Killed extends Error {}

/** What an informer is to a controller, with news of the API server only when they are let in. */
class Behind {
  readonly #cache: ObjectCache<ApiObject>;
  readonly #all: () => readonly ApiObject[];
  readonly #keep: (object: ApiObject) => ApiObject;

  constructor(api: SimulatedApi, { resource, keep, indexes = {} }: Collection<ApiObject>) {
    this.#cache = new ObjectCache<ApiObject>(indexes, () => undefined);
    this.#all = () => api.objects<ApiObject, never>(resource, {}).list();
    this.#keep = keep;
  }

  get(of: ObjectName): ApiObject | undefined {
    return this.#cache.get(of.namespace === undefined ? of.name : `${of.namespace}/${of.name}`);
  }

  list(): ApiObject[] {
    return [...this.#cache.values()];
  }

  byIndex(index: string, value: string): ApiObject[] {
    return this.#cache.byIndex(index, value);
  }

  written(object: ApiObject): void {
    this.#cache.written(this.#keep(object));
  }

  /** As a watch that has caught up. */
  catchUp(): void {
    const now = this.#all().map(this.#keep);
    const present = new Set(now.map(({ metadata }) => metadata.uid));
    for (const object of this.list()) if (!present.has(object.metadata.uid)) this.#cache.remove(object);
    for (const object of now) this.#cache.put(object);
  }
}

class Bench {
  readonly api = new SimulatedApi();
  readonly clock = new ManualClock();
  #informers = new Map<string, Behind>();
  #controller = this.#make();
  #signal = new AbortController().signal;

  /** Another replica leads, which has listed everything. */
  restart(): void {
    this.#controller = this.#make();
    this.#signal = new AbortController().signal;
    this.catchUp();
  }

  catchUp(at?: number): void {
    const all = [...this.#informers.values()];
    for (const each of at === undefined ? all : all.slice(at % all.length).slice(0, 1)) each.catchUp();
  }

  /** As its queue has it: where it wants to look again at once, it does, whatever news there are. */
  async look(): Promise<void> {
    try {
      let outcome = await this.#controller.reconcile(key, this.#signal);
      if (outcome?.againAfterMs === 0) outcome = await this.#controller.reconcile(key, this.#signal);
      expect(outcome?.againAfterMs).not.toBe(0);
    } catch (error) {
      if (![ApiError, ApiUnreachableError, Killed].some((expected) => error instanceof expected)) throw error;
    }
    const pools = this.workloads.map(poolOf);
    expect(new Set(pools).size).toBe(pools.length);
  }

  /** Looks until twice nothing is asked to be written; fails when that takes more than `most`. */
  async settle(most: number): Promise<void> {
    let quiet = 0;
    for (let look = 0; look < most; look += 1) {
      this.catchUp();
      const before = this.api.asked.length;
      await this.look();
      // Longer than counts of pods may wait.
      this.clock.advance(10_000);
      quiet = this.api.asked.length === before ? quiet + 1 : 0;
      if (quiet === 2) return;
    }
    throw new Error(`still writing after ${most} looks: ${this.api.asked.slice(-5).join('; ')}`);
  }

  get appSet(): StoredAppSet | undefined {
    return this.api.objects<StoredAppSet, never>(appSetResource, {}).get(name);
  }

  get workloads(): readonly StoredWorkload[] {
    return this.api.objects<StoredWorkload, never>(workloadResources.Deployment, {}).list();
  }

  setSpec(spec: StoredAppSet['spec']): void {
    const { metadata } = this.appSet ?? { metadata: { ...name, name: 'web' } as StoredAppSet['metadata'] };
    const generation = (metadata.generation ?? 0) + 1;
    this.api.put(appSetResource, { ...this.appSet, metadata: { ...metadata, generation }, spec });
  }

  setPool(pool: string, isThere: boolean): void {
    if (!isThere) this.api.delete(nodePools, { name: pool });
    else if (!this.api.objects(nodePools, {}).get({ name: pool }))
      this.api.put(nodePools, { metadata: { name: pool }, status: { readyNodeNum: 1 } });
  }

  #make(): ReturnType<typeof appSetController> {
    this.#informers = new Map();
    const of = (collection: Collection<ApiObject>): Behind => {
      const made = new Behind(this.api, collection);
      this.#informers.set(collection.name, made);
      return made;
    };
    const recorder = { record: () => undefined };
    const parts = { api: this.api, clock: this.clock, informers: { of }, recorder, metrics: new Metrics() };
    return appSetController(parts as unknown as ControllerParts);
  }
}

const image = fc.constantFrom('web:1', 'web:2', 'web:3');
const pool = fc.constantFrom(...poolNames);
const step = fc.oneof(
  fc.record({ do: fc.constant('spec' as const), image, pools: fc.subarray(poolNames) }),
  fc.record({ do: fc.constant('pool' as const), pool, isThere: fc.boolean() }),
  fc.record({ do: fc.constant('somebody scales' as const), at: fc.nat(2), replicas: fc.nat(3) }),
  fc.record({ do: fc.constant('somebody deletes' as const), at: fc.nat(2) }),
  fc.record({ do: fc.constant('news' as const), of: fc.nat(5) }),
  fc.record({
    do: fc.constant('look' as const),
    trouble: fc.constantFrom('none', 'killed', 'answer lost'),
    at: fc.nat(5),
  }),
  fc.record({ do: fc.constant('another leads' as const) }),
);

test('with news that are late, writes that are cut off, and successors: it ends as the app set says, and then writes nothing', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (all) => {
      const bench = new Bench();
      bench.setSpec({ workload: deploymentSpec(), pools: poolNames });
      for (const each of poolNames) bench.setPool(each, true);
      for (const each of all) await take(bench, each);
      for (const each of poolNames) bench.setPool(each, true);
      await bench.settle(8);
      const { spec, status } = bench.appSet!;
      const wanted = (spec.pools ?? []).toSorted();
      expect(new Set(bench.workloads.map(poolOf))).toEqual(new Set(wanted));
      const { deploymentTemplate } = spec.workload.workloadTemplate;
      for (const each of bench.workloads)
        expect(imageOf(each)).toBe(imageOf({ spec: deploymentTemplate?.spec ?? {} } as StoredWorkload));
      expect(status).toMatchObject({ totalWorkloads: wanted.length });
      const before = bench.api.asked.length;
      bench.restart();
      await bench.look();
      await bench.look();
      expect(bench.api.asked.slice(before)).toEqual([]);
    }),
    { numRuns: 200 },
  );
});

test('an app set that comes costs one write for itself, its revision, each workload and its status', async () => {
  const bench = new Bench();
  bench.setSpec({ workload: deploymentSpec(), pools: poolNames });
  for (const each of poolNames) bench.setPool(each, true);
  await bench.settle(4);
  const kinds = bench.api.asked.map((what) => what.replace(/\/.*?(\/status)?$/, '$1'));
  expect(kinds).toEqual([
    'patch yurtappsets',
    'create controllerrevisions',
    'apply deployments',
    'apply deployments',
    'apply deployments',
    'patch yurtappsets/status',
  ]);
  expect(bench.appSet?.status).toMatchObject({ totalWorkloads: 3 });
});

test('who changes a workload at every moment does not keep people from being told', async () => {
  const bench = new Bench();
  bench.setSpec({ workload: deploymentSpec({ image: 'web:1' }), pools: ['a'] });
  bench.setPool('a', true);
  await bench.settle(4);
  bench.setSpec({ workload: deploymentSpec({ image: 'web:2' }), pools: ['a'] });
  const generation = bench.appSet?.metadata.generation;
  bench.api.afterWrite = (what) => {
    if (!what.startsWith('apply deployments')) return;
    const workload = bench.workloads[0]!;
    const containers = [{ name: 'web', image: 'theirs' }];
    bench.api.put(workloadResources.Deployment, {
      ...workload,
      spec: { ...workload.spec, template: { spec: { containers } } },
    });
  };
  bench.catchUp();
  await bench.look();
  expect(bench.appSet?.status?.observedGeneration).toBe(generation);
});

async function take(bench: Bench, happening: typeof step extends fc.Arbitrary<infer T> ? T : never): Promise<void> {
  switch (happening.do) {
    case 'spec':
      bench.setSpec({ workload: deploymentSpec({ image: happening.image }), pools: happening.pools });
      return;
    case 'pool':
      bench.setPool(happening.pool, happening.isThere);
      return;
    case 'somebody scales': {
      const workload = bench.workloads[happening.at];
      if (workload === undefined) return;
      const spec = { ...workload.spec, replicas: happening.replicas };
      bench.api.put(workloadResources.Deployment, { ...workload, spec });
      return;
    }
    case 'somebody deletes': {
      const workload = bench.workloads[happening.at];
      if (workload !== undefined) bench.api.delete(workloadResources.Deployment, workload.metadata);
      return;
    }
    case 'news':
      bench.catchUp(happening.of);
      return;
    case 'another leads':
      bench.restart();
      return;
    case 'look': {
      let left = happening.at;
      const trouble = (): void => {
        if (left === 0)
          throw happening.trouble === 'killed' ? new Killed('killed') : new ApiUnreachableError('no answer');
        left -= 1;
      };
      if (happening.trouble === 'killed') bench.api.beforeWrite = trouble;
      if (happening.trouble === 'answer lost') bench.api.afterWrite = trouble;
      await bench.look();
      bench.api.beforeWrite = () => undefined;
      bench.api.afterWrite = () => undefined;
      if (happening.trouble === 'killed') bench.restart();
    }
  }
}
