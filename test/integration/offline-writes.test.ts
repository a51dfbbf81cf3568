// What the hub answers without the cloud, compared with what a real kube-apiserver answers to the same writes; and what it
// sends on return, taken by a real kube-apiserver from a node's own certificate.
import type { KubeObject } from '../../kube/wire.ts';
import { protobufWire } from '../../kube/protobuf/protobuf-wire.ts';
import { FakeCloud, strategic, until, WritesBench } from '../../yurthub/writes/far-end.ts';
import { ApiClient } from '../cluster/api-client.ts';
import { ControlPlane } from '../cluster/control-plane.ts';
import { describeWithApiserver } from '../cluster/integration.ts';

const podPath = '/api/v1/namespaces/default/pods';
const eventPath = '/api/v1/namespaces/default/events';

describeWithApiserver('the offline write path beside a real API server', () => {
  let plane: ControlPlane;
  let kubelet: ApiClient;
  let bench: WritesBench;

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
    kubelet = new ApiClient({ url: plane.url, ca: plane.ca }, plane.nodeCertificate('edge1'));
    await plane.request('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } });
    const node = { metadata: { name: 'edge1', labels: { zone: 'a' } } };
    await plane.request('POST', '/api/v1/nodes', node);
  });
  afterAll(async () => {
    kubelet?.close();
    await plane?.stop();
  });

  beforeEach(async () => {
    bench = await WritesBench.start();
    reachThrough(bench.cloud);
    bench.cloud.reachable = false;
  });
  afterEach(async () => {
    await bench.close();
  });

  /** The cloud of the bench is the API server, reached with the node's certificate. */
  function reachThrough(cloud: FakeCloud): void {
    cloud.answer = async ({ method, target, headers, body }) => {
      const contentType = headers['content-type'];
      const options = typeof contentType === 'string' ? { contentType } : {};
      const answer = await kubelet.rawRequest(method, target, body, options);
      return { statusCode: answer.status, headers: { 'content-type': 'application/json' }, body: answer.body };
    };
  }

  /** The view has the object as the API server has it now. */
  async function view(resource: string, path: string): Promise<KubeObject> {
    const answer = await plane.api.rawRequest('GET', path, undefined, { accept: protobufWire.contentType });
    const { typeMeta, item } = protobufWire.scanObject(answer.body);
    bench.views.objects.set(`${resource}/${item.namespace}/${item.name}`, { wire: protobufWire, typeMeta, item });
    return protobufWire.decode(typeMeta, item.bytes);
  }

  async function createPod(name: string): Promise<KubeObject> {
    const spec = { nodeName: 'edge1', restartPolicy: 'Never', containers: [{ name: 'main', image: 'main:1' }] };
    await plane.request('POST', podPath, { metadata: { name }, spec });
    return await view('pods', `${podPath}/${name}`);
  }

  const written = (object: KubeObject): unknown => {
    const { labels, annotations } = object['metadata'] as KubeObject;
    return { labels, annotations, status: object['status'], spec: object['spec'] };
  };

  const nodePatches: KubeObject[] = [
    {
      metadata: { annotations: { seen: 'yes' }, labels: { zone: 'b' } },
      status: {
        capacity: { cpu: '2', memory: '1Gi' },
        allocatable: { cpu: '2' },
        conditions: [
          { type: 'Ready', status: 'True', lastHeartbeatTime: '2026-01-01T00:00:00Z', reason: 'KubeletReady' },
          { type: 'MemoryPressure', status: 'False' },
        ],
        addresses: [
          { type: 'InternalIP', address: '10.0.0.1' },
          { type: 'Hostname', address: 'edge1' },
        ],
        images: [{ names: ['a:1', 'a:2'], sizeBytes: 5 }],
        volumesInUse: ['csi/v1'],
      },
    },
    {
      status: {
        '$setElementOrder/conditions': [{ type: 'DiskPressure' }, { type: 'MemoryPressure' }, { type: 'Ready' }],
        conditions: [
          { type: 'DiskPressure', status: 'False' },
          { type: 'Ready', status: 'False', reason: null, lastHeartbeatTime: '2026-01-01T00:00:10Z' },
        ],
        addresses: [
          { type: 'Hostname', address: 'edge1' },
          { type: 'InternalIP', address: '10.0.0.2' },
          { $patch: 'replace' },
        ],
        capacity: { memory: null, pods: '110' },
        volumesInUse: null,
      },
    },
  ];

  test('patches of a node status give what the API server makes of them', async () => {
    await view('nodes', '/api/v1/nodes/edge1');
    for (const body of nodePatches) {
      const target = '/api/v1/nodes/edge1/status';
      const offline = await bench.send({ method: 'PATCH', target, body });
      const online = await kubelet.request<KubeObject>('PATCH', target, body, { contentType: strategic });
      expect(offline.statusCode).toBe(200);
      expect(written(offline.object)).toEqual(written(online));
    }
  });

  test('a pod that finished offline is reported with the node certificate and comes out as it was written', async () => {
    const pod = await createPod('finished');
    const { uid } = pod['metadata'] as { uid: string };
    const target = `${podPath}/finished/status`;
    const startTime = '2026-01-01T00:00:00Z';
    const running = {
      metadata: { uid },
      status: {
        phase: 'Running',
        startTime,
        podIPs: [{ ip: '10.1.0.1' }, { ip: 'fd00::1' }],
        podIP: '10.1.0.1',
        conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: startTime }],
        containerStatuses: [
          {
            name: 'main',
            image: 'main:1',
            imageID: 'x',
            ready: true,
            restartCount: 0,
            state: { running: { startedAt: startTime } },
          },
        ],
      },
    };
    await kubelet.request('PATCH', target, running, { contentType: strategic });
    await view('pods', `${podPath}/finished`);
    const terminated = { exitCode: 0, reason: 'Completed', startedAt: startTime, finishedAt: '2026-01-01T00:09:00Z' };
    const done = {
      metadata: { uid },
      status: {
        phase: 'Succeeded',
        podIPs: [{ ip: 'fd00::1', $patch: 'delete' }],
        conditions: [{ type: 'Ready', status: 'False', reason: 'PodCompleted', lastTransitionTime: startTime }],
        containerStatuses: [
          { name: 'main', image: 'main:1', imageID: 'x', ready: false, restartCount: 0, state: { terminated } },
        ],
      },
    };
    const offline = await bench.send({ method: 'PATCH', target, body: done });
    expect(offline.statusCode).toBe(200);

    // Meanwhile the node controller took the node for dead.
    const notReady = {
      status: { reason: 'NodeLost', message: 'gone', conditions: [{ type: 'Ready', status: 'False' }] },
    };
    await plane.request('PATCH', target, notReady, { contentType: strategic });
    bench.cloud.reachable = true;
    await bench.writes.beginReturn(new AbortController().signal);
    expect(await bench.metric('holdfast_yurthub_finished_pods_total{outcome="reported"}')).toBe(1);
    const now = await view('pods', `${podPath}/finished`);
    expect(now['status']).toEqual(offline.object['status']);
    // The view has that version, so the overlay has ended with it.
    expect(bench.writes.overlay.lookup('', 'pods', (await stored('finished')).item, 'protobuf')).toBeUndefined();
  });

  async function stored(name: string) {
    const found = await bench.views.stored({ resource: 'pods', namespace: 'default', name });
    if (found === undefined) throw new TypeError(`no pod ${name}`);
    return found;
  }

  test('a finished pod that was deleted and created anew is left alone', async () => {
    const pod = await createPod('anew');
    const { uid } = pod['metadata'] as { uid: string };
    const body = { metadata: { uid }, status: { phase: 'Succeeded' } };
    await bench.send({ method: 'PATCH', target: `${podPath}/anew/status`, body });
    await plane.request('DELETE', `${podPath}/anew?gracePeriodSeconds=0`);
    await createPod('anew');
    bench.cloud.reachable = true;
    await bench.writes.beginReturn(new AbortController().signal);
    const now = await plane.request<KubeObject>('GET', `${podPath}/anew`);
    expect(now['status']).toMatchObject({ phase: 'Pending' });
    expect(await bench.metric('holdfast_yurthub_finished_pods_total{outcome="gone"}')).toBe(1);
  });

  test('events from the outage arrive with their own times, patches with them', async () => {
    const event = (name: string) => ({
      kind: 'Event',
      apiVersion: 'v1',
      metadata: { name, namespace: 'default' },
      involvedObject: { kind: 'Pod', namespace: 'default', name: 'p' },
      reason: 'BackOff',
      count: 1,
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:00:00Z',
      source: { component: 'kubelet', host: 'edge1' },
    });
    await plane.request('POST', eventPath, event('known'));
    const encoded = protobufWire.body(event('b'));
    await bench.send({ method: 'POST', target: eventPath, body: event('a') });
    await bench.send({ method: 'POST', target: eventPath, body: encoded, contentType: protobufWire.contentType });
    const later = { count: 4, lastTimestamp: '2026-01-01T00:04:00Z' };
    for (const name of ['b', 'known'])
      expect((await bench.send({ method: 'PATCH', target: `${eventPath}/${name}`, body: later })).statusCode).toBe(200);
    // It arrived, but the answer was lost.
    await plane.request('POST', eventPath, event('a'));

    const stop = new AbortController();
    bench.cloud.reachable = true;
    const running = bench.writes.run(stop.signal);
    await until(
      async () => (await bench.metric('holdfast_yurthub_event_spool_events')) === 0,
      () => bench.clock.advance(50),
    );
    stop.abort();
    await running;
    expect(await bench.metric('holdfast_yurthub_events_delivered_total')).toBe(3);
    const get = (name: string) => plane.request<KubeObject>('GET', `${eventPath}/${name}`);
    expect(await get('a')).toMatchObject({ count: 1, lastTimestamp: '2026-01-01T00:00:00Z' });
    expect(await get('b')).toMatchObject({ ...later, firstTimestamp: '2026-01-01T00:00:00Z' });
    expect(await get('known')).toMatchObject(later);
  });
});
