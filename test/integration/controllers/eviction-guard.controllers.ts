// The eviction guard against a real API server, node controller, scheduler and NodeRestriction. Nodes are pretended, and time runs
// eight times as fast for them and for the guard; the node controller's own times are set to match by flags.
import { readFileSync } from 'node:fs';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import { Controllers } from '../../../controllers/controllers.ts';
import { evictionGuard } from '../../../controllers/eviction-guard/controllers.ts';
import type { Access, Connection } from '../../../controllers/machinery/access.ts';
import { nodePoolLabel, poolsNamespace } from '../../../peers/membership.ts';
import { parseReport, reportAnnotation } from '../../../peers/report.ts';
import { nullLog } from '../../../runtime/log.ts';
import { Metrics } from '../../../runtime/metrics.ts';
import { ControlPlane } from '../../cluster/control-plane.ts';
import { waitFor } from '../../cluster/commands.ts';
import { describeWithControlPlane } from '../../cluster/integration.ts';
import { projectRoot } from '../../cluster/project-root.ts';
import { CertificateAccess } from './cluster.ts';
import { fasterClock, leasePath, PretendedPool } from './pretended-pool.ts';

const factor = 8;
const clock = fasterClock(factor);
/** An emergency brake for what takes so many of the guard's seconds, on a busy machine. */
const within = (seconds: number): { deadlineMs: number; everyMs: number } => ({
  deadlineMs: 120_000 + (seconds * 1000) / factor,
  everyMs: 100,
});
const stockSeconds = 4;

interface Pod {
  metadata: {
    name: string;
    uid: string;
    deletionTimestamp?: string;
    annotations?: Record<string, string>;
    ownerReferences?: { kind: string }[];
  };
  spec: { nodeName?: string; tolerations?: { key?: string; tolerationSeconds?: number }[] };
}
interface Node {
  metadata: { annotations?: Record<string, string> };
  spec: { taints?: { key: string; value?: string; effect: string }[] };
  status: { conditions: { type: string; status: string; reason: string; message: string }[] };
}

