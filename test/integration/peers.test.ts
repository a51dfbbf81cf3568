// Two hubs of one pool with their health parts, in front of a real kube-apiserver: reports ride on the kubelets' own renewals,
// and a node whose own way out is gone goes on through the other.
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Health, healthDefaults } from '../../health/health.ts';
import { protobufWire } from '../../kube/protobuf/protobuf-wire.ts';
import { metadataOf } from '../../kube/plain-object.ts';
import type { KubeObject } from '../../kube/wire.ts';
import { membershipSlices, nodePoolLabel } from '../../peers/membership.ts';
import { parseReport, type Report } from '../../peers/report.ts';
import { systemClock } from '../../runtime/clock.ts';
import { nullLog } from '../../runtime/log.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { TcpRelay } from '../../runtime/tcp-relay.ts';
import { noNeighbours, type Neighbours, type NodeHub } from '../../yurthub/neighbours/neighbours.ts';
import { ControlPlane } from '../cluster/control-plane.ts';
import { describeWithApiserver } from '../cluster/integration.ts';
import { create } from '../cluster/manifest.ts';
import { nodeRules } from '../cluster/node-rules.ts';
import { claimPort } from '../cluster/ports.ts';
import { HubUnderTest, until } from './hub-under-test.ts';

const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
const poolSlices = '/apis/discovery.k8s.io/v1/namespaces/holdfast-pools/endpointslices';
/** As published: the API server takes no loopback addresses, and here are no others. */
const addresses = { edge1: '192.0.2.31', edge2: '192.0.2.32' } as const;
type NodeName = keyof typeof addresses;
const nodeNames = ['edge1', 'edge2'] as const;
const merge = { contentType: 'application/merge-patch+json' };

interface Node {
  readonly link: TcpRelay;
  readonly hub: HubUnderTest;
  readonly metrics: Metrics;
}

