// Pools on a real API server, by the controllers with the rights that config/controllers gives them, and no others.
import https from 'node:https';
import { Controllers } from '../../../controllers/controllers.ts';
import { controllerFactories } from '../../../controllers/registry.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { Metrics } from '../../../runtime/metrics.ts';
import type { Log } from '../../../runtime/log.ts';
import { applyConfig } from '../../cluster/apply-config.ts';
import { waitFor } from '../../cluster/commands.ts';
import { ControlPlane } from '../../cluster/control-plane.ts';
import { describeWithApiserver } from '../../cluster/integration.ts';
import { ServiceAccountAccess } from './cluster.ts';

interface Pool {
  readonly metadata: { readonly finalizers?: string[]; readonly deletionTimestamp?: string };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly readyNodeNum?: number;
    readonly nodes?: string[];
    readonly conditions?: { readonly type: string; readonly status: string; readonly message: string }[];
  };
}
interface NodeObject {
  readonly metadata: { readonly labels: Record<string, string>; readonly annotations?: Record<string, string> };
  readonly spec: { readonly taints?: { readonly key: string }[] };
}
interface Slice {
  readonly metadata: { readonly name: string; readonly annotations?: Record<string, string> };
  readonly endpoints: { readonly nodeName: string; readonly addresses: string[] }[] | null;
}

const pools = '/apis/apps.openyurt.io/v1beta2/nodepools';
const label = 'apps.openyurt.io/nodepool';

