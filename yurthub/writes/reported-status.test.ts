import type { KubeObject } from '../../kube/wire.ts';
import { WritesBench } from './far-end.ts';
import type { UpstreamRequest } from '../types.ts';

const target = '/api/v1/nodes/edge1/status';
const kubelets = { metadata: { annotations: { other: '1' } }, status: { phase: 'x' } };
const withReport = { metadata: { annotations: { other: '1', 'holdfast.dev/hub': 'well' } }, status: { phase: 'x' } };

let bench: WritesBench;
beforeEach(async () => {
  bench = await WritesBench.start({});
  bench.report = 'well';
  bench.cloud.answer = answer(200);
});
afterEach(() => bench.close());

const answer =
  (statusCode: number, refused: (body: unknown) => boolean = () => true) =>
  ({ body }: UpstreamRequest) => ({
    statusCode: refused(JSON.parse(String(body))) ? statusCode : 200,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from('{"apiVersion":"v1","kind":"Node","metadata":{"name":"edge1"}}'),
  });
const patch = (body: KubeObject | Buffer = kubelets): Promise<{ statusCode: number }> =>
  bench.send({ method: 'PATCH', target, body });
const received = (): unknown[] => bench.cloud.requests.map(({ body }) => JSON.parse(String(body)) as unknown);

test('the kubelet’s patch of its Node carries the report, and the next one only if that has changed', async () => {
  await patch();
  await patch();
  bench.report = 'better';
  await patch({ status: {} });
  const changed = { status: {}, metadata: { annotations: { 'holdfast.dev/hub': 'better' } } };
  expect(received()).toEqual([withReport, kubelets, changed]);
});

test('what the API server refuses goes as the kubelet wrote it, and then without a report for an hour', async () => {
  bench.cloud.answer = answer(422, (body) => JSON.stringify(body).includes('holdfast'));
  expect((await patch()).statusCode).toBe(200);
  await patch();
  expect(received()).toEqual([withReport, kubelets, kubelets]);
  bench.clock.advance(3_600_000);
  bench.cloud.answer = answer(200);
  await patch();
  expect(received().at(-1)).toEqual(withReport);
});

test('a conflict or a server in trouble says nothing of the report, which is sent with the next patch', async () => {
  for (const statusCode of [409, 429, 500]) {
    bench.cloud.answer = answer(statusCode);
    expect((await patch()).statusCode).toBe(statusCode);
  }
  expect(received()).toEqual([withReport, withReport, withReport]);
});

test('nothing to say, another object, and a body that is no patch: all go as they came', async () => {
  await bench.send({ method: 'PATCH', target: '/api/v1/namespaces/shop/pods/p/status', body: kubelets });
  await patch(Buffer.from('[]'));
  bench.report = undefined;
  await patch();
  expect(received()).toEqual([kubelets, [], kubelets]);
});
