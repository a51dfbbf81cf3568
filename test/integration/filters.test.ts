// What clients on the node are shown otherwise than the cloud has it, in front of a real kube-apiserver: lists, watches
// and their transitions, online, cut off, after a restart and after the return.
import { networkInterfaces } from 'node:os';
import { protobufWire } from '../../kube/protobuf/protobuf-wire.ts';
import { TcpRelay } from '../../runtime/tcp-relay.ts';
import { ControlPlane } from '../cluster/control-plane.ts';
import { describeWithApiserver } from '../cluster/integration.ts';
import { HubUnderTest } from './hub-under-test.ts';
import type { LocalWatch, WatchEvent } from './local-client.ts';

interface Slice {
  readonly metadata: { readonly name: string; readonly uid: string; readonly resourceVersion: string };
  readonly endpoints: { readonly addresses: string[]; readonly conditions: { readonly ready?: boolean } }[] | null;
  readonly ports: { readonly name: string; readonly port: number }[];
}
interface List<T> {
  readonly metadata: { readonly resourceVersion: string };
  readonly items: T[];
}

const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
const services = '/api/v1/namespaces/default/services';
const nodePools = '/apis/apps.openyurt.io/v1beta2/nodepools';
const pods = '/api/v1/namespaces/default/pods';
const configMaps = '/api/v1/namespaces/default/configmaps';
const merge = { contentType: 'application/merge-patch+json' };

