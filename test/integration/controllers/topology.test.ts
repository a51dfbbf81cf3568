// From a node's label to what its kubelet and its neighbours' kube-proxy are shown: the real controllers, a real API server, a hub.
import { Controllers } from '../../../controllers/controllers.ts';
import { controllerFactories } from '../../../controllers/registry.ts';
import { protobufWire } from '../../../kube/protobuf/protobuf-wire.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { nullLog } from '../../../runtime/log.ts';
import { Metrics } from '../../../runtime/metrics.ts';
import { applyConfig } from '../../cluster/apply-config.ts';
import { waitFor } from '../../cluster/commands.ts';
import { ControlPlane } from '../../cluster/control-plane.ts';
import { describeWithApiserver } from '../../cluster/integration.ts';
import { AwakeTime } from '../awake-time.ts';
import { HubUnderTest } from '../hub-under-test.ts';
import { ServiceAccountAccess } from './cluster.ts';

const label = 'apps.openyurt.io/nodepool';
const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
/** Three times the figure of the design, from the label to the watch of kube-proxy: the machine of this test is shared. */
const longestMs = 15_000;
/** Where the API server is not: the connection is refused. */
const nobody = 'https://127.0.0.1:1';

interface Slice {
  readonly endpoints?: readonly { readonly nodeName: string }[] | null;
}
interface Pod {
  readonly spec: { readonly hostNetwork?: boolean };
}
interface PodList {
  readonly metadata: { readonly resourceVersion: string };
  readonly items: readonly Pod[];
}
interface SliceList {
  readonly metadata: { readonly resourceVersion: string };
  readonly items: readonly Slice[];
}

const nodesOf = (slice: Slice | undefined): string => (slice?.endpoints ?? []).map(({ nodeName }) => nodeName).join();