describeWithApiserver('peers in front of a real API server', () => {
  let plane: ControlPlane;
  let peerPort: number;
  let kubelets: http.Server;
  const nodes = new Map<NodeName, Node>();
  const node = (name: NodeName): Node => nodes.get(name)!;
  const folder = mkdtempSync(path.join(tmpdir(), 'holdfast-audit-'));
  /** What the test has asked hubs to write, as nodes. */
  let written = 0;

  beforeAll(async () => {
    const policy = path.join(folder, 'policy.yaml');
    const rules = [{ level: 'Metadata', userGroups: ['system:nodes'], verbs: ['create', 'update', 'patch', 'delete'] }];
    const omitStages = ['RequestReceived'];
    writeFileSync(policy, JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages, rules }));
    const audit = [`--audit-policy-file=${policy}`, `--audit-log-path=${path.join(folder, 'audit.log')}`];
    plane = await ControlPlane.start({ controllers: false, apiserverArgs: audit });
    peerPort = await claimPort();
    // The health port of every kubelet here.
    kubelets = http.createServer((_request, response) => response.end('ok')).listen(0, '127.0.0.1');
    await once(kubelets, 'listening');
    await plane.request('POST', '/api/v1/namespaces', { metadata: { name: 'kube-node-lease' } }).catch(() => undefined);
    await create(plane.api, nodeRules());
    for (const name of nodeNames)
      await plane.request('POST', '/api/v1/nodes', { metadata: { name, labels: { [nodePoolLabel]: 'shop' } } });
    const members = nodeNames.map((nodeName) => ({ nodeName, address: addresses[nodeName] }));
    for (const slice of membershipSlices('shop', members, {}, [])) await plane.request('POST', poolSlices, slice);
    for (const name of nodeNames) nodes.set(name, await start(name));
  });

  afterAll(async () => {
    for (const { hub, link } of nodes.values()) {
      await hub.remove();
      await link.close();
    }
    kubelets?.closeAllConnections();
    kubelets?.close();
    await plane?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  // Tests come in any order: each begins with links that work, and relays as pools have them.
  beforeEach(async () => {
    await allowRelays(true);
    for (const { link, hub } of nodes.values()) {
      await link.heal();
      await until(() => hub.hub.status().cloud.reachable, 'the cloud is in reach');
    }
  });

  async function allowRelays(allowed: boolean): Promise<void> {
    const metadata = { annotations: { 'holdfast.dev/relay': String(allowed) } };
    await plane.request('PATCH', `${poolSlices}/shop-0`, { metadata }, merge);
  }

  async function start(name: NodeName): Promise<Node> {
    const link = new TcpRelay({ host: plane.address, port: plane.port }, { port: 0 });
    await link.listen();
    const pair = plane.nodeCertificate(name);
    const metrics = new Metrics();
    const kubeletHealth = { host: '127.0.0.1', port: (kubelets.address() as AddressInfo).port };
    const api = { host: plane.address, port: plane.port };
    const health = new Health(
      { log: nullLog, clock: systemClock, metrics, random: Math.random },
      {
        ...healthDefaults,
        nodeName: name,
        peerPort,
        credentials: { certificate: { pem: pair.certificate }, key: { pem: pair.key }, clientCA: { pem: plane.ca } },
        listen: undefined,
        kubeletHealth,
        relay: true,
        relayTargets: () => [api],
        prober: { periodMs: 200, doubtPeriodMs: 100, timeoutMs: 2_000 },
      },
    );
    const neighbours: Neighbours = {
      ...noNeighbours,
      leaseAnnotation: () => health.leaseAnnotation(),
      run: (hub, signal) => health.run(onLoopback(hub), signal),
      // Each node has a link of its own to the API server here; on a real site all know it by one address.
      get cutOffPeers() {
        return health.cutOffPeers;
      },
      isAlive: (peer) => health.isAlive(peer),
      onSeen: (listener) => health.onSeen(listener),
      relay: {
        get isOpen() {
          return health.relay.isOpen;
        },
        open: (_target, signal) => health.relay.open(api, signal),
      },
    };
    const hub = await HubUnderTest.start({
      apiServer: `https://127.0.0.1:${link.port}`,
      ca: plane.ca,
      node: { cert: pair.certificate, key: pair.key },
      settings: { nodeName: name },
      neighbours,
    });
    return { link, hub, metrics };
  }

  /** As its kubelet does: the object of the last answer with another time. */
  async function renew(name: NodeName, lease: KubeObject): Promise<{ status: number; lease: KubeObject }> {
    const spec = { ...(lease['spec'] as KubeObject), renewTime: new Date().toISOString().replace('Z', '000Z') };
    written += 1;
    const answer = await node(name).hub.client.request('PUT', `${leases}/${name}`, {
      body: protobufWire.body({ ...lease, spec }),
      headers: { 'content-type': protobufWire.contentType, accept: protobufWire.contentType },
    });
    const { typeMeta, item } = protobufWire.scanObject(answer.body);
    return { status: answer.status, lease: protobufWire.decode(typeMeta, item.bytes) };
  }

  async function leaseOf(name: NodeName): Promise<KubeObject> {
    const fresh = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace: 'kube-node-lease' },
      spec: { holderIdentity: name, leaseDurationSeconds: 40 },
    };
    written += 1;
    const made = await node(name).hub.client.request('POST', leases, {
      body: JSON.stringify(fresh),
      headers: { 'content-type': 'application/json' },
    });
    if (made.status === 201) return JSON.parse(made.body.toString()) as KubeObject;
    return await plane.request<KubeObject>('GET', `${leases}/${name}`);
  }

  const reportIn = (lease: KubeObject, name: string): Report => {
    const annotations = metadataOf(lease)['annotations'] as Record<string, string> | undefined;
    const parsed = parseReport(annotations?.['holdfast.dev/peers'] ?? '', name);
    if (!parsed.ok) throw new Error(`${parsed.problem}: ${parsed.detail}`);
    return parsed.report;
  };

  test('what a node sees of its peers is on its own Lease, newer with each renewal, and nobody else can write it', async () => {
    let lease = await leaseOf('edge1');
    const sees = async (): Promise<boolean> => {
      const renewed = await renew('edge1', lease);
      expect(renewed.status).toBe(200);
      lease = renewed.lease;
      return metadataOf(lease)['annotations'] !== undefined && reportIn(lease, 'edge1').peers[0]?.state === 'up';
    };
    await until(sees, 'edge1 reports edge2');
    const inCloud = await plane.request<KubeObject>('GET', `${leases}/edge1`);
    expect(reportIn(inCloud, 'edge1')).toEqual(reportIn(lease, 'edge1'));
    expect(metadataOf(inCloud)['resourceVersion']).toBe(metadataOf(lease)['resourceVersion']);
    const { seq } = reportIn(lease, 'edge1');
    // A renewal that finds the cloud out of reach, as on a machine that stalls, is acknowledged without a new report.
    await until(async () => (await sees()) && reportIn(lease, 'edge1').seq > seq, 'a newer report');
    await leaseOf('edge2');
    written += 1;
    const foreign = await node('edge1').hub.client.request('PUT', `${leases}/edge2`, {
      body: JSON.stringify(await plane.request<KubeObject>('GET', `${leases}/edge2`)),
      headers: { 'content-type': 'application/json' },
    });
    expect(foreign.status).toBe(403);
  });

  test('a conflict is the answer that the kubelet needs, and no renewal is lost by it', async () => {
    const stale = await leaseOf('edge1');
    await renew('edge1', stale);
    expect((await renew('edge1', stale)).status).toBe(409);
    expect((await renew('edge1', await leaseOf('edge1'))).status).toBe(200);
  });

  test('reports cost the API server no write of their own', async () => {
    const seen = (): string[] => {
      const lines = readFileSync(path.join(folder, 'audit.log'), 'utf8').split('\n');
      // The last one may be under way.
      return lines.slice(0, -1).map((line) => {
        const { user, verb, requestURI } = JSON.parse(line) as Record<string, unknown>;
        return `${(user as { username: string }).username} ${String(verb)} ${String(requestURI)}`;
      });
    };
    for (let count = 0, lease = await leaseOf('edge1'); count < 5; count += 1)
      ({ lease } = await renew('edge1', lease));
    await until(() => seen().length >= written, 'all is in the audit log');
    expect(seen()).toHaveLength(written);
  });

  test.each(['blackhole', 'refuse'] as const)(
    'with its own way out gone (%s) a node goes on through its peer',
    async (fault) => {
      const { link, hub } = node('edge1');
      const before = await leaseOf('edge1');
      const watch = await hub.client.watch(
        '/api/v1/nodes?fieldSelector=metadata.name%3Dedge1&watch=true&resourceVersion=0',
      );
      await link.cut(fault);
      await until(async () => (await hub.metric('holdfast_yurthub_cloud_relayed')) === 1, 'the relay is used');
      // How soon is judged in the drill.
      const renewed = await renew('edge1', before);
      expect(renewed.status).toBe(200);
      // Not answered by the hub itself: the cloud has it.
      const inCloud = await plane.request<KubeObject>('GET', `${leases}/edge1`);
      expect(metadataOf(inCloud)['resourceVersion']).toBe(metadataOf(renewed.lease)['resourceVersion']);
      const seen = watch.events.length;
      await plane.request('PATCH', '/api/v1/nodes/edge1', { metadata: { annotations: { through: fault } } }, merge);
      await watch.until(({ object }) => object.metadata.annotations?.['through'] === fault, seen);
      watch.stop();
      await link.heal();
      if (fault === 'blackhole')
        await until(async () => (await hub.metric('holdfast_yurthub_cloud_relayed')) === 0, 'the own way works');
    },
  );

  test('without relays, pods of a node that is cut off stay endpoints on its peers, as its kubelet says', async () => {
    const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
    await plane.request('POST', '/apis/rbac.authorization.k8s.io/v1/clusterroles', {
      metadata: { name: 'reads-slices' },
      rules: [{ apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['get', 'list', 'watch'] }],
    });
    await plane.request('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: 'reads-slices' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'reads-slices' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'system:nodes' }],
    });
    await plane.request('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } });
    const endpoints: KubeObject[] = [];
    for (const [name, ready] of [
      ['serves', true],
      ['fails', false],
    ] as const) {
      const made = await plane.request<KubeObject>('POST', '/api/v1/namespaces/default/pods', {
        metadata: { name },
        spec: { nodeName: 'edge1', containers: [{ name: 'main', image: 'main:1' }] },
      });
      const podIP = `10.244.1.${endpoints.length + 2}`;
      const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }];
      await plane.request(
        'PATCH',
        `/api/v1/namespaces/default/pods/${name}/status`,
        { status: { phase: 'Running', podIP, podIPs: [{ ip: podIP }], conditions } },
        merge,
      );
      const { uid } = metadataOf(made) as { uid: string };
      endpoints.push({
        addresses: [podIP],
        conditions: { ready },
        nodeName: 'edge1',
        targetRef: { kind: 'Pod', namespace: 'default', name, uid },
      });
    }
    await plane.request('POST', slices, {
      metadata: { name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      endpoints,
      ports: [{ name: 'http', port: 80 }],
    });
    // As the kubelet of edge1 and the kube-proxy of edge2 do.
    const listed = await node('edge1').hub.client.request(
      'GET',
      '/api/v1/pods?fieldSelector=spec.nodeName%3Dedge1&resourceVersion=0',
      { headers: { accept: protobufWire.contentType } },
    );
    expect(listed.status).toBe(200);
    const shown = async (): Promise<unknown[]> => {
      const slice = await node('edge2').hub.client.get<{ endpoints: { conditions: { ready: boolean } }[] }>(
        `${slices}/web-1?resourceVersion=0`,
      );
      return slice.endpoints.map(({ conditions }) => conditions.ready);
    };
    await node('edge2').hub.client.get(`${slices}?resourceVersion=0`);
    await until(async () => (await shown()).join() === 'true,false', 'the slice is there');
    await allowRelays(false);
    await node('edge1').link.cut('refuse');
    await until(() => !node('edge1').hub.hub.status().cloud.reachable, 'edge1 is cut off');
    // As the cloud does after the node was silent for long enough.
    const unknown = endpoints.map((endpoint) => ({ ...endpoint, conditions: { ready: false } }));
    const patched = await plane.request<KubeObject>('PATCH', `${slices}/web-1`, { endpoints: unknown }, merge);
    const version = String(metadataOf(patched)['resourceVersion']);
    await until(async () => {
      const slice = await node('edge2').hub.client.get<KubeObject>(`${slices}/web-1?resourceVersion=0`);
      return metadataOf(slice)['resourceVersion'] === version && (await shown()).join() === 'true,false';
    }, 'edge2 goes on serving what serves, and that alone');
    await node('edge1').hub.stop();
    await until(async () => (await shown()).join() === 'false,false', 'nobody vouches for it any more');
    await node('edge1').hub.start();
  });
});

function onLoopback(hub: NodeHub): NodeHub {
  return {
    get cloud() {
      return hub.cloud;
    },
    get pool() {
      const { pool } = hub;
      return pool && { ...pool, slices: JSON.parse(JSON.stringify(pool.slices).replaceAll('192.0.2.', '127.0.0.')) };
    },
    onCloudAccess: (listener) => hub.onCloudAccess(listener),
    onPool: (listener) => hub.onPool(listener),
    followPool: (signal) => hub.followPool(signal),
    pods: () => hub.pods(),
  };
}
