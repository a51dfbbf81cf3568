// The machinery against a real API server: what informers see, what two replicas do, what people are told.
import { Controllers } from '../../../controllers/controllers.ts';
import { Api } from '../../../controllers/machinery/api.ts';
import { watch } from '../../../controllers/machinery/controller.ts';
import type { Collection, Informer } from '../../../controllers/machinery/informer.ts';
import {
  nameOfKey,
  withoutManagedFields,
  type ApiObject,
  type Resource,
} from '../../../controllers/machinery/resource.ts';
import type { ControllerFactory } from '../../../controllers/registry.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { nullLog } from '../../../runtime/log.ts';
import { Metrics } from '../../../runtime/metrics.ts';
import { ControlPlane } from '../../cluster/control-plane.ts';
import { waitFor } from '../../cluster/commands.ts';
import { describeWithApiserver } from '../../cluster/integration.ts';
import { CertificateAccess, machinery } from './cluster.ts';

interface ConfigMap extends ApiObject {
  readonly data?: Readonly<Record<string, string>>;
}

const resource: Resource = { group: '', version: 'v1', resource: 'configmaps', kind: 'ConfigMap', namespaced: true };
const configMapsIn = (namespace: string): Collection<ConfigMap, 'colour'> => ({
  name: `configmaps-${namespace}`,
  resource,
  selection: { namespace },
  keep: (object) => withoutManagedFields<ConfigMap>(object),
  indexes: { colour: ({ data }) => (data?.['colour'] === undefined ? [] : [data['colour']]) },
});
const draft = (namespace: string, name: string, data: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace, name },
  data,
});