describeWithControlPlane('the eviction guard', () => {
  let plane: ControlPlane;
  const pools: PretendedPool[] = [];
  let guard: Guard;

  beforeAll(async () => {
    plane = await ControlPlane.start({
      controllers: true,
      apiserverArgs: [
        `--default-unreachable-toleration-seconds=${stockSeconds}`,
        `--default-not-ready-toleration-seconds=${stockSeconds}`,
      ],
      // 50 s and one node in 10 s, scaled.
      controllerManagerArgs: [
        '--node-monitor-grace-period=6s',
        '--node-monitor-period=500ms',
        '--node-eviction-rate=1',
      ],
    });
    await installRights(plane);
    guard = new Guard(plane, 'first');
  }, 600_000);
  afterAll(async () => {
    await guard?.stop();
    await Promise.all(pools.map((pool) => pool.stop()));
    await plane?.stop();
  }, 60_000);

  async function startPool(
    name: string,
    size: number,
    annotations: Record<string, string> = {},
  ): Promise<PretendedPool> {
    const pool = await PretendedPool.start(plane, clock, name, size, annotations);
    pools.push(pool);
    await plane.request('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    for (const each of pool.nodes)
      await waitFor(`${each.name} takes pods`, async () => (await taintsOf(each.name)).length === 0, within(60));
    return pool;
  }

  const podsOf = async (pool: string, nodeName?: string): Promise<Pod[]> =>
    (await plane.request<{ items: Pod[] }>('GET', `/api/v1/namespaces/${pool}/pods`)).items.filter(
      ({ spec }) => nodeName === undefined || spec.nodeName === nodeName,
    );
  const node = (name: string): Promise<Node> => plane.request<Node>('GET', `/api/v1/nodes/${name}`);
  const taintsOf = async (name: string): Promise<string[]> =>
    ((await node(name)).spec.taints ?? []).map(({ key }) => key);
  const conditionOf = async (name: string): Promise<Node['status']['conditions'][number] | undefined> =>
    (await node(name)).status.conditions.find(({ type }) => type === 'PeerHealth');
  const says = (name: string, reason: string, seconds: number): Promise<unknown> =>
    waitFor(`${name} is ${reason}`, async () => (await conditionOf(name))?.reason === reason, within(seconds));
  const eventsOn = async (name: string): Promise<string[]> =>
    (
      await plane.request<{ items: { reason: string; message: string }[] }>(
        'GET',
        `/api/v1/namespaces/default/events?fieldSelector=involvedObject.name=${name}`,
      )
    ).items.map(({ reason, message }) => `${reason} ${message}`);
  const isKind = (pod: Pod, kind: string): boolean => pod.metadata.ownerReferences?.[0]?.kind === kind;
  const leaving = (pods: readonly Pod[]): string[] =>
    pods.filter(({ metadata }) => metadata.deletionTimestamp !== undefined).map(({ metadata }) => metadata.name);
  const unreachableSeconds = (pod: Pod): number | undefined =>
    pod.spec.tolerations?.find(({ key }) => key === 'node.kubernetes.io/unreachable')?.tolerationSeconds;
  const isKept = (pod: Pod): boolean =>
    pod.metadata.annotations?.['holdfast.dev/original-unreachable-toleration'] === `${stockSeconds}`;

  /** A Deployment of so many, all bound to nodes; those of guarded pools with their time to stay set ahead. */
  async function deploy(pool: string, replicas: number, kept = true): Promise<Pod[]> {
    await plane.request(
      'POST',
      `/apis/apps/v1/namespaces/${pool}/deployments`,
      workload('Deployment', 'web', pool, { replicas }),
    );
    return await waitFor(
      `${pool}: pods have landed`,
      async () => {
        const pods = (await podsOf(pool)).filter((pod) => isKind(pod, 'ReplicaSet') && pod.spec.nodeName !== undefined);
        return pods.length === replicas && pods.every((pod) => isKept(pod) === kept) && pods;
      },
      within(120),
    );
  }

  async function reportedSeq(name: string): Promise<number> {
    const lease = await plane.request<{ metadata: { annotations?: Record<string, string> } }>('GET', leasePath(name));
    const parsed = parseReport(lease.metadata.annotations?.[reportAnnotation] ?? '', name);
    return parsed.ok ? parsed.report.seq : 0;
  }

  /** So many seconds of the guard's time. */
  const pass = (seconds: number): Promise<void> =>
    new Promise((resolve) => setTimeout(resolve, (seconds * 1000) / factor));

  it('a dead node: its pods are made again elsewhere; stateful ones when it is fenced; back, it is as before', async () => {
    const pool = await startPool('dead', 3);
    for (const kind of ['StatefulSet', 'DaemonSet'] as const)
      await plane.request(
        'POST',
        `/apis/apps/v1/namespaces/dead/${kind.toLowerCase()}s`,
        workload(kind, kind.toLowerCase(), 'dead'),
      );
    await deploy('dead', 6);
    const stateful = await waitFor(
      'the stateful pod has landed',
      async () => (await podsOf('dead')).find((pod) => isKind(pod, 'StatefulSet') && isKept(pod)),
      within(60),
    );
    const victim = pool.nodes.find(({ name }) => name === stateful.spec.nodeName)!;
    await waitFor(
      'the DaemonSet has landed',
      async () => (await podsOf('dead')).filter((pod) => isKind(pod, 'DaemonSet')).length === 3,
      within(60),
    );

    victim.isOn = false;
    const offMs = clock.monotonicMs();
    await waitFor(
      'its pods are deleted',
      async () => {
        const pods = (await podsOf('dead', victim.name)).filter((pod) => isKind(pod, 'ReplicaSet'));
        return pods.length > 0 && leaving(pods).length === pods.length;
      },
      within(75),
    );
    const seconds = (clock.monotonicMs() - offMs) / 1000;
    // The last renewal may have been ten seconds before.
    expect(seconds).toBeGreaterThan(34);
    expect(await conditionOf(victim.name)).toMatchObject({
      status: 'False',
      reason: 'Dead',
      message: expect.stringMatching(
        /^PeersSilent: silent for \d+ s; silent: dead-\d \(\d+ s\), dead-\d \(\d+ s\); 2 of 3 heard$/,
      ),
    });
    const onVictim = await podsOf('dead', victim.name);
    expect(leaving(onVictim.filter((pod) => !isKind(pod, 'ReplicaSet')))).toEqual([]);
    await waitFor(
      'all are replaced elsewhere',
      async () =>
        (await podsOf('dead')).filter(
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
        const told = (await eventsOn(victim.name)).join('\n');
        return told.includes('NodeDead PeersSilent') && told.includes(command);
      },
      within(30),
    );

    // For another boot of it the declaration is void.
    await annotate(plane, victim.name, { 'holdfast.dev/fenced': 'boot-of-last-year' });
    await pass(15);
    expect(await taintsOf(victim.name)).not.toContain('node.kubernetes.io/out-of-service');
    await annotate(plane, victim.name, { 'holdfast.dev/fenced': `boot-of-${victim.name}` });
    await waitFor(
      'the stateful pod is elsewhere',
      async () =>
        (await podsOf('dead')).some(
          (pod) =>
            pod.metadata.name === stateful.metadata.name &&
            pod.metadata.uid !== stateful.metadata.uid &&
            pod.spec.nodeName !== victim.name,
        ),
      // The pod garbage collector looks every 20 s, of real time.
      within(90),
    );

    pool.powerOn(victim);
    await says(victim.name, 'Alive', 60);
    expect((await taintsOf(victim.name)).filter((key) => !key.startsWith('node.kubernetes.io/unreach'))).toEqual([]);
  }, 600_000);

  it('a node that is cut off: the node controller evicts what is left to it, and nothing else', async () => {
    const pool = await startPool('cut', 3);
    const cut = pool.node(2);
    await plane.request('POST', '/apis/apps/v1/namespaces/cut/daemonsets', workload('DaemonSet', 'agent', 'cut'));
    const before = await deploy('cut', 6);
    // What stock Kubernetes does, beside it: a pod that its owner left to it.
    await plane.request('POST', '/api/v1/namespaces/cut/pods', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'stock', annotations: { 'holdfast.dev/eviction': 'stock' } },
      spec: { nodeName: cut.name, containers },
    });
    cut.hasUplink = false;
    await says(cut.name, 'CutOff', 60);
    expect(await taintsOf(cut.name)).toContain('holdfast.dev/cut-off');
    await waitFor(
      'the node controller has evicted the pod that was left to it',
      async () => {
        const stock = (await podsOf('cut')).find(({ metadata }) => metadata.name === 'stock');
        return stock === undefined || stock.metadata.deletionTimestamp !== undefined;
      },
      within(60),
    );
    await pass(8 * stockSeconds);
    const others = (await podsOf('cut')).filter(({ metadata }) => metadata.name !== 'stock');
    expect(leaving(others)).toEqual([]);
    pool.restoreUplink(cut);
    await says(cut.name, 'Alive', 40);
    expect(await taintsOf(cut.name)).not.toContain('holdfast.dev/cut-off');
    const uids = (await podsOf('cut')).map(({ metadata }) => metadata.uid);
    expect(uids).toEqual(expect.arrayContaining(before.map(({ metadata }) => metadata.uid)));
  }, 600_000);

  it('a pool of one: stock timing, unless the pool says how long its node may be alone', async () => {
    // A zone that is well: the node controller evicts nobody while all zones are gone.
    await startPool('bystander', 1);
    await startPool('alone', 1);
    await startPool('autonomous', 1, { 'holdfast.dev/autonomy-duration': '48h' });
    const [stock] = await deploy('alone', 1, false);
    const [kept] = await deploy('autonomous', 1);
    expect(unreachableSeconds(kept!)).toBe(172_800);
    for (const pool of pools.slice(-2)) pool.node(1).isOn = false;
    await waitFor(
      'stock Kubernetes has evicted its pod',
      async () => leaving(await podsOf('alone')).includes(stock!.metadata.name),
      within(60),
    );
    await says('autonomous-1', 'Undecided', 60);
    expect(leaving(await podsOf('autonomous'))).toEqual([]);
  }, 600_000);

  it('a pool of two: one dead is found by the other after a minute; both silent are a site', async () => {
    const pool = await startPool('two', 2);
    await deploy('two', 2);
    const offMs = clock.monotonicMs();
    pool.node(1).isOn = false;
    await waitFor(
      'its pods are deleted',
      async () => {
        const pods = await podsOf('two', 'two-1');
        return pods.length > 0 && leaving(pods).length === pods.length;
      },
      within(90),
    );
    expect((clock.monotonicMs() - offMs) / 1000).toBeGreaterThan(59);
    pool.powerOn(pool.node(1));
    await says('two-1', 'Alive', 60);
    const before = leaving(await podsOf('two'));
    for (const each of pool.nodes) each.hasUplink = false;
    await says('two-1', 'SiteCutOff', 60);
    await says('two-2', 'SiteCutOff', 60);
    await pass(60);
    expect(leaving(await podsOf('two')).filter((name) => !before.includes(name))).toEqual([]);
  }, 600_000);

  it('two of three die, one after the other: both are found, the second by the one that is left', async () => {
    const pool = await startPool('three', 3);
    await deploy('three', 6);
    const areLeaving = async (name: string, seconds: number): Promise<void> => {
      let seen = '';
      await waitFor(
        `the pods of ${name} are deleted`,
        async () => {
          const pods = await podsOf('three', name);
          seen = `${leaving(pods).length} of ${pods.length} pods; ${(await conditionOf(name))?.message}`;
          return pods.length > 0 && leaving(pods).length === pods.length;
        },
        { ...within(seconds), context: () => seen },
      );
    };
    pool.node(1).isOn = false;
    await areLeaving('three-1', 75);
    pool.node(2).isOn = false;
    await areLeaving('three-2', 100);
    expect(leaving(await podsOf('three', 'three-3'))).toEqual([]);
  }, 600_000);

  it('five, split two and three, the two with the uplink: they condemn nobody', async () => {
    const pool = await startPool('split', 5);
    await deploy('split', 5);
    const names = pool.nodes.map(({ name }) => name);
    pool.sides = [names.slice(0, 2), names.slice(2)];
    for (const each of pool.nodes.slice(2)) each.hasUplink = false;
    for (const name of names.slice(2)) await says(name, 'Undecided', 60);
    expect((await conditionOf(names[4]!))?.message).toMatch(/^FewHeard: /);
    await pass(60);
    expect(leaving(await podsOf('split'))).toEqual([]);
  }, 600_000);

  it('a site that was cut off and comes back one by one, the first with the worst to say of the others', async () => {
    const pool = await startPool('site', 3);
    await deploy('site', 3);
    const names = pool.nodes.map(({ name }) => name);
    // Its switch is gone: nobody sees anybody, nor the cloud.
    pool.sides = names.map((name) => [name]);
    for (const each of pool.nodes) each.hasUplink = false;
    for (const name of names) await says(name, 'SiteCutOff', 60);
    pool.restoreUplink(pool.node(1));
    await pass(40);
    pool.restoreUplink(pool.node(2));
    await says(names[1]!, 'Alive', 40);
    await pass(90);
    expect(leaving(await podsOf('site'))).toEqual([]);
    expect((await conditionOf(names[2]!))?.reason).toBe('SiteCutOff');
  }, 600_000);

  it('reports that are forged, replayed, too large or garbage are named and counted, and move nobody; a Lease of another is not writable', async () => {
    const pool = await startPool('forged', 3);
    await deploy('forged', 3);
    const [liar, other] = [pool.node(1), pool.node(2)];
    const lease = await plane.request<object>('GET', leasePath(other.name));
    const written = await liar.api.rawRequest('PUT', leasePath(other.name), lease);
    expect(written.status).toBe(403);
    const old = pool.report(liar);
    const { seq } = liar;
    const lies = [
      ['forged', (text: string) => text.replace('"n":"forged-1"', '"n":"forged-3"')],
      ['replayed', () => old],
      ['oversized', () => 'x'.repeat(20_000)],
      ['garbage', () => '{"v":1'],
    ] as const;
    // It is old once a newer one is there, which a busy machine may take its time for.
    await waitFor('a newer report is there', async () => (await reportedSeq(liar.name)) > seq, within(60));
    for (const [problem, forgery] of lies) {
      liar.forgery = forgery;
      await waitFor(
        `${problem} is told`,
        async () => (await eventsOn(liar.name)).some((text) => text.startsWith(`PeerReportRefused ${problem}: `)),
        within(60),
      );
    }
    for (const [problem] of lies)
      expect(await guard.metric(`reports_refused_total{problem="${problem}"}`)).toBeGreaterThan(0);
    expect(leaving(await podsOf('forged'))).toEqual([]);
  }, 600_000);

  it('guards that die at any moment, and an API server that refuses: the dead are found, nobody else is moved, no original is lost', async () => {
    await guard.stop();
    const pool = await startPool('chaos', 3);
    const replicas: Guard[] = [new Guard(plane, 'a'), new Guard(plane, 'b')];
    try {
      const before = await deploy('chaos', 9);
      const victim = pool.node(3);
      pool.node(2).hasUplink = false;
      await says('chaos-2', 'CutOff', 90);
      victim.isOn = false;
      // One of the two is cut down again and again, without handing over; then the API server refuses all that is written.
      for (const n of [0, 1, 0]) {
        await pass(20);
        replicas[n]!.access.refuses = true;
        await replicas[n]!.stop();
        replicas[n] = new Guard(plane, `after-${n}`);
      }
      for (const replica of replicas) replica.access.refuses = true;
      await pass(60);
      for (const replica of replicas) replica.access.refuses = false;
      // Two of three are not heard: that the one is dead is known when the other is back.
      pool.restoreUplink(pool.node(2));
      await waitFor(
        'its pods are deleted',
        async () => {
          const pods = (await podsOf('chaos', victim.name)).filter((pod) => isKind(pod, 'ReplicaSet'));
          return leaving(pods).length === pods.length;
        },
        within(200),
      );
      const now = await podsOf('chaos');
      const survivors = before.filter(({ spec }) => spec.nodeName !== victim.name);
      expect(survivors.length).toBeGreaterThan(0);
      for (const { metadata } of survivors) {
        const same = now.find((pod) => pod.metadata.uid === metadata.uid);
        expect(same?.metadata.deletionTimestamp).toBeUndefined();
        expect(isKept(same!)).toBe(true);
      }
    } finally {
      await Promise.all(replicas.map((replica) => replica.stop()));
    }
  }, 600_000);
});

