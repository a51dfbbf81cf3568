// The controller of YurtAppSets against a real API server and the real controllers of Deployments, StatefulSets and DaemonSets,
// with the rights of its own manifest and nothing more.
import { appSetController } from '../../../controllers/app-set/controller.ts';
import { daemonSetSpec, deploymentSpec, statefulSetSpec } from '../../../controllers/app-set/sample-specs.testing.ts';
import type { Condition, PoolStatus, YurtAppSetSpec, YurtAppSetStatus } from '../../../controllers/app-set/types.ts';
import { ControllerRun } from '../../../controllers/machinery/controller.ts';
import { EventRecorder } from '../../../controllers/machinery/event-recorder.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { nullLog } from '../../../runtime/log.ts';
import { applyConfig } from '../../cluster/apply-config.ts';
import { ControlPlane } from '../../cluster/control-plane.ts';
import { waitFor } from '../../cluster/commands.ts';
import { describeWithControlPlane } from '../../cluster/integration.ts';
import { CertificateAccess, machinery } from './cluster.ts';
import { HollowPods } from '../../cluster/hollow-pods.ts';

interface Metadata {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}
interface Deployment {
  readonly metadata: Metadata;
  readonly spec: {
    readonly replicas: number;
    readonly template: { readonly spec: { readonly containers: readonly { readonly image: string }[] } };
  };
}
interface AppSet {
  readonly metadata: Metadata;
  readonly status?: Omit<YurtAppSetStatus, 'pools' | 'conditions'> & {
    readonly pools?: readonly PoolStatus[];
    readonly conditions?: readonly Condition[];
  };
}

const serviceAccount = 'system:serviceaccount:kube-system:holdfast-controllers';
const soon = { deadlineMs: 90_000, everyMs: 100 };
const nodePools = '/apis/apps.openyurt.io/v1beta2/nodepools';

/** One process of the controller, as far as it matters: everything in memory is its own. */
class Replica {
  readonly #access: CertificateAccess;
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;
  readonly requests: () => Promise<number>;
  readonly #run: ControllerRun;