describeWithApiserver('controllers on a real API server', () => {
  let plane: ControlPlane;
  let access: CertificateAccess;
  let api: Api;
  const never = new AbortController().signal;

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
    access = new CertificateAccess(plane);
    ({ api } = machinery(access));
  });
  afterAll(async () => {
    access?.close();
    await plane?.stop();
  });

  async function namespace(name: string): Promise<string> {
    await plane.request('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    return name;
  }

  /** Runs an informer while `action` does, with every change that it told. */
  async function following(
    collection: Collection<ConfigMap, 'colour'>,
    action: (informer: Informer<ConfigMap, 'colour'>, told: string[]) => Promise<void>,
  ): Promise<void> {
    const own = new CertificateAccess(plane);
    const stop = new AbortController();
    const { informers } = machinery(own);
    const informer = informers.of(collection);
    const told: string[] = [];
    informer.subscribe(({ key, before, after }) => {
      const what = before === undefined ? 'added' : after === undefined ? 'deleted' : 'modified';
      told.push(`${what} ${nameOfKey(key).name} ${(after ?? before)?.data?.['n'] ?? ''}`.trim());
    });
    const running = informers.run(stop.signal);
    try {
      await informer.whenSynced();
      await action(informer, told);
    } finally {
      stop.abort();
      await running;
      own.close();
    }
  }

  it('an informer tells each change once and in order, across lists in pages, restarts of the API server and versions too old', async () => {
    const ns = await namespace('informed');
    const names = Array.from({ length: 1_100 }, (_, i) => `cm-${String(i).padStart(4, '0')}`);
    await Promise.all(
      names.map((name) => plane.request('POST', `/api/v1/namespaces/${ns}/configmaps`, draft(ns, name))),
    );
    await following(configMapsIn(ns), async (informer, told) => {
      expect(told.splice(0).sort()).toEqual(names.map((name) => `added ${name}`));
      const step = async (n: string): Promise<void> => {
        const made = await api.create<ConfigMap>(resource, draft(ns, 'x', { n }), never);
        await api.patch(resource, { namespace: ns, name: 'x' }, 'merge', { data: { n: `${n}!` } }, never);
        await api.remove(resource, { namespace: ns, name: 'x' }, { uid: made.metadata.uid }, never);
      };
      await step('1');
      await waitFor('three changes', () => told.length >= 3, { deadlineMs: 120_000 });
      await plane.restartApiserver();
      await step('2');
      await waitFor('three changes after the restart', () => told.includes('deleted x 2!'), { deadlineMs: 120_000 });
      // Both ends count: the object may have come and gone while the watch was down, and then nothing is told.
      expect(told.filter((line) => !line.includes(' 2'))).toEqual(['added x 1', 'modified x 1!', 'deleted x 1!']);
      expect(new Set(told).size).toBe(told.length);
      expect(informer.size).toBe(names.length);
    });
  });

  it('a write of our own is seen at once, and its event then changes nothing', async () => {
    const ns = await namespace('written');
    await following(configMapsIn(ns), async (informer, told) => {
      const made = await api.create<ConfigMap>(resource, draft(ns, 'a', { n: '1', colour: 'red' }), never);
      informer.written(made);
      expect(informer.byIndex('colour', 'red').map(({ metadata }) => metadata.name)).toEqual(['a']);
      await api.create(resource, draft(ns, 'b', { n: '2' }), never);
      await waitFor('the object after it', () => told.includes('added b 2'), { deadlineMs: 120_000 });
      expect(told).toEqual(['added a 1', 'added b 2']);
      expect(informer.get({ namespace: ns, name: 'a' })?.metadata).not.toHaveProperty('managedFields');
    });
  });

  it('a stale patch and a deletion of a namesake are conflicts; what is not there is no error', async () => {
    const ns = await namespace('conflicts');
    const made = await api.create<ConfigMap>(resource, draft(ns, 'a'), never);
    const name = { namespace: ns, name: 'a' };
    await api.patch(resource, name, 'merge', { data: { n: '1' } }, never);
    const stale = { metadata: { resourceVersion: made.metadata.resourceVersion }, data: { n: '2' } };
    await expect(api.patch(resource, name, 'merge', stale, never)).rejects.toMatchObject({ status: 409 });
    await expect(api.remove(resource, name, { uid: 'another' }, never)).rejects.toMatchObject({ status: 409 });
    expect(await api.remove(resource, { namespace: ns, name: 'nothing' }, {}, never)).toBe(false);
    expect(await api.get(resource, { namespace: ns, name: 'nothing' }, never)).toBeUndefined();
    await api.apply(resource, { ...draft(ns, 'a', { x: '1' }), metadata: name }, 'holdfast-test', never);
    const applied = await api.apply<ConfigMap>(
      resource,
      { ...draft(ns, 'a', { y: '1' }), metadata: name },
      'holdfast-test',
      never,
    );
    expect(applied.data).toEqual({ n: '1', y: '1' });
  });

  it('of two replicas one works; when it is told to stop the other goes on within seconds, and people read what was done', async () => {
    const ns = await namespace('replicas');
    const collection = configMapsIn(ns);
    let writers: string[] = [];
    const factory =
      (identity: string): ControllerFactory =>
      ({ api: own, informers, recorder }) => {
        const known = informers.of(collection);
        return {
          name: 'painter',
          watches: [watch(known, ({ key }) => [key])],
          reconcile: async (key, signal) => {
            const object = known.get(nameOfKey(key));
            if (object === undefined || object.data?.['colour'] === 'blue') return;
            const patch = { data: { colour: 'blue' } };
            known.written(await own.patch<ConfigMap>(resource, nameOfKey(key), 'merge', patch, signal));
            writers.push(identity);
            recorder.record(resource, object, 'Normal', 'Painted', 'It is blue now.');
          },
        };
      };
    const start = (identity: string): { stop: AbortController; ended: Promise<void>; it: Controllers } => {
      const stop = new AbortController();
      const parts = {
        access: new CertificateAccess(plane),
        log: nullLog,
        clock: systemClock,
        metrics: new Metrics(),
        random: Math.random,
      };
      const options = {
        version: 'test',
        identity,
        leaseNamespace: ns,
        requestsPerSecond: 200,
        opsListen: { host: '127.0.0.1', port: 0 },
        election: { leaseMs: 6_000, renewMs: 4_000, retryMs: 300 },
      };
      const it = new Controllers(parts, options, [factory(identity)]);
      return { stop, it, ended: it.run(stop.signal) };
    };
    const first = start('first');
    await waitFor('the first leads', () => first.it.settled, { deadlineMs: 120_000 });
    const second = start('second');
    try {
      const paint = async (name: string): Promise<void> => {
        await api.create(resource, draft(ns, name), never);
        await waitFor(
          `${name} is blue`,
          async () => {
            const object = await api.get<ConfigMap>(resource, { namespace: ns, name }, never);
            return object?.data?.['colour'] === 'blue';
          },
          { deadlineMs: 120_000 },
        );
      };
      await paint('a');
      // What is seen at the API server may not have been answered yet: then its writer would not know that it wrote.
      await waitFor('the first has its answer', () => writers.length === 1, { deadlineMs: 120_000 });
      first.stop.abort();
      await first.ended;
      await paint('b');
      await waitFor('nothing is left to do', () => second.it.settled, { deadlineMs: 120_000 });
      expect(writers).toEqual(['first', 'second']);
      await waitFor(
        'both events',
        async () => {
          const events = await plane.request<{ items: { reason: string; involvedObject: { name: string } }[] }>(
            'GET',
            `/api/v1/namespaces/${ns}/events`,
          );
          const named = events.items
            .filter(({ reason }) => reason === 'Painted')
            .map(({ involvedObject }) => involvedObject.name);
          return named.sort().join() === 'a,b';
        },
        { deadlineMs: 120_000 },
      );
    } finally {
      writers = [];
      for (const { stop } of [first, second]) stop.abort();
      await Promise.all([first.ended, second.ended]);
    }
    const lease = await plane.request<{ spec: { holderIdentity?: string } }>(
      'GET',
      `/apis/coordination.k8s.io/v1/namespaces/${ns}/leases/holdfast-controllers`,
    );
    expect(lease.spec.holderIdentity ?? '').toBe('');
  });
});
