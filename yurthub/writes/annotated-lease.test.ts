import type { KubeObject } from '../../kube/wire.ts';
import { wireFor } from '../../kube/wires.ts';
import { CloudUnreachableError } from '../errors.ts';
import type { UpstreamRequest } from '../types.ts';
import type { LeaseAnnotation } from './annotated-lease.ts';
import { type Answer, json, protobuf, WritesBench } from './far-end.ts';

const target = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/edge1';
const key = 'holdfast.dev/peers';
const lease = (annotations?: Record<string, string>): KubeObject => ({
  kind: 'Lease',
  apiVersion: 'coordination.k8s.io/v1',
  metadata: {
    name: 'edge1',
    namespace: 'kube-node-lease',
    uid: 'lease-uid',
    resourceVersion: '7',
    ...(annotations === undefined ? {} : { annotations }),
  },
  spec: { holderIdentity: 'edge1', leaseDurationSeconds: 40, renewTime: '2026-01-01T00:00:00.000000Z' },
});
const renewTimeOf = (object: KubeObject): unknown => (object['spec'] as KubeObject)['renewTime'];
const annotationsOf = (object: KubeObject): unknown => (object['metadata'] as KubeObject)['annotations'];

let bench: WritesBench;
let arrived = 0;
const annotation = (text: string | undefined): LeaseAnnotation => ({ key, text, arrived: () => (arrived += 1) });
beforeEach(async () => {
  bench = await WritesBench.start({});
  arrived = 0;
  bench.leaseAnnotation = annotation('seen');
});
afterEach(() => bench.close());

/** As the API server got them. */
const received = (): KubeObject[] =>
  bench.cloud.requests.map(({ body, headers }) => {
    const wire = wireFor(headers['content-type'] === protobuf ? 'protobuf' : 'json');
    const { typeMeta, item } = wire.scanObject(body ?? Buffer.alloc(0));
    return wire.decode(typeMeta, item.bytes);
  });

async function renew(encoding: 'json' | 'protobuf' = 'protobuf', object = lease({ other: '1' })): Promise<Answer> {
  const wire = wireFor(encoding);
  return await bench.send({
    method: 'PUT',
    target,
    body: wire.body(object),
    contentType: wire.contentType,
    accept: wire.contentType,
  });
}

const echo = ({ body, headers }: UpstreamRequest): ReturnType<typeof json> => ({
  statusCode: 200,
  headers: { 'content-type': String(headers['content-type']) },
  body: body ?? Buffer.alloc(0),
});

test.each(['json', 'protobuf'] as const)(
  'a renewal in %s carries the report, and the kubelet gets what became of it',
  async (encoding) => {
    bench.cloud.answer = echo;
    const answer = await renew(encoding);
    expect(answer.statusCode).toBe(200);
    expect(annotationsOf(answer.object)).toEqual({ other: '1', [key]: 'seen' });
    expect(renewTimeOf(answer.object)).toBe('2026-01-01T00:00:00.000000Z');
    expect(received()).toHaveLength(1);
    expect(await bench.metric('holdfast_yurthub_lease_annotations_total{outcome="sent"}')).toBe(1);
    expect(arrived).toBe(1);
  },
);

test('the report of the last renewal is replaced, and taken away when there is none', async () => {
  bench.cloud.answer = echo;
  await renew('protobuf', lease({ [key]: 'old' }));
  bench.leaseAnnotation = annotation(undefined);
  await renew('protobuf', lease({ [key]: 'old', other: '1' }));
  expect(received().map(annotationsOf)).toEqual([{ [key]: 'seen' }, { other: '1' }]);
});

test('a hub without neighbours passes the renewal on as it came', async () => {
  bench.cloud.answer = echo;
  bench.leaseAnnotation = undefined;
  const body = wireFor('protobuf').body(lease({ [key]: 'old' }));
  await bench.send({ method: 'PUT', target, body, contentType: protobuf });
  expect(bench.cloud.requests[0]?.body?.equals(body)).toBe(true);
});

test.each([400, 403, 413, 422])(
  'an annotation that is refused (%d) does not cost the renewal, nor the next ones a request',
  async (refusal) => {
    bench.cloud.answer = (request) => {
      const isAnnotated = request.body?.includes('seen') === true;
      return isAnnotated ? json(refusal, { kind: 'Status', apiVersion: 'v1', code: refusal }) : echo(request);
    };
    expect((await renew()).statusCode).toBe(200);
    expect(arrived).toBe(0);
    expect((await renew()).statusCode).toBe(200);
    expect(received().map(annotationsOf)).toEqual([{ other: '1', [key]: 'seen' }, { other: '1' }, { other: '1' }]);
    bench.clock.advance(601_000);
    await renew();
    expect(received()).toHaveLength(5);
  },
);

test.each([401, 404, 409, 429, 500])(
  'what is refused for another reason (%d) is the answer, after one request',
  async (refusal) => {
    bench.cloud.answer = () => json(refusal, { kind: 'Status', apiVersion: 'v1', code: refusal });
    expect((await renew()).statusCode).toBe(refusal);
    expect(bench.cloud.requests).toHaveLength(1);
    expect(arrived).toBe(0);
  },
);

test('a body that cannot be read goes on as it came', async () => {
  bench.cloud.answer = () => json(400, { kind: 'Status', apiVersion: 'v1', code: 400 });
  const body = Buffer.from('k8s\0 no lease');
  expect((await bench.send({ method: 'PUT', target, body, contentType: protobuf })).statusCode).toBe(400);
  expect(bench.cloud.requests[0]?.body).toEqual(body);
  expect(await bench.metric('holdfast_yurthub_lease_annotations_total{outcome="unreadable"}')).toBe(1);
});

test('a renewal that is answered here without the cloud gains nothing', async () => {
  bench.cloud.answer = () => {
    throw new CloudUnreachableError('cut', { sent: true });
  };
  const answer = await renew('protobuf', lease());
  expect(answer.statusCode).toBe(200);
  expect(annotationsOf(answer.object) ?? {}).toEqual({});
  expect(arrived).toBe(0);
});
