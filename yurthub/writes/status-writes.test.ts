import type { KubeObject } from '../../kube/wire.ts';
import { CloudUnreachableError, StoreWriteError } from '../errors.ts';
import { json, strategic, until, WritesBench } from './far-end.ts';

const nodeKind = { apiVersion: 'v1', kind: 'Node' };
const podKind = { apiVersion: 'v1', kind: 'Pod' };
const nodeStatus = '/api/v1/nodes/edge1/status';
const podTarget = '/api/v1/namespaces/shop/pods/till-1';

const node = {
  metadata: { name: 'edge1', uid: 'node-uid', resourceVersion: '100', labels: { zone: 'a' } },
  spec: { podCIDR: '10.1.0.0/24' },
  status: {
    conditions: [
      { type: 'MemoryPressure', status: 'False' },
      { type: 'Ready', status: 'True', reason: 'KubeletReady' },
    ],
    addresses: [{ type: 'Hostname', address: 'edge1' }],
  },
};
const pod = (phase = 'Running', resourceVersion = '200', extra: KubeObject = {}): KubeObject => ({
  metadata: { name: 'till-1', namespace: 'shop', uid: 'pod-uid', resourceVersion, ...extra },
  spec: { nodeName: 'edge1', containers: [{ name: 'till', image: 'till:1' }] },
  status: { phase, conditions: [{ type: 'Ready', status: phase === 'Running' ? 'True' : 'False' }] },
});
const finished = {
  metadata: { uid: 'pod-uid' },
  status: { phase: 'Succeeded', conditions: [{ type: 'Ready', status: 'False', reason: 'PodCompleted' }] },
};

let bench: WritesBench;
const { signal } = new AbortController();

beforeEach(async () => {
  bench = await WritesBench.start();
  bench.views.set('nodes', nodeKind, node);
  bench.views.set('pods', podKind, pod());
  bench.cloud.reachable = false;
});
afterEach(async () => {
  await bench.close();
});

async function finishPod(): Promise<void> {
  const { statusCode } = await bench.send({ method: 'PATCH', target: `${podTarget}/status`, body: finished });
  expect(statusCode).toBe(200);
}

test('a node status patch is applied to what is stored, seen by local readers, and answered in the encoding asked for', async () => {
  const patch = {
    metadata: { labels: { zone: 'b' } },
    spec: { podCIDR: '10.9.0.0/24' },
    status: {
      '$setElementOrder/conditions': [{ type: 'MemoryPressure' }, { type: 'Ready' }],
      conditions: [{ type: 'Ready', status: 'False', reason: 'KubeletNotReady' }],
    },
  };
  const accept = 'application/vnd.kubernetes.protobuf,application/json';
  const answer = await bench.send({ method: 'PATCH', target: nodeStatus, body: patch, accept });
  expect(answer.statusCode).toBe(200);
  expect(answer.headers['content-type']).toBe('application/vnd.kubernetes.protobuf');
  expect(answer.object).toMatchObject({
    metadata: { resourceVersion: '100', labels: { zone: 'b' } },
    spec: { podCIDR: '10.1.0.0/24' },
    status: {
      conditions: [
        { type: 'MemoryPressure', status: 'False' },
        { type: 'Ready', status: 'False', reason: 'KubeletNotReady' },
      ],
      addresses: [{ type: 'Hostname', address: 'edge1' }],
    },
  });
  expect(bench.shown('nodes', 'edge1')).toEqual(answer.object);
  expect(bench.views.changes).toEqual(['nodes/edge1']);
});

test('a second patch builds on the first, also after a restart of the hub', async () => {
  const condition = (type: string, status: string) => ({ status: { conditions: [{ type, status }] } });
  await bench.send({ method: 'PATCH', target: nodeStatus, body: condition('DiskPressure', 'True') });
  await bench.restart();
  await bench.send({ method: 'PATCH', target: nodeStatus, body: condition('Ready', 'False') });
  const { conditions } = bench.shown('nodes', 'edge1')['status'] as { conditions: KubeObject[] };
  expect(new Map(conditions.map(({ type, status }) => [type, status]))).toEqual(
    new Map([
      ['MemoryPressure', 'False'],
      ['Ready', 'False'],
      ['DiskPressure', 'True'],
    ]),
  );
});