describeWithApiserver('filters in front of a real API server', () => {
  let plane: ControlPlane;
  let relay: TcpRelay;
  let node: HubUnderTest;

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
    await plane.request('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } });
  });
  afterAll(async () => {
    await plane?.stop();
  });

  beforeEach(async () => {
    relay = new TcpRelay({ host: plane.address, port: plane.port }, { port: 0 });
    await relay.listen();
    const operator = plane.clientCertificate('operator', ['system:masters']);
    const [address] = outsideAddresses();
    node = await HubUnderTest.start({
      apiServer: `https://127.0.0.1:${relay.port}`,
      ca: plane.ca,
      node: { cert: operator.certificate, key: operator.key },
      settings: { listen: ['127.0.0.1:0', ...(address === undefined ? [] : [`${address}:0`])] },
    });
  });
  afterEach(async () => {
    await node.remove();
    await relay.close();
  });

  async function cut(): Promise<void> {
    await relay.cut('refuse');
    await untilCloud(false);
  }
  async function heal(): Promise<void> {
    await relay.heal();
    await untilCloud(true);
  }
  async function untilCloud(reachable: boolean): Promise<void> {
    while (node.hub.status().cloud.reachable !== reachable) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  async function listAndWatch(path: string): Promise<LocalWatch> {
    const separator = path.includes('?') ? '&' : '?';
    const list = await node.client.get<List<unknown>>(`${path}${separator}resourceVersion=0`);
    const { resourceVersion } = list.metadata;
    return await node.client.watch(`${path}${separator}watch=true&resourceVersion=${resourceVersion}`);
  }

  async function createSlice(name: string, service: string, endpoints: object[]): Promise<void> {
    await plane.request('POST', slices, {
      metadata: { name, labels: { 'kubernetes.io/service-name': service } },
      addressType: 'IPv4',
      endpoints,
      ports: [{ name: 'https', protocol: 'TCP', port: 6443 }],
    });
  }
  /** The version that it has then. */
  async function patchSlice(name: string, patch: object): Promise<string> {
    const slice = await plane.request<Slice>('PATCH', `${slices}/${name}`, patch, merge);
    return slice.metadata.resourceVersion;
  }

  // A gate does not pass what it could not try.
  const outside = outsideAddresses().length > 0 || process.env['CI'] === 'true' ? test : test.skip;
  outside(
    'the Service of the API servers leads to the hub in lists and watches, whatever the cloud says of it',
    async () => {
      await createSlice('kubernetes', 'kubernetes', [{ addresses: ['10.0.0.1'], conditions: { ready: true } }]);
      const hub = node.hub.addresses[1];
      const toHub = { endpoints: [{ addresses: [hub?.address] }], ports: [{ name: 'https', port: hub?.port }] };
      const list = await node.client.get<List<Slice>>(`${slices}?resourceVersion=0`);
      expect(list.items).toMatchObject([toHub]);
      const watch = await listAndWatch(slices);
      await patchSlice('kubernetes', { endpoints: [{ addresses: ['10.0.0.2'] }] });
      expect((await watch.until(ofType('MODIFIED'))).object).toMatchObject(toHub);
      await cut();
      expect(await node.client.get<Slice>(`${slices}/kubernetes`)).toMatchObject(toHub);
      await heal();
      await plane.request('DELETE', `${slices}/kubernetes`);
      await watch.until(ofType('DELETED'));
    },
  );

  test('the hub’s CA stands beside the cluster’s where the kubelet reads it, and nowhere else', async () => {
    const data = { 'ca.crt': plane.ca };
    await plane.request('POST', configMaps, { metadata: { name: 'kube-root-ca.crt' }, data });
    const named = `${configMaps}?fieldSelector=metadata.name%3Dkube-root-ca.crt`;
    const list = await node.client.get<List<{ data: Record<string, string> }>>(`${named}&resourceVersion=0`);
    expect(list.items[0]?.data['ca.crt']).toBe(`${plane.ca.trim()}\n${node.hub.caPem.trim()}\n`);
    const one = await node.client.get<{ data: Record<string, string> }>(`${configMaps}/kube-root-ca.crt`);
    expect(one.data['ca.crt']).toContain(node.hub.caPem.trim());
    await cut();
    expect(await node.client.get(`${configMaps}/kube-root-ca.crt`)).toEqual(one);
    await heal();
    const wide = await node.client.get<List<unknown>>(`${configMaps}?resourceVersion=0`);
    expect(wide.items).toMatchObject([{ data }]);
    await plane.request('DELETE', `${configMaps}/kube-root-ca.crt`);
  });

  test('a pod’s new address reaches the watchers of its endpoints while cut off, survives a restart, and gives way to the cloud’s', async () => {
    const pod = await plane.request<{ metadata: { uid: string } }>('POST', pods, {
      metadata: { name: 'web' },
      spec: { nodeName: 'edge1', containers: [{ name: 'main', image: 'main:1' }] },
    });
    const targetRef = { kind: 'Pod', namespace: 'default', name: 'web', uid: pod.metadata.uid };
    const endpoint = (address: string, ready: boolean): object => ({
      addresses: [address],
      nodeName: 'edge1',
      targetRef,
      conditions: { ready },
    });
    await createSlice('web-1', 'web', [endpoint('10.244.1.2', true)]);
    await node.client.get(`${pods}?fieldSelector=spec.nodeName%3Dedge1&resourceVersion=0`);
    const watch = await listAndWatch(slices);

    await cut();
    const status = {
      podIP: '10.244.1.9',
      podIPs: [{ ip: '10.244.1.9' }],
      conditions: [{ type: 'Ready', status: 'True' }],
    };
    await patchStatus({ metadata: { uid: pod.metadata.uid }, status });
    const moved = await watch.until(ofType('MODIFIED'));
    expect(addressesOf(moved)).toEqual(['10.244.1.9']);

    await node.stop();
    await node.start();
    await untilCloud(false);
    const list = await node.client.get<List<Slice>>(`${slices}?resourceVersion=0`);
    expect(list.items[0]?.endpoints).toMatchObject([{ addresses: ['10.244.1.9'], conditions: { ready: true } }]);

    const again = await listAndWatch(slices);
    const missed = await patchSlice('web-1', { endpoints: [endpoint('10.244.1.2', false)] });
    await heal();
    // The cloud has not heard of the new address yet: what the node knows still stands.
    expect(addressesOf(await again.until(atVersion(missed)))).toEqual(['10.244.1.9']);
    // Nor has it heard that the pod is ready: it calls every pod not ready that it could not see.
    const unseen = await patchSlice('web-1', { endpoints: [endpoint('10.244.1.9', false)] });
    const told = await again.until(atVersion(unseen));
    expect(told.object['endpoints']).toMatchObject([{ addresses: ['10.244.1.9'], conditions: { ready: true } }]);
    await plane.request('DELETE', `${slices}/web-1`);
    await plane.request('DELETE', `${pods}/web?gracePeriodSeconds=0`);
  });

  test('a pod that was well through an outage stays ready, though the cloud could not see it', async () => {
    const pod = await plane.request<{ metadata: { uid: string } }>('POST', pods, {
      metadata: { name: 'well' },
      spec: { nodeName: 'edge1', containers: [{ name: 'main', image: 'main:1' }] },
    });
    const ready = (value: boolean): object => ({
      status: { podIP: '10.244.1.2', conditions: [{ type: 'Ready', status: value ? 'True' : 'False' }] },
    });
    await plane.request('PATCH', `${pods}/well/status`, ready(true), merge);
    const targetRef = { kind: 'Pod', namespace: 'default', name: 'well', uid: pod.metadata.uid };
    const endpoint = (value: boolean): object => ({
      addresses: ['10.244.1.2'],
      nodeName: 'edge1',
      targetRef,
      conditions: { ready: value },
    });
    await createSlice('well-1', 'well', [endpoint(true)]);
    await node.client.request('GET', `/api/v1/pods?fieldSelector=spec.nodeName%3Dedge1&resourceVersion=0`, {
      headers: { accept: protobufWire.contentType },
    });
    const watch = await listAndWatch(slices);
    await cut();
    // What the node lifecycle and the EndpointSlice controllers do.
    await plane.request('PATCH', `${pods}/well/status`, ready(false), merge);
    const missed = await patchSlice('well-1', { endpoints: [endpoint(false)] });
    await heal();
    expect((await watch.until(atVersion(missed))).object['endpoints']).toMatchObject([{ conditions: { ready: true } }]);
    await plane.request('DELETE', `${slices}/well-1`);
    await plane.request('DELETE', `${pods}/well?gracePeriodSeconds=0`);
  });

  test('endpoints are trimmed to the node or its pool, and watchers hear of it when a Service or a pool changes', async () => {
    await definePools();
    await createService('near', 'ClusterIP', {});
    const on = (nodeName: string): object => ({ addresses: ['10.1.1.1'], nodeName, conditions: { ready: true } });
    await createSlice('near-1', 'near', [on('edge1'), on('edge2'), on('edge3')]);
    // As the kubelet does, before any pod starts.
    const kubelets = '/api/v1/services?fieldSelector=spec.clusterIP%21%3DNone&resourceVersion=0';
    await node.client.request('GET', kubelets, { headers: { accept: protobufWire.contentType } });
    const watch = await listAndWatch(slices);
    const annotate = (value: string | null): Promise<unknown> =>
      plane.request(
        'PATCH',
        `${services}/near`,
        { metadata: { annotations: { 'openyurt.io/topologyKeys': value } } },
        merge,
      );
    const shown = async (...nodes: string[]): Promise<void> => {
      await watch.until((event) => event.type === 'MODIFIED' && nodesOf(event).join() === nodes.join());
    };
    await annotate('kubernetes.io/hostname');
    await shown('edge1');
    await plane.request('POST', nodePools, pool('shop', ['edge1', 'edge2']));
    await annotate('openyurt.io/nodepool');
    await shown('edge1', 'edge2');
    await plane.request('PATCH', `${nodePools}/shop`, { status: { nodes: ['edge1', 'edge3'] } }, merge);
    await shown('edge1', 'edge3');

    // A restart with the cloud gone: Services and pools are known before the first client asks.
    await cut();
    await node.stop();
    await node.start();
    await untilCloud(false);
    const list = await node.client.get<List<Slice>>(`${slices}?resourceVersion=0`);
    expect(list.items[0]?.endpoints).toHaveLength(2);
    // Filters look at what is kept while it is loaded, when nothing listens yet.
    expect(await node.metric('holdfast_yurthub_filter_failures_total{filter="hub-service"}')).toBe(0);
    const again = await listAndWatch(slices);
    await annotate(null);
    await heal();
    await again.until((event) => event.type === 'MODIFIED' && nodesOf(event).length === 3);
    await plane.request('DELETE', `${slices}/near-1`);
    await plane.request('DELETE', `${services}/near`);
    await plane.request('DELETE', `${nodePools}/shop`);
  });

  test('a pod of this node stands in for a Service while it is ready, also after a restart with the cloud gone', async () => {
    const pod = await plane.request<{ metadata: { uid: string } }>('POST', pods, {
      metadata: { name: 'web', labels: { 'holdfast.dev/stands-in-for': 'names' } },
      spec: { nodeName: 'edge1', containers: [{ name: 'main', image: 'main:1' }] },
    });
    const status = (ip: string, ready: boolean): { metadata: object; status: object } => ({
      metadata: { uid: pod.metadata.uid },
      status: { podIP: ip, podIPs: [{ ip }], conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
    });
    await createSlice('names-1', 'names', [
      { addresses: ['10.244.0.2'], nodeName: 'cp1', conditions: { ready: true } },
    ]);
    await node.client.request('GET', `/api/v1/pods?fieldSelector=spec.nodeName%3Dedge1&resourceVersion=0`, {
      headers: { accept: protobufWire.contentType },
    });
    const watch = await listAndWatch(slices);
    for (const [ready, shown] of [
      [true, '10.244.1.2'],
      [false, '10.244.0.2'],
      [true, '10.244.1.2'],
    ] as const) {
      const seen = watch.events.length;
      await plane.request('PATCH', `${pods}/web/status`, status('10.244.1.2', ready), merge);
      await watch.until((event) => event.type === 'MODIFIED' && addressesOf(event).join() === shown, seen);
    }

    // As after a reboot: the pod is not ready at first, and has another address then.
    await cut();
    await node.stop();
    await node.start();
    await untilCloud(false);
    const addresses = async (): Promise<string> => {
      const { items } = await node.client.get<List<Slice>>(`${slices}?resourceVersion=0`);
      return items.flatMap(({ endpoints }) => (endpoints ?? []).flatMap((endpoint) => endpoint.addresses)).join();
    };
    expect(await addresses()).toBe('10.244.1.2');
    const again = await listAndWatch(slices);
    await patchStatus(status('10.244.1.2', false));
    await again.until((event) => event.type === 'MODIFIED' && addressesOf(event).join() === '10.244.0.2');
    // A kubelet's patch is a difference against what it was shown, where addresses are told apart by themselves.
    const podIPs = [{ ip: '10.244.1.9' }, { $patch: 'delete', ip: '10.244.1.2' }];
    const { metadata, status: now } = status('10.244.1.9', true);
    await patchStatus({ metadata, status: { ...now, podIPs } });
    await again.until((event) => event.type === 'MODIFIED' && addressesOf(event).join() === '10.244.1.9');
    expect(await addresses()).toBe('10.244.1.9');
    // Elsewhere nothing has changed.
    const cloud = await plane.request<Slice>('GET', `${slices}/names-1`);
    expect(cloud.endpoints).toMatchObject([{ addresses: ['10.244.0.2'] }]);
    await heal();
    await plane.request('DELETE', `${slices}/names-1`);
    await plane.request('DELETE', `${pods}/web?gracePeriodSeconds=0`);
  });

  test('a load balancer leaves and enters with its annotation, and node ports close when the node joins another pool', async () => {
    await definePools();
    await createService('edge-lb', 'LoadBalancer', { 'nodeport.openyurt.io/listen': 'depot' });
    const watch = await listAndWatch(services);
    const discard = async (value: string): Promise<string> => {
      const patch = { metadata: { annotations: { 'svc.openyurt.io/discard': value } } };
      const patched = await plane.request<Slice>('PATCH', `${services}/edge-lb`, patch, merge);
      return patched.metadata.resourceVersion;
    };
    const left = await discard('true');
    const gone = await watch.until(ofType('DELETED'));
    expect(gone.object.metadata).toMatchObject({ name: 'edge-lb', resourceVersion: left });
    expect((await node.client.request('GET', `${services}/edge-lb`)).status).toBe(404);
    const listed = await node.client.get<List<{ metadata: { name: string } }>>(services);
    expect(listed.items.map(({ metadata }) => metadata.name)).not.toContain('edge-lb');
    await discard('false');
    const entered = await watch.until(ofType('ADDED'));
    expect(entered.object).toMatchObject({ spec: { type: 'LoadBalancer' } });

    await plane.request('POST', nodePools, pool('shop', ['edge1']));
    const closed = await watch.until(ofType('MODIFIED'));
    expect(closed.object).toMatchObject({ spec: { type: 'ClusterIP' } });
    expect(JSON.stringify(closed.object)).not.toContain('nodePort"');
    await plane.request('DELETE', `${services}/edge-lb`);
    await plane.request('DELETE', `${nodePools}/shop`);
  });

  async function createService(name: string, type: string, annotations: Record<string, string>): Promise<void> {
    const spec = { type, ports: [{ name: 'https', port: 443 }], selector: { app: name } };
    await plane.request('POST', services, { metadata: { name, annotations }, spec });
  }

  const pool = (name: string, nodes: string[]): object => ({
    apiVersion: 'apps.openyurt.io/v1beta2',
    kind: 'NodePool',
    metadata: { name },
    status: { nodes },
  });

  /** NodePools as their API looks; done once. */
  async function definePools(): Promise<void> {
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    const names = { plural: 'nodepools', singular: 'nodepool', kind: 'NodePool', listKind: 'NodePoolList' };
    const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
    const version = { name: 'v1beta2', served: true, storage: true, schema };
    const existing = await plane.api.rawRequest('GET', `${path}/nodepools.apps.openyurt.io`);
    if (existing.status === 200) return;
    await plane.request('POST', path, {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'nodepools.apps.openyurt.io' },
      spec: { group: 'apps.openyurt.io', scope: 'Cluster', names, versions: [version] },
    });
    while ((await plane.api.rawRequest('GET', nodePools)).status !== 200)
      await new Promise((resolve) => setTimeout(resolve, 50));
  }

  async function patchStatus(patch: object): Promise<void> {
    const answer = await node.client.request('PATCH', `${pods}/web/status`, {
      body: JSON.stringify(patch),
      headers: { 'content-type': 'application/strategic-merge-patch+json' },
    });
    expect([answer.status, answer.status === 200 ? '' : answer.body.toString()]).toEqual([200, '']);
  }
});

const ofType =
  (type: string) =>
  (event: WatchEvent): boolean =>
    event.type === type;

const atVersion =
  (resourceVersion: string) =>
  (event: WatchEvent): boolean =>
    event.type === 'MODIFIED' && event.object.metadata.resourceVersion === resourceVersion;

function addressesOf(event: WatchEvent): string[] {
  return ((event.object['endpoints'] ?? []) as { addresses: string[] }[]).flatMap(({ addresses }) => addresses);
}

function nodesOf(event: WatchEvent): string[] {
  return ((event.object['endpoints'] ?? []) as { nodeName: string }[]).map(({ nodeName }) => nodeName);
}

function outsideAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, family }) => !internal && family === 'IPv4')
    .map(({ address }) => address);
}