const containers = [{ name: 'main', image: 'none.invalid/none' }];

function workload(
  kind: 'Deployment' | 'StatefulSet' | 'DaemonSet',
  name: string,
  pool: string,
  spec: object = {},
): object {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name },
    spec: {
      ...(kind === 'StatefulSet' ? { serviceName: name } : {}),
      ...spec,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { nodeSelector: { [nodePoolLabel]: pool }, topologySpreadConstraints: [spread(labels)], containers },
      },
    },
  };
}

/** Over all nodes that take pods, so that the one that dies has some. */
function spread(labels: Readonly<Record<string, string>>): object {
  return {
    maxSkew: 1,
    topologyKey: 'kubernetes.io/hostname',
    whenUnsatisfiable: 'DoNotSchedule',
    nodeTaintsPolicy: 'Honor',
    labelSelector: { matchLabels: labels },
  };
}

async function annotate(plane: ControlPlane, name: string, annotations: Record<string, string>): Promise<void> {
  await plane.request('PATCH', `/api/v1/nodes/${name}`, { metadata: { annotations } });
}

const account = 'system:serviceaccount:kube-system:holdfast-controllers';

/** The rights of config/controllers, so that a rule that is missing fails the suite. */
async function installRights(plane: ControlPlane): Promise<void> {
  await plane.request('POST', '/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: poolsNamespace },
  });
  const texts = ['machinery', 'eviction-guard'].map((name) =>
    readFileSync(path.join(projectRoot(), `config/controllers/${name}.yaml`), 'utf8'),
  );
  type Manifest = { kind: string; metadata: { namespace?: string } };
  const manifests = texts.flatMap((text) => parseAllDocuments(text).map((document) => document.toJS() as Manifest));
  for (const object of manifests) {
    if (object.kind === 'ServiceAccount') continue;
    const { namespace } = object.metadata;
    const within = namespace === undefined ? '' : `/namespaces/${namespace}`;
    await plane.request('POST', `/apis/rbac.authorization.k8s.io/v1${within}/${object.kind.toLowerCase()}s`, object);
  }
}