test('a merge patch and an update of the status do the same', async () => {
  const target = `${podTarget}/status`;
  const merge = { status: { phase: 'Failed', conditions: [] } };
  await bench.send({ method: 'PATCH', target, body: merge, contentType: 'application/merge-patch+json' });
  expect(bench.shown('pods', 'till-1')).toMatchObject({ status: { phase: 'Failed' } });
  const whole = { ...podKind, ...pod('Running'), spec: { nodeName: 'other', containers: [] } };
  expect((await bench.send({ method: 'PUT', target, body: whole })).statusCode).toBe(200);
  expect(bench.shown('pods', 'till-1')).toMatchObject({ spec: { nodeName: 'edge1' }, status: { phase: 'Running' } });
  const old = { ...podKind, ...pod('Failed', '150') };
  expect((await bench.send({ method: 'PUT', target, body: old })).statusCode).toBe(409);
});

test('a patch for another pod of the same name is a conflict and changes nothing', async () => {
  const body = { metadata: { uid: 'older-uid' }, status: { phase: 'Failed' } };
  const answer = await bench.send({ method: 'PATCH', target: `${podTarget}/status`, body });
  expect(answer.statusCode).toBe(409);
  expect(answer.object).toMatchObject({ kind: 'Status', reason: 'Conflict' });
  expect(bench.shown('pods', 'till-1')).toMatchObject({ status: { phase: 'Running' } });
});

test('the status of an object that is not known is refused with 503, never 404', async () => {
  const answer = await bench.send({ method: 'PATCH', target: '/api/v1/namespaces/shop/pods/other/status', body: {} });
  expect(answer.statusCode).toBe(503);
  expect(answer.headers['retry-after']).toBe('5');
  expect(await bench.metric('holdfast_yurthub_offline_writes_total{kind="status",outcome="refused"}')).toBe(1);
});

test('a patch that cannot be read, or that only the API server applies, is refused', async () => {
  const send = async (body: string, contentType: string) =>
    (await bench.send({ method: 'PATCH', target: nodeStatus, body: Buffer.from(body), contentType })).statusCode;
  expect(await send('{"status":', strategic)).toBe(400);
  expect(await send('[]', strategic)).toBe(400);
  expect(await send('{"status":{"conditions":[{"status":"True"}]}}', strategic)).toBe(400);
  expect(await send('{"status":{"conditions":"none"}}', strategic)).toBe(400);
  expect(await send('[]', 'application/json-patch+json')).toBe(503);
});

test('what the disk does not take is refused and not shown', async () => {
  jest.spyOn(bench.store, 'write').mockRejectedValueOnce(new StoreWriteError('full', undefined));
  const answer = await bench.send({ method: 'PATCH', target: nodeStatus, body: { status: { phase: 'x' } } });
  expect(answer.statusCode).toBe(503);
  expect(bench.shown('nodes', 'edge1')).toMatchObject({ status: { conditions: node.status.conditions } });
  expect(bench.shown('nodes', 'edge1')).not.toMatchObject({ status: { phase: 'x' } });
});

test('the write is on disk before it is answered', async () => {
  const write = jest.spyOn(bench.store, 'write');
  await finishPod();
  expect(write.mock.calls.map(([, durability]) => durability)).toEqual(['synced']);
});

test('what the cloud changes under an overlay is seen at once', async () => {
  await bench.send({ method: 'PATCH', target: `${podTarget}/status`, body: { status: { message: 'local' } } });
  bench.views.set('pods', podKind, pod('Running', '201', { deletionTimestamp: '2026-01-01T00:00:00Z' }));
  expect(bench.shown('pods', 'till-1')).toMatchObject({
    metadata: { resourceVersion: '201', deletionTimestamp: '2026-01-01T00:00:00Z' },
    status: { message: 'local' },
  });
});