describeWithApiserver('what the nodes of a pool are shown', () => {
  let plane: ControlPlane;
  let node: HubUnderTest;
  let ended: Promise<void>;
  const stop = new AbortController();

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
    await applyConfig(plane, 'crds', 'rbac', 'controllers');
    const access = await ServiceAccountAccess.of(plane);
    const parts = { access, log: nullLog, clock: systemClock, metrics: new Metrics(), random: Math.random };
    const opsListen = { host: '127.0.0.1', port: 0 };
    const options = {
      version: 'test',
      identity: 'test',
      leaseNamespace: 'kube-system',
      requestsPerSecond: 200,
      opsListen,
    };
    const controllers = new Controllers(parts, options, controllerFactories);
    ended = controllers.run(stop.signal);
    for (const name of ['edge1', 'edge2', 'edge3'])
      await plane.request('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } });
    const metadata = { name: 'shop' };
    const kind = { apiVersion: 'apps.openyurt.io/v1beta2', kind: 'NodePool' };
    await plane.request('POST', '/apis/apps.openyurt.io/v1beta2/nodepools', { ...kind, metadata, spec: {} });
    const operator = plane.clientCertificate('operator', ['system:masters']);
    // The kubelet's and the hub's identity are not what is looked at here; this one may read everything.
    node = await HubUnderTest.start({
      apiServer: plane.url,
      ca: plane.ca,
      node: { cert: operator.certificate, key: operator.key },
      settings: { listen: ['127.0.0.1:0'] },
    });
    await waitFor('the controllers have settled', () => controllers.settled, { deadlineMs: 120_000 });
  });
  afterAll(async () => {
    stop.abort();
    await ended;
    await node?.remove();
    await plane?.stop();
  });

  it.each([
    ['openyurt', { 'openyurt.io/topologyKeys': 'openyurt.io/nodepool' }],
    ['superedge', { topologyKeys: '["site"]' }],
  ])(
    'with the annotation of %s, a node that comes into the pool or leaves it is soon in its traffic, or out of it',
    async (name, annotations) => {
      await move('edge1', 'shop');
      await move('edge2', null);
      const spec = { ports: [{ name: 'http', port: 80 }], selector: { app: name } };
      await plane.request('POST', '/api/v1/namespaces/default/services', { metadata: { name, annotations }, spec });
      const endpoints = ['edge1', 'edge2', 'edge3'].map((nodeName) => ({
        addresses: ['10.1.1.1'],
        nodeName,
        conditions: { ready: true },
      }));
      await plane.request('POST', slices, {
        metadata: { name: `${name}-1`, labels: { 'kubernetes.io/service-name': name } },
        addressType: 'IPv4',
        endpoints,
        ports: [{ name: 'http', protocol: 'TCP', port: 80 }],
      });
      // As the kubelet does, before any pod starts.
      const kubelets = '/api/v1/services?fieldSelector=spec.clusterIP%21%3DNone&resourceVersion=0';
      await node.client.request('GET', kubelets, { headers: { accept: protobufWire.contentType } });
      const selector = `labelSelector=kubernetes.io%2Fservice-name%3D${name}`;
      const list = await waitFor(
        'edge1 alone is in the traffic',
        async () => {
          const now = await node.client.get<SliceList>(`${slices}?${selector}&resourceVersion=0`);
          return nodesOf(now.items[0]) === 'edge1' ? now : undefined;
        },
        { deadlineMs: 120_000 },
      );
      const watch = await node.client.watch(
        `${slices}?${selector}&watch=true&resourceVersion=${list.metadata.resourceVersion}`,
      );
      const shown = (nodes: string): Promise<unknown> =>
        watch.until(({ object }) => nodesOf(object as unknown as Slice) === nodes);
      // Back and forth, so that each change is one that the watch shows.
      const times: number[] = [];
      for (const [pool, nodes] of [
        ['shop', 'edge1,edge2'],
        [null, 'edge1'],
        ['shop', 'edge1,edge2'],
      ] as const) {
        const time = new AwakeTime();
        await move('edge2', pool);
        await shown(nodes);
        times.push(time.stop());
      }
      expect(Math.max(...times)).toBeLessThan(longestMs);
      // Without the cloud, and after a restart, traffic stays in the pool as it was last known.
      await node.stop();
      await node.start({ apiServer: nobody });
      const offline = await node.client.get<SliceList>(`${slices}?${selector}&resourceVersion=0`);
      expect(nodesOf(offline.items[0])).toBe('edge1,edge2');
      await node.stop();
      await node.start({ apiServer: plane.url });
    },
  );

  it('in a pool without a pod network the kubelet is shown its pods on the network of the host, also offline', async () => {
    const metadata = { name: 'bare' };
    const kind = { apiVersion: 'apps.openyurt.io/v1beta2', kind: 'NodePool' };
    const spec = { type: 'Edge', hostNetwork: true };
    await plane.request('POST', '/apis/apps.openyurt.io/v1beta2/nodepools', { ...kind, metadata, spec });
    await plane.request('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } });
    const containers = [{ name: 'till', image: 'till:1' }];
    await plane.request('POST', '/api/v1/namespaces/default/pods', {
      metadata: { name: 'till' },
      spec: { nodeName: 'edge1', containers },
    });
    // As a kubelet: its Node, and then its pods.
    const kubelets = async (): Promise<void> => {
      const itself = '/api/v1/nodes?fieldSelector=metadata.name%3Dedge1&resourceVersion=0';
      await node.client.request('GET', itself, { headers: { accept: protobufWire.contentType } });
    };
    const pods = '/api/v1/pods?fieldSelector=spec.nodeName%3Dedge1';
    const isOnHost = ({ spec: shown }: Pod): boolean => shown.hostNetwork === true;
    await kubelets();
    await move('edge1', 'shop');
    const list = await node.client.get<PodList>(`${pods}&resourceVersion=0`);
    expect(list.items.map(isOnHost)).toEqual([false]);
    const { resourceVersion } = list.metadata;
    const watch = await node.client.watch(`${pods}&watch=true&resourceVersion=${resourceVersion}`);
    await move('edge1', 'bare');
    await watch.until(({ object }) => isOnHost(object as unknown as Pod));
    // What others read is as the cloud has it.
    const all = await node.client.get<PodList>('/api/v1/namespaces/default/pods?resourceVersion=0');
    expect(all.items.map(isOnHost)).toEqual([false]);

    await node.stop();
    await node.start({ apiServer: nobody });
    const offline = await node.client.get<PodList>(`${pods}&resourceVersion=0`);
    expect(offline.items.map(isOnHost)).toEqual([true]);
    await node.stop();
    await node.start({ apiServer: plane.url });

    await kubelets();
    const again = await node.client.get<PodList>(`${pods}&resourceVersion=0`);
    const rest = await node.client.watch(`${pods}&watch=true&resourceVersion=${again.metadata.resourceVersion}`);
    await move('edge1', 'shop');
    await rest.until(({ object }) => !isOnHost(object as unknown as Pod));
  });

  async function move(name: string, pool: string | null): Promise<void> {
    await plane.request('PATCH', `/api/v1/nodes/${name}`, { metadata: { labels: { [label]: pool } } });
  }
});