describeWithApiserver('pools on a real API server', () => {
  let plane: ControlPlane;
  let controllers: Controllers;
  let metrics: Metrics;
  const said: string[] = [];
  const stop = new AbortController();
  let ended: Promise<void>;

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
    await applyConfig(plane, 'crds', 'rbac', 'controllers');
    metrics = new Metrics();
    const log: Log = {
      error: (message, fields) => said.push(`${message} ${JSON.stringify(fields)}`),
      warn: (message, fields) => said.push(`${message} ${JSON.stringify(fields)}`),
      info: () => undefined,
      debug: () => undefined,
      child: () => log,
    };
    const parts = {
      access: await ServiceAccountAccess.of(plane),
      log,
      clock: systemClock,
      metrics,
      random: Math.random,
    };
    const options = {
      version: 'test',
      identity: 'test',
      leaseNamespace: 'kube-system',
      requestsPerSecond: 200,
      opsListen: { host: '127.0.0.1', port: 0 },
    };
    controllers = new Controllers(parts, options, controllerFactories);
    ended = controllers.run(stop.signal);
    await settled();
  });
  afterAll(async () => {
    stop.abort();
    await ended;
    await plane?.stop();
  });
  // A right that is missing, or a fault, would stand here.
  afterEach(() => expect(said).toEqual([]));

  const settled = (): Promise<unknown> => waitFor('all is done', () => controllers.settled, { deadlineMs: 120_000 });
  const until = (what: string, holds: () => Promise<boolean>): Promise<unknown> =>
    waitFor(what, holds, { deadlineMs: 120_000 });
  const pool = (name: string): Promise<Pool> => plane.request<Pool>('GET', `${pools}/${name}`);
  const nodeObject = (name: string): Promise<NodeObject> => plane.request<NodeObject>('GET', `/api/v1/nodes/${name}`);

  async function makePool(name: string, spec: object = {}, annotations: Record<string, string> = {}): Promise<void> {
    const metadata = { name, annotations };
    await plane.request('POST', pools, { apiVersion: 'apps.openyurt.io/v1beta2', kind: 'NodePool', metadata, spec });
  }

  async function makeNode(name: string, address: string, labels: Record<string, string> = {}): Promise<void> {
    await plane.request('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name, labels } });
    const addresses = [{ type: 'InternalIP', address }];
    const conditions = [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: '' }];
    await plane.request('PATCH', `/api/v1/nodes/${name}/status`, { status: { addresses, conditions } });
  }

  async function members(name: string): Promise<string[]> {
    const path = `/apis/discovery.k8s.io/v1/namespaces/holdfast-pools/endpointslices?labelSelector=holdfast.dev%2Fpool%3D${name}`;
    const { items } = await plane.request<{ items: Slice[] }>('GET', path);
    return items
      .flatMap(({ endpoints }) => endpoints ?? [])
      .map(({ nodeName, addresses }) => `${nodeName} ${addresses.join()}`)
      .sort();
  }

  async function writes(): Promise<number> {
    const counted = [
      ...(await metrics.text()).matchAll(/api_requests_total\{verb="(create|patch|delete)",outcome="ok"\} (\d+)/g),
    ];
    return counted.reduce((sum, [, , count]) => sum + Number(count), 0);
  }

  it('status, labels, taints and neighbours follow the labels of nodes, and then nothing more is written', async () => {
    await makePool('berlin', {
      labels: { site: 'berlin' },
      taints: [{ key: 'site', value: 'berlin', effect: 'NoSchedule' }],
    });
    await makePool('paris', { labels: { site: 'paris' } }, { 'holdfast.dev/relay': 'false', 'example.com/x': 'y' });
    await makeNode('a', '10.0.0.1', { [label]: 'berlin' });
    await makeNode('b', '10.0.0.2', { [label]: 'berlin', site: 'unknown' });
    await until('both nodes are in berlin', async () => (await pool('berlin')).status?.readyNodeNum === 2);
    await until('both are neighbours', async () => (await members('berlin')).join() === 'a 10.0.0.1,b 10.0.0.2');
    await until('both have what the pool gives', async () =>
      ((await pool('berlin')).status?.conditions ?? []).some(
        ({ type, status }) => type === 'AttributesApplied' && status === 'True',
      ),
    );
    expect((await nodeObject('b')).metadata.labels).toMatchObject({ site: 'berlin' });
    expect((await nodeObject('a')).spec.taints?.map(({ key }) => key)).toContain('site');

    await plane.request('PATCH', '/api/v1/nodes/b', { metadata: { labels: { [label]: 'paris' } } });
    await until('b is in paris', async () => (await pool('paris')).status?.nodes?.join() === 'b');
    await until(
      'b is a neighbour in paris alone',
      async () => (await members('paris')).join() === 'b 10.0.0.2' && (await members('berlin')).join() === 'a 10.0.0.1',
    );
    await settled();
    expect((await nodeObject('b')).metadata.labels).toMatchObject({ site: 'paris' });
    expect((await nodeObject('b')).spec.taints ?? []).not.toContainEqual(expect.objectContaining({ key: 'site' }));
    expect((await pool('berlin')).status?.nodes).toEqual(['a']);
    const slices = await plane.request<{ items: Slice[] }>(
      'GET',
      '/apis/discovery.k8s.io/v1/namespaces/holdfast-pools/endpointslices',
    );
    expect(slices.items.find(({ metadata }) => metadata.name === 'paris-0')?.metadata.annotations).toEqual({
      'holdfast.dev/relay': 'false',
    });

    await plane.request('PATCH', '/api/v1/nodes/b', { metadata: { labels: { [label]: null } } });
    await until(
      'b is nowhere',
      async () =>
        (await pool('paris')).status?.nodes?.length === 0 || (await pool('paris')).status?.nodes === undefined,
    );
    await settled();
    expect((await nodeObject('b')).metadata.labels).toMatchObject({ site: 'unknown' });
    const before = await writes();
    // What is not kept of a node changes, as with every heartbeat.
    const beat = {
      status: {
        conditions: [{ type: 'Ready', lastHeartbeatTime: '2026-01-01T00:00:00Z' }],
        images: [{ names: ['x'], sizeBytes: 1 }],
      },
    };
    await plane.request('PATCH', '/api/v1/nodes/a/status', beat, {
      contentType: 'application/strategic-merge-patch+json',
    });
    await makeNode('c', '10.0.0.3');
    await until('the node after it is known', async () =>
      /informer_objects\{collection="nodes"\} 3/.test(await metrics.text()),
    );
    await settled();
    expect(await writes()).toBe(before);
  });

  it('refuses to delete a pool that has nodes, with what to do; and holds one that is deleted in spite of it', async () => {
    await makePool('full');
    await makeNode('d', '10.0.1.1', { [label]: 'full' });
    await until('the node is in it', async () => (await pool('full')).status?.readyNodeNum === 1);
    const refusal = await plane.rawRequest('DELETE', `${pools}/full`);
    expect(refusal.status).toBe(403);
    expect(refusal.body.toString()).toContain(
      'the pool has 1 nodes, d for one: move them first, by kubectl label node',
    );
    const policy =
      '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/holdfast-node-pool-deletion';
    await plane.request('DELETE', policy);
    await until('the policy is gone', async () => (await plane.rawRequest('DELETE', `${pools}/full`)).status === 200);
    await until('it says why it stays', async () =>
      ((await pool('full')).status?.conditions ?? []).some(
        ({ type, message }) => type === 'Terminating' && message.includes('move d by kubectl label'),
      ),
    );
    await plane.request('PATCH', '/api/v1/nodes/d', { metadata: { labels: { [label]: null } } });
    await until('it is gone', async () => (await plane.rawRequest('GET', `${pools}/full`)).status === 404);
    await until('its neighbours are gone', async () => (await members('full')).length === 0);
    await applyConfig(plane, 'controllers/node-pool.yaml');
  });

  it('a node cannot change its own pool or what is recorded of it, and everything else as before', async () => {
    await makeNode('e', '10.0.2.1', { [label]: 'berlin' });
    await until('the node is in its pool', async () => (await pool('berlin')).status?.nodes?.includes('e') ?? false);
    const { certificate: cert, key } = plane.nodeCertificate('e');
    const asNode = (path: string, body: object): Promise<{ status: number; text: string }> =>
      new Promise((resolve, reject) => {
        const headers = { 'content-type': 'application/strategic-merge-patch+json' };
        const request = https.request(
          `${plane.url}${path}`,
          { method: 'PATCH', ca: plane.ca, cert, key, agent: false, headers },
          (response) => {
            const chunks: Buffer[] = [];
            response.on('data', (chunk: Buffer) => chunks.push(chunk));
            response.on('end', () =>
              resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
            );
          },
        );
        request.on('error', reject);
        request.end(JSON.stringify(body));
      });
    const labels = (value: string | null): object => ({ metadata: { labels: { [label]: value } } });
    for (const path of ['/api/v1/nodes/e', '/api/v1/nodes/e/status'])
      for (const value of ['paris', null])
        expect(await asNode(path, labels(value))).toMatchObject({
          status: 403,
          text: expect.stringContaining('a node may not change its pool') as string,
        });
    for (const annotation of ['holdfast.dev/pool-attributes', 'nodepool.openyurt.io/previous-attributes'])
      expect(await asNode('/api/v1/nodes/e', { metadata: { annotations: { [annotation]: '{}' } } })).toMatchObject({
        status: 403,
        text: expect.stringContaining('may not change what is recorded of its pool') as string,
      });
    expect(
      await asNode('/api/v1/nodes/e', { metadata: { labels: { mine: 'x' }, annotations: { mine: 'x' } } }),
    ).toMatchObject({ status: 200 });
    expect(await asNode('/api/v1/nodes/e/status', { status: { phase: 'Running' } })).toMatchObject({ status: 200 });
  });
});