test('a pod recreated under the same name has no overlay', async () => {
  await finishPod();
  bench.views.set('pods', podKind, pod('Pending', '300', { uid: 'new-uid' }));
  expect(bench.shown('pods', 'till-1')).toMatchObject({ status: { phase: 'Pending' } });
});

test('on return the overlay of a node and of running pods goes first, and is gone after a restart too', async () => {
  await bench.send({ method: 'PATCH', target: nodeStatus, body: { status: { phase: 'x' } } });
  await bench.send({ method: 'PATCH', target: `${podTarget}/status`, body: { status: { message: 'm' } } });
  bench.views.changes.length = 0;
  bench.cloud.reachable = true;
  await bench.writes.beginReturn(signal);
  expect(bench.cloud.requests).toEqual([]);
  expect(bench.views.changes.toSorted()).toEqual(['nodes/edge1', 'pods/till-1']);
  expect(bench.shown('nodes', 'edge1')).not.toMatchObject({ status: { phase: 'x' } });
  expect(await bench.metric('holdfast_yurthub_overlay_objects')).toBe(0);
  await bench.restart();
  expect(bench.shown('pods', 'till-1')).not.toMatchObject({ status: { message: 'm' } });
});

test('a pod that finished offline is reported as a difference, and looks finished until a view has that version', async () => {
  await finishPod();
  const inCloud: KubeObject = { ...podKind, ...pod('Running', '250') };
  Object.assign(inCloud['status'] as KubeObject, { reason: 'NodeLost', qosClass: 'BestEffort' });
  bench.cloud.answer = ({ method }) =>
    method === 'GET' ? json(200, inCloud) : json(200, { ...podKind, ...pod('Succeeded', '260') });
  bench.cloud.reachable = true;
  await bench.writes.beginReturn(signal);

  const [get, patch] = bench.cloud.requests;
  expect(get).toMatchObject({ method: 'GET', target: podTarget, lane: 'node' });
  expect(patch).toMatchObject({
    method: 'PATCH',
    target: `${podTarget}/status`,
    headers: { 'content-type': strategic },
  });
  expect(JSON.parse(String(patch?.body))).toEqual({
    metadata: { uid: 'pod-uid' },
    status: {
      phase: 'Succeeded',
      reason: null,
      conditions: [
        { type: 'Ready', status: 'False', lastProbeTime: null, lastTransitionTime: null, reason: 'PodCompleted' },
      ],
    },
  });

  const see = (resourceVersion: string): void => {
    bench.views.set('pods', podKind, pod('Running', resourceVersion));
    bench.writes.cloudSaw('', 'pods', 'shop', 'till-1', resourceVersion);
  };
  see('255');
  expect(bench.shown('pods', 'till-1')).toMatchObject({ status: { phase: 'Succeeded' } });
  await bench.restart();
  expect(bench.shown('pods', 'till-1')).toMatchObject({ status: { phase: 'Succeeded' } });
  see('260');
  // Running at a newer version can only be told apart by the version here: the overlay has ended.
  expect(bench.shown('pods', 'till-1')).toMatchObject({ status: { phase: 'Running' } });
  expect(await bench.metric('holdfast_yurthub_overlay_objects')).toBe(0);
});

test('a pod that the cloud knows to be finished is not written again', async () => {
  await finishPod();
  bench.cloud.answer = () => json(200, { ...podKind, ...pod('Failed', '250') });
  bench.cloud.reachable = true;
  await bench.writes.beginReturn(signal);
  expect(bench.cloud.requests.map(({ method }) => method)).toEqual(['GET']);
  expect(await bench.metric('holdfast_yurthub_finished_pods_total{outcome="finished"}')).toBe(1);
  expect(bench.shown('pods', 'till-1')).toMatchObject({ status: { phase: 'Succeeded' } });
});