  constructor(plane: ControlPlane) {
    this.#access = new CertificateAccess(plane, serviceAccount, []);
    const { api, informers, metrics, own } = machinery(this.#access);
    const parts = { api, log: nullLog, clock: systemClock, metrics: own, random: Math.random };
    const recorder = new EventRecorder({ ...parts, instance: 'test' });
    const controller = appSetController({ ...parts, informers, recorder, metrics });
    this.#run = new ControllerRun(parts, controller);
    const { signal } = this.#stop;
    this.#running = Promise.all([informers.run(signal), recorder.run(signal), this.#run.run(signal)]);
    this.requests = async () => {
      const text = await metrics.text();
      const lines = text.split('\n').filter((line) => line.startsWith('holdfast_controllers_api_requests_total{'));
      return lines
        .filter((line) => !line.includes('"watch"'))
        .reduce((sum, line) => sum + Number(line.split(' ')[1]), 0);
    };
  }

  get idle(): boolean {
    return this.#run.pending === 0;
  }

  /** Requests that are on their way are cut, as in a process that is killed. */
  async kill(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.#access.close();
  }
}

describeWithControlPlane('the controller of YurtAppSets', () => {
  let plane: ControlPlane;
  let pods: HollowPods;
  let replica: Replica | undefined;
  let namespace = '';
  let count = 0;

  beforeAll(async () => {
    plane = await ControlPlane.start({
      controllers: true,
      // Nodes are made by the tests, and no kubelet says anything of them.
      controllerManagerArgs: ['--controllers=*,-node-lifecycle-controller'],
    });
    await applyConfig(plane, 'crds', 'controllers/app-set.yaml', 'controllers/machinery.yaml');
    pods = new HollowPods(plane.api);
    pods.start();
  }, 180_000);
  beforeEach(async () => {
    namespace = `shop-${++count}`;
    await post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    replica = new Replica(plane);
  });
  afterEach(async () => {
    await replica?.kill();
    replica = undefined;
    await plane.request('DELETE', nodePools);
  });
  afterAll(async () => {
    await pods?.stop();
    await plane?.stop();
  });

  const post = (url: string, body: unknown): Promise<unknown> => plane.request('POST', url, body);
  const patch = (url: string, body: unknown): Promise<unknown> => plane.request('PATCH', url, body);
  const appSets = (): string => `/apis/apps.openyurt.io/v1beta1/namespaces/${namespace}/yurtappsets`;
  const workloads = (kind = 'deployments'): string => `/apis/apps/v1/namespaces/${namespace}/${kind}`;
  const list = async <T>(url: string): Promise<T[]> => (await plane.request<{ items: T[] }>('GET', url)).items;
  const read = (): Promise<AppSet> => plane.request<AppSet>('GET', `${appSets()}/web`);

  async function makePools(names: readonly string[], labels: Record<string, string> = {}): Promise<void> {
    for (const name of names) {
      const metadata = { name, labels };
      await post(nodePools, { apiVersion: 'apps.openyurt.io/v1beta2', kind: 'NodePool', metadata, spec: {} });
      await patch(`${nodePools}/${name}/status`, { status: { readyNodeNum: 1, unreadyNodeNum: 0 } });
    }
  }
  async function makeAppSet(spec: YurtAppSetSpec): Promise<void> {
    const head = { apiVersion: 'apps.openyurt.io/v1beta1', kind: 'YurtAppSet', metadata: { name: 'web' } };
    await post(appSets(), { ...head, spec });
  }
  const change = (spec: object): Promise<unknown> => patch(`${appSets()}/web`, { spec });
  let last: AppSet | undefined;
  const becomes = (reason: string): Promise<AppSet> =>
    waitFor(
      `AppUpdated becomes ${reason}`,
      async () => {
        const appSet = (last = await read());
        const condition = appSet.status?.conditions?.find(({ type }) => type === 'AppUpdated');
        const isNow = appSet.status?.observedGeneration === appSet.metadata.generation;
        return isNow && condition?.reason === reason && appSet;
      },
      { ...soon, context: () => JSON.stringify(last?.status) },
    );
  const byPool = async (kind?: string): Promise<Record<string, Deployment>> =>
    Object.fromEntries(
      (await list<Deployment>(workloads(kind))).map((item) => [
        item.metadata.labels['apps.openyurt.io/pool-name'],
        item,
      ]),
    );
  const images = async (): Promise<Record<string, string | undefined>> =>
    Object.fromEntries(
      Object.entries(await byPool()).map(([pool, item]) => [pool, item.spec.template.spec.containers[0]?.image]),
    );
  const states = ({ status }: AppSet): string[] => (status?.pools ?? []).map(({ name, state }) => `${name} ${state}`);
  const eventReasons = async (): Promise<string[]> =>
    (await list<{ reason: string }>(`/api/v1/namespaces/${namespace}/events`)).map(({ reason }) => reason);
  const atRest = (): Promise<unknown> => waitFor('nothing is left to do', () => replica?.idle === true, soon);

  it('a change goes pool by pool, a failing image stops it, and the revision before brings it back', async () => {
    const sites = ['a', 'b', 'c', 'd'];
    await makePools(sites);
    const rollout = { maxPools: 1, poolDeadlineSeconds: 8 };
    await makeAppSet({ workload: deploymentSpec(), pools: sites, rollout });
    const first = (await becomes('AllPoolsUpdated')).status?.currentRevision;
    const before = await byPool();

    await change({ workload: deploymentSpec({ image: 'web:2' }) });
    const seen = new Set<string>();
    const steps = waitFor(
      'all are at web:2',
      async () => {
        const now = await images();
        seen.add(sites.map((site) => (now[site] === 'web:2' ? '2' : '1')).join(''));
        return sites.every((site) => now[site] === 'web:2');
      },
      { deadlineMs: 90_000, everyMs: 20 },
    );
    await steps;
    await becomes('AllPoolsUpdated');
    // Looking at them may miss steps, but none of these is out of order.
    for (const step of seen) expect(['1111', '2111', '2211', '2221', '2222']).toContain(step);

    pods.brokenImages.add('web:bad');
    await change({ workload: deploymentSpec({ image: 'web:bad' }) });
    const stopped = await becomes('Stopped');
    expect(states(stopped)).toEqual(['a Failed', 'b Waiting', 'c Waiting', 'd Waiting']);
    expect(await images()).toEqual({ a: 'web:bad', b: 'web:2', c: 'web:2', d: 'web:2' });
    await waitFor('people are told', async () => (await eventReasons()).includes('PoolFailed'), soon);

    await change({ rollout: { ...rollout, revision: first } });
    await becomes('AllPoolsUpdated');
    expect(await images()).toEqual({ a: 'web:1', b: 'web:1', c: 'web:1', d: 'web:1' });
    const after = await byPool();
    for (const site of sites) expect(after[site]?.metadata.uid).toBe(before[site]?.metadata.uid);
  }, 300_000);

  it('what an autoscaler sets stays, through changes of the template and of everything else', async () => {
    await makePools(['a', 'b']);
    await makeAppSet({ workload: deploymentSpec({ replicas: 2 }), pools: ['a', 'b'] });
    await becomes('AllPoolsUpdated');
    const { a } = await byPool();
    await patch(`${workloads()}/${a?.metadata.name}/scale`, { spec: { replicas: 5 } });
    const replicas = async (): Promise<(number | undefined)[]> => {
      const now = await byPool();
      return ['a', 'b'].map((pool) => now[pool]?.spec.replicas);
    };
    await change({ workload: deploymentSpec({ replicas: 2, image: 'web:2' }) });
    await becomes('AllPoolsUpdated');
    expect(await replicas()).toEqual([5, 2]);
    // Left to the autoscaler from now on, they do not fall to one.
    const { deploymentTemplate } = deploymentSpec({ image: 'web:3' }).workloadTemplate;
    const spec = { ...deploymentTemplate?.spec, replicas: null };
    await change({ workload: { workloadTemplate: { deploymentTemplate: { spec } } } });
    await becomes('AllPoolsUpdated');
    expect(await images()).toEqual({ a: 'web:3', b: 'web:3' });
    expect(await replicas()).toEqual([5, 2]);
    await change({ workload: { workloadTemplate: { deploymentTemplate: { spec: { replicas: 3 } } } } });
    await waitFor('the user has the last word', async () => (await replicas()).join() === '3,3', soon);
  }, 120_000);

  it('a field that is taken out of the template goes, what others added stays, and what they changed is put back', async () => {
    await makePools(['a']);
    const workload = deploymentSpec();
    const template = workload.workloadTemplate.deploymentTemplate;
    const labelled = { ...template, metadata: { labels: { app: 'web', tier: 'front' } } };
    await makeAppSet({ workload: { workloadTemplate: { deploymentTemplate: labelled as never } }, pools: ['a'] });
    await becomes('AllPoolsUpdated');
    const url = `${workloads()}/${(await byPool())['a']?.metadata.name}`;
    await patch(url, { metadata: { labels: { theirs: 'yes' } } });
    const hack = [{ op: 'replace', path: '/spec/template/spec/containers/0/image', value: 'web:hack' }];
    await plane.request('PATCH', url, hack, { contentType: 'application/json-patch+json' });
    await waitFor('the image is put back', async () => (await images())['a'] === 'web:1', soon);
    await change({ workload: { workloadTemplate: { deploymentTemplate: { metadata: { labels: { tier: null } } } } } });
    await waitFor('the label is gone', async () => !('tier' in ((await byPool())['a']?.metadata.labels ?? {})), soon);
    expect((await byPool())['a']?.metadata.labels).toMatchObject({ theirs: 'yes', app: 'web' });
  }, 120_000);

  it('a pool that is deleted and made again, and one that loses its label for a moment, keep their workloads', async () => {
    await makePools(['a', 'b'], { site: 'shop' });
    await makeAppSet({ workload: deploymentSpec(), nodepoolSelector: { matchLabels: { site: 'shop' } } });
    const before = await becomes('AllPoolsUpdated');
    const uids = async (): Promise<string[]> => Object.values(await byPool()).map(({ metadata }) => metadata.uid);
    const original = await uids();
    await plane.request('DELETE', `${nodePools}/a`);
    await patch(`${nodePools}/b`, { metadata: { labels: { site: null } } });
    await waitFor('both are lost', async () => states(await read()).join() === 'a Lost,b Lost', soon);
    await makePools(['a'], { site: 'shop' });
    await patch(`${nodePools}/b`, { metadata: { labels: { site: 'shop' } } });
    await waitFor('both are back', async () => states(await read()).join() === 'a Complete,b Complete', soon);
    await atRest();
    expect(await uids()).toEqual(original);
    for (const { metadata } of Object.values(await byPool()))
      expect(metadata.annotations).not.toHaveProperty(['holdfast.dev/pool-lost-since']);
    // With its grace period over, it goes.
    await change({ poolLossGraceSeconds: 1 });
    await plane.request('DELETE', `${nodePools}/a`);
    await waitFor('the workload of the pool is deleted', async () => (await uids()).length === 1, soon);
    expect(before.status?.totalWorkloads).toBe(2);
  }, 120_000);

  it('a pool that is taken out of the list loses its workload, and only that', async () => {
    await makePools(['a', 'b']);
    await makeAppSet({ workload: statefulSetSpec({ replicas: 1 }), pools: ['a', 'b'] });
    await becomes('AllPoolsUpdated');
    await change({ pools: ['b'] });
    await waitFor('one is left', async () => Object.keys(await byPool('statefulsets')).join() === 'b', soon);
    await waitFor('people are told', async () => (await eventReasons()).includes('WorkloadDeleted'), soon);
  }, 120_000);

  it('a DaemonSet runs on the nodes of its pool, and on no other', async () => {
    await makePools(['a', 'b']);
    for (const [name, pool] of Object.entries({ 'node-1': 'a', 'node-2': 'a', 'node-3': 'b', 'node-4': 'none' })) {
      const metadata = { name, labels: { 'apps.openyurt.io/nodepool': pool } };
      await post('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata });
      // Every Node is made with a taint that its kubelet's first word takes off.
      await patch(`/api/v1/nodes/${name}`, { spec: { taints: null } });
    }
    await makeAppSet({ workload: daemonSetSpec(), pools: ['a', 'b'], rollout: { maxPools: 1 } });
    const counts = async (): Promise<string | undefined> =>
      (await read()).status?.pools?.map(({ name, state, readyReplicas }) => `${name} ${state} ${readyReplicas}`).join();
    await waitFor('its pods run', async () => (await counts()) === 'a Complete 2,b Complete 1', soon);
    await plane.request('DELETE', '/api/v1/nodes');
  }, 120_000);

  it("somebody else's Deployment of that name is left alone, and said", async () => {
    await makePools(['a']);
    await makeAppSet({ workload: deploymentSpec(), pools: ['a'], rollout: { paused: true } });
    await becomes('Paused');
    // The name is known before: it is made of the names of app set and pool.
    await replica?.kill();
    const probe = new Replica(plane);
    await change({ rollout: { paused: false } });
    const name = await waitFor('the workload', async () => (await byPool())['a']?.metadata.name, soon);
    await probe.kill();
    await plane.request('DELETE', `${workloads()}/${name}`);
    await waitFor(
      'it is gone',
      async () => (await plane.rawRequest('GET', `${workloads()}/${name}`)).status === 404,
      soon,
    );
    const labels = { app: 'theirs' };
    const template = { metadata: { labels }, spec: { containers: [{ name: 'x', image: 'x' }] } };
    const theirs = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name },
      spec: { selector: { matchLabels: labels }, template },
    };
    await post(workloads(), theirs);
    replica = new Replica(plane);
    const failed = await becomes('Stopped');
    expect(failed.status?.pools?.[0]?.message).toMatch(/exists and is not this app set's: delete or rename it/);
    const kept = await plane.request<Deployment>('GET', `${workloads()}/${name}`);
    expect(kept.spec.template.spec.containers[0]?.image).toBe('x');
    await plane.request('DELETE', `${workloads()}/${name}`);
    await becomes('AllPoolsUpdated');
  }, 120_000);

  it('a template that the API server refuses is reported at its pools with the reason', async () => {
    await makePools(['a', 'b']);
    await makeAppSet({ workload: deploymentSpec({ image: '' }), pools: ['a', 'b'], rollout: { maxPools: 1 } });
    const failed = await becomes('Stopped');
    expect(failed.status?.pools?.[0]).toMatchObject({
      state: 'Failed',
      message: expect.stringMatching(/containers\[0\]\.image/) as string,
    });
    await change({ workload: deploymentSpec() });
    await becomes('AllPoolsUpdated');
  }, 120_000);

  it('deleted and made again at once, it begins anew', async () => {
    await makePools(['a', 'b']);
    await makeAppSet({ workload: deploymentSpec(), pools: ['a', 'b'] });
    await becomes('AllPoolsUpdated');
    const before = await byPool();
    await plane.request('DELETE', `${appSets()}/web`);
    await waitFor('it is gone', async () => (await plane.rawRequest('GET', `${appSets()}/web`)).status === 404, soon);
    expect(await list(workloads())).toEqual([]);
    await makeAppSet({ workload: deploymentSpec(), pools: ['a', 'b'] });
    await becomes('AllPoolsUpdated');
    const after = await byPool();
    expect(Object.values(after).map(({ metadata }) => metadata.name)).toEqual(
      Object.values(before).map(({ metadata }) => metadata.name),
    );
  }, 120_000);

  it('once all is as it should be, neither it nor its successor sends anything', async () => {
    await makePools(['a', 'b', 'c']);
    const resources = { limits: { cpu: '1000m', memory: '1024Mi' } };
    const patches = [
      { path: '/spec/template/spec/containers/0/resources', operation: 'add', value: resources } as const,
    ];
    const tweaks = [{ pools: ['a'], tweaks: { patches } }];
    await makeAppSet({ workload: deploymentSpec({ tweaks }), pools: ['a', 'b', 'c'] });
    await becomes('AllPoolsUpdated');
    await waitFor('all pods are counted', async () => (await read()).status?.readyWorkloads === 3, soon);
    await atRest();
    await replica?.kill();
    const versions = async (): Promise<string[]> =>
      [await read(), ...(await list<AppSet>(workloads()))].map(({ metadata }) => metadata.resourceVersion);
    const before = await versions();
    replica = new Replica(plane);
    const lists = 6;
    await waitFor('its successor has looked', async () => (await replica?.requests()) === lists, soon);
    await atRest();
    await patch(`${nodePools}/a/status`, { status: { readyNodeNum: 2 } });
    await waitFor('it looks again', () => replica?.idle === true, soon);
    expect(await replica.requests()).toBe(lists);
    expect(await versions()).toEqual(before);
  }, 120_000);

  it('killed thirty times while templates, pools and replicas change: the end is exact, nothing doubled or lost', async () => {
    const sites = ['a', 'b', 'c', 'd', 'e', 'f'];
    await makePools(sites, { site: 'shop' });
    await makeAppSet({
      workload: deploymentSpec(),
      nodepoolSelector: { matchLabels: { site: 'shop' } },
      rollout: { maxPools: 2 },
    });
    await becomes('AllPoolsUpdated');
    const original = await byPool();
    for (let kill = 0; kill < 30; kill++) {
      if (kill % 3 === 0) await change({ workload: deploymentSpec({ image: `web:${kill}` }) });
      if (kill === 10) await plane.request('DELETE', `${nodePools}/c`);
      if (kill === 14) await makePools(['c'], { site: 'shop' });
      if (kill === 20) await patch(`${workloads()}/${original['d']?.metadata.name}/scale`, { spec: { replicas: 3 } });
      // A little later each time, so that it hits every stage of its work.
      await new Promise((resolve) => setTimeout(resolve, 20 + 25 * kill));
      await replica?.kill();
      replica = new Replica(plane);
    }
    await change({ workload: deploymentSpec({ image: 'web:last' }) });
    const done = await becomes('AllPoolsUpdated');
    expect(states(done)).toEqual(sites.map((site) => `${site} Complete`));
    expect(await images()).toEqual(Object.fromEntries(sites.map((site) => [site, 'web:last'])));
    const final = await list<Deployment>(workloads());
    expect(final).toHaveLength(sites.length);
    for (const { metadata, spec } of final) {
      const pool = metadata.labels['apps.openyurt.io/pool-name'] ?? '';
      expect(metadata.uid).toBe(original[pool]?.metadata.uid);
      expect(spec.replicas).toBe(pool === 'd' ? 3 : 1);
    }
    const revisions = await list<{ metadata: Metadata; revision: number }>(workloads('controllerrevisions'));
    expect(revisions.length).toBeLessThanOrEqual(11);
    expect(new Set(revisions.map(({ revision }) => revision)).size).toBe(revisions.length);
    expect(revisions.map(({ metadata }) => metadata.name)).toContain(done.status?.currentRevision);
  }, 300_000);
});