/** As the service account; while `refuses`, every request meets an API server that has too much to do, or fails. */
class RefusingAccess implements Access {
  refuses = false;
  readonly #real: CertificateAccess;
  readonly #server: https.Server;
  #refusals = 0;

  constructor(plane: ControlPlane) {
    this.#real = new CertificateAccess(plane, account, []);
    const { certificate: cert, key } = plane.serverCertificate('refusing', ['127.0.0.1']);
    this.#server = https.createServer({ cert, key }, (request, response) => {
      request.resume();
      this.#refusals += 1;
      response.writeHead(this.#refusals % 2 === 0 ? 429 : 500, { 'retry-after': '1' }).end();
    });
    this.#server.listen(0, '127.0.0.1');
  }

  async connection(): Promise<Connection> {
    const connection = await this.#real.connection();
    if (!this.refuses) return connection;
    return { ...connection, server: `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}` };
  }

  close(): void {
    this.#real.close();
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

/** A replica of `holdfast controllers` with the guard alone. */
class Guard {
  readonly access: RefusingAccess;
  readonly #metrics = new Metrics();
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;

  constructor(plane: ControlPlane, identity: string) {
    this.access = new RefusingAccess(plane);
    const parts = { access: this.access, log: nullLog, clock, metrics: this.#metrics, random: Math.random };
    const options = {
      version: 'test',
      identity,
      leaseNamespace: 'kube-system',
      requestsPerSecond: 100,
      opsListen: { host: '127.0.0.1', port: 0 },
      election: { leaseMs: 15_000, renewMs: 10_000, retryMs: 2_000 },
    };
    this.#ended = new Controllers(parts, options, [evictionGuard({ staySeconds: 86_400 })]).run(this.#stop.signal);
  }

  async metric(series: string): Promise<number> {
    const line = (await this.#metrics.text())
      .split('\n')
      .find((text) => text.startsWith(`holdfast_controllers_guard_${series} `));
    return Number(line?.split(' ').at(-1));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }
}