test.each([
  ['404', json(404, {})],
  ['403, which a node gets for a pod that is gone', json(403, {})],
  ['another pod of that name', json(200, { ...podKind, ...pod('Running', '300', { uid: 'new-uid' }) })],
])(
  'a finished pod that is gone (%s) never looks running again, and is forgotten with the view',
  async (_name, reply) => {
    await finishPod();
    bench.cloud.answer = () => reply;
    bench.cloud.reachable = true;
    await bench.writes.beginReturn(signal);
    expect(bench.shown('pods', 'till-1')).toMatchObject({ status: { phase: 'Succeeded' } });
    bench.views.objects.clear();
    await bench.writes.beginReturn(signal);
    expect(await bench.metric('holdfast_yurthub_finished_pods_total{outcome="gone"}')).toBe(1);
    expect(await bench.metric('holdfast_yurthub_overlay_objects')).toBe(0);
    expect(bench.cloud.requests.every(({ method }) => method === 'GET')).toBe(true);
  },
);

test('a cloud lost on the way back leaves the finished pod for the next return', async () => {
  await finishPod();
  bench.cloud.reachable = true;
  bench.cloud.answer = () => {
    throw new CloudUnreachableError('cut again', { sent: true });
  };
  await expect(bench.writes.beginReturn(signal)).rejects.toThrow(CloudUnreachableError);
  expect(bench.shown('pods', 'till-1')).toMatchObject({ status: { phase: 'Succeeded' } });
  bench.cloud.answer = ({ method }) =>
    json(200, { ...podKind, ...pod(method === 'GET' ? 'Running' : 'Succeeded', '260') });
  await bench.writes.beginReturn(signal);
  expect(await bench.metric('holdfast_yurthub_finished_pods_total{outcome="reported"}')).toBe(1);
});

test('an API server that answers 500 is asked again later', async () => {
  await finishPod();
  bench.cloud.answer = () => json(500, {});
  bench.cloud.reachable = true;
  await bench.writes.beginReturn(signal);
  const stop = new AbortController();
  const running = bench.writes.run(stop.signal);
  bench.cloud.answer = ({ method }) =>
    json(200, { ...podKind, ...pod(method === 'GET' ? 'Running' : 'Succeeded', '260') });
  const reported = 'holdfast_yurthub_finished_pods_total{outcome="reported"}';
  await until(
    async () => (await bench.metric(reported)) === 1,
    () => bench.clock.advance(1_000),
  );
  stop.abort();
  await running;
  expect(bench.cloud.requests.map(({ method }) => method)).toEqual(['GET', 'GET', 'PATCH']);
});

test('a write at the moment of return is refused, so that no overlay is left behind', async () => {
  bench.cloud.reachable = true;
  bench.cloud.answer = () => {
    throw new CloudUnreachableError('one connection broke', { sent: true });
  };
  const answer = await bench.send({ method: 'PATCH', target: nodeStatus, body: { status: { phase: 'x' } } });
  expect(answer.statusCode).toBe(503);
  expect(await bench.metric('holdfast_yurthub_overlay_objects')).toBe(0);
});

test('with the cloud there the write goes through and its answer comes back', async () => {
  bench.cloud.reachable = true;
  bench.cloud.answer = () => json(422, { kind: 'Status', apiVersion: 'v1', reason: 'Invalid' });
  const answer = await bench.send({ method: 'PATCH', target: nodeStatus, body: { status: {} } });
  expect(answer.statusCode).toBe(422);
  expect(bench.cloud.requests).toMatchObject([
    { method: 'PATCH', target: nodeStatus, headers: { 'content-type': strategic } },
  ]);
  expect(String(bench.cloud.requests[0]?.body)).toBe('{"status":{}}');
});

test('a patch that is in flight when the cloud goes is applied here', async () => {
  bench.cloud.reachable = true;
  bench.cloud.answer = () => {
    bench.cloud.reachable = false;
    throw new CloudUnreachableError('black hole', { sent: true });
  };
  expect((await bench.send({ method: 'PATCH', target: nodeStatus, body: { status: { phase: 'x' } } })).statusCode).toBe(
    200,
  );
  expect(bench.shown('nodes', 'edge1')).toMatchObject({ status: { phase: 'x' } });
});
