import type { KubeObject } from '../../kube/wire.ts';
import { wireFor } from '../../kube/wires.ts';
import { CloudUnreachableError } from '../errors.ts';
import type { UpstreamReply } from '../types.ts';
import { json, protobuf, strategic, until, WritesBench } from './far-end.ts';

const events = '/api/v1/namespaces/shop/events';
const event = (name: string, count = 1): KubeObject => ({
  kind: 'Event',
  apiVersion: 'v1',
  metadata: { name, namespace: 'shop' },
  involvedObject: { kind: 'Pod', name: 'till-1' },
  reason: 'BackOff',
  count,
  lastTimestamp: '2026-01-01T00:00:00Z',
});

let bench: WritesBench;
let stop: AbortController;
let running: Promise<void> | undefined;

beforeEach(async () => {
  bench = await WritesBench.start({ eventSpoolMaxCount: 5 });
  bench.cloud.reachable = false;
  stop = new AbortController();
  running = undefined;
});
afterEach(async () => {
  stop.abort();
  await running;
  await bench.close();
});

const create = (name: string) => bench.send({ method: 'POST', target: events, body: event(name) });
const patch = (name: string, body: KubeObject) => bench.send({ method: 'PATCH', target: `${events}/${name}`, body });
const sentNames = (): string[] =>
  bench.cloud.requests.map(({ body }) => (JSON.parse(String(body)) as { metadata: { name: string } }).metadata.name);

function deliver(answer: (attempt: number) => UpstreamReply): void {
  bench.cloud.answer = () => answer(bench.cloud.requests.length);
  bench.cloud.reachable = true;
  running = bench.writes.run(stop.signal);
}
async function untilEmpty(): Promise<void> {
  await until(
    async () => (await bench.metric('holdfast_yurthub_event_spool_events')) === 0,
    () => bench.clock.advance(50),
  );
}

test('events are acknowledged as sent, survive a restart, and are delivered in order with their own times', async () => {
  const answer = await create('a');
  expect(answer.statusCode).toBe(201);
  expect(answer.object).toEqual(event('a'));
  await create('b');
  await bench.restart();
  await create('c');
  deliver(() => json(201, {}));
  await untilEmpty();
  expect(sentNames()).toEqual(['a', 'b', 'c']);
  expect(bench.cloud.requests[0]).toMatchObject({ method: 'POST', target: events, lane: 'node' });
  expect(JSON.parse(String(bench.cloud.requests[0]?.body))).toEqual(event('a'));
  expect(await bench.metric('holdfast_yurthub_events_delivered_total')).toBe(3);
  expect(await bench.metric('holdfast_yurthub_event_spool_bytes')).toBe(0);
  await bench.restart();
  expect(await bench.metric('holdfast_yurthub_event_spool_events')).toBe(0);
});

test('an event in protobuf is delivered in the bytes in which it came', async () => {
  const body = wireFor('protobuf').body(event('a'));
  const answer = await bench.send({ method: 'POST', target: events, body, contentType: protobuf, accept: protobuf });
  expect(answer.body.equals(body)).toBe(true);
  deliver(() => json(201, {}));
  await untilEmpty();
  expect(bench.cloud.requests[0]?.headers['content-type']).toBe(protobuf);
  expect(bench.cloud.requests[0]?.body?.equals(body)).toBe(true);
});

test('a patch of a waiting event is merged into it, in whatever encoding that is', async () => {
  const body = wireFor('protobuf').body(event('a'));
  await bench.send({ method: 'POST', target: events, body, contentType: protobuf });
  const answer = await patch('a', { count: 5, lastTimestamp: '2026-01-01T00:05:00Z' });
  expect(answer).toMatchObject({ statusCode: 200, object: { reason: 'BackOff', count: 5 } });
  deliver(() => json(201, {}));
  await untilEmpty();
  expect(bench.cloud.requests).toHaveLength(1);
  const sent = wireFor('protobuf').scanObject(bench.cloud.requests[0]?.body ?? Buffer.alloc(0));
  expect(wireFor('protobuf').decode(sent.typeMeta, sent.item.bytes)).toMatchObject({
    count: 5,
    reason: 'BackOff',
    lastTimestamp: '2026-01-01T00:05:00Z',
  });
});

test('a patch of a waiting event does not go to a cloud that has never seen it', async () => {
  await create('a');
  bench.cloud.reachable = true;
  bench.cloud.answer = () => json(200, event('other'));
  expect((await patch('a', { count: 2 })).statusCode).toBe(200);
  expect((await patch('other', { count: 2 })).statusCode).toBe(200);
  expect(bench.cloud.requests.map(({ target }) => target)).toEqual([`${events}/other`]);
});

test('patches of an event that the cloud has are spooled as one, and answered with what is known', async () => {
  const first = await patch('known', { count: 7, message: 'm' });
  expect(first.object).toEqual({
    kind: 'Event',
    apiVersion: 'v1',
    metadata: { name: 'known', namespace: 'shop' },
    count: 7,
    message: 'm',
  });
  await patch('known', { count: 8, message: null });
  deliver(() => json(200, {}));
  await untilEmpty();
  expect(bench.cloud.requests).toMatchObject([
    { method: 'PATCH', target: `${events}/known`, headers: { 'content-type': strategic } },
  ]);
  expect(JSON.parse(String(bench.cloud.requests[0]?.body))).toEqual({ count: 8, message: null });
});

test('a full spool refuses with 503 and counts it; what was accepted stays', async () => {
  for (const name of ['a', 'b', 'c', 'd', 'e']) expect((await create(name)).statusCode).toBe(201);
  expect((await create('f')).statusCode).toBe(503);
  expect((await patch('a', { count: 2 })).statusCode).toBe(200);
  expect(await bench.metric('holdfast_yurthub_events_refused_total')).toBe(1);
  deliver(() => json(201, {}));
  await untilEmpty();
  expect(sentNames()).toEqual(['a', 'b', 'c', 'd', 'e']);
});

test('the spool is bounded in bytes as well', async () => {
  const small = await WritesBench.start({ eventSpoolMaxBytes: 500 });
  small.cloud.reachable = false;
  const send = (name: string) => small.send({ method: 'POST', target: events, body: event(name) });
  expect((await send('a')).statusCode).toBe(201);
  expect((await send('b')).statusCode).toBe(503);
  const long = { message: 'x'.repeat(700) };
  expect((await small.send({ method: 'PATCH', target: `${events}/a`, body: long })).statusCode).toBe(503);
  await small.close();
});

test('429 is waited out as the API server asks, and nothing overtakes', async () => {
  await create('a');
  await create('b');
  deliver((attempt) => (attempt === 1 ? json(429, {}, { 'retry-after': '7' }) : json(201, {})));
  const start = bench.clock.monotonicMs();
  let waitedMs = 0;
  await until(
    () => bench.cloud.requests.length >= 2,
    () => {
      bench.clock.advance(50);
      waitedMs = bench.clock.monotonicMs() - start;
    },
  );
  expect(waitedMs).toBeGreaterThanOrEqual(7_000);
  await untilEmpty();
  expect(sentNames()).toEqual(['a', 'a', 'b']);
});

test.each([
  ['409 on a creation is delivery: it arrived before', 409, 'holdfast_yurthub_events_delivered_total'],
  ['403 (namespace terminating)', 403, 'holdfast_yurthub_events_dropped_total{reason="forbidden"}'],
  ['404 (namespace gone)', 404, 'holdfast_yurthub_events_dropped_total{reason="not_found"}'],
  ['400', 400, 'holdfast_yurthub_events_dropped_total{reason="invalid"}'],
  ['422', 422, 'holdfast_yurthub_events_dropped_total{reason="invalid"}'],
])('%s ends the event and is counted', async (_name, statusCode, metric) => {
  await create('a');
  deliver(() => json(statusCode, {}));
  await untilEmpty();
  expect(bench.cloud.requests).toHaveLength(1);
  expect(await bench.metric(metric)).toBe(1);
});

test.each([
  ['401: the certificate of the node has expired', json(401, {})],
  ['403 for nobody in particular', json(403, { message: 'User "system:anonymous" cannot create resource "events"' })],
  ['500', json(500, {})],
])('%s is tried again', async (_name, reply) => {
  await create('a');
  deliver((attempt) => (attempt < 4 ? reply : json(201, {})));
  await untilEmpty();
  expect(sentNames()).toEqual(['a', 'a', 'a', 'a']);
  expect(await bench.metric('holdfast_yurthub_events_delivered_total')).toBe(1);
});

test('an event that the API server fails on again and again does not hold the others for ever', async () => {
  await create('poison');
  await create('b');
  deliver((attempt) => (attempt <= 10 ? json(500, {}) : json(201, {})));
  await untilEmpty();
  expect(sentNames().at(-1)).toBe('b');
  expect(await bench.metric('holdfast_yurthub_events_dropped_total{reason="server_error"}')).toBe(1);
});

test('a cloud lost on the way stops delivery until it is back, and loses nothing', async () => {
  for (const name of ['a', 'b']) await create(name);
  deliver((attempt) => {
    if (attempt !== 2) return json(201, {});
    bench.cloud.reachable = false;
    throw new CloudUnreachableError('cut', { sent: true });
  });
  await until(
    () => bench.cloud.requests.length === 2,
    () => bench.clock.advance(50),
  );
  await create('c');
  // Not on its way any more, so it can be changed where it is.
  await until(
    async () => (await patch('b', { count: 9 })).object['reason'] === 'BackOff',
    () => bench.clock.advance(50),
  );
  expect(await bench.metric('holdfast_yurthub_event_spool_events')).toBe(2);
  bench.cloud.reachable = true;
  await untilEmpty();
  expect(sentNames()).toEqual(['a', 'b', 'b', 'c']);
});

test('a patch of an event that is on its way is not lost in it', async () => {
  await create('a');
  const reply = Promise.withResolvers<UpstreamReply>();
  bench.cloud.answer = () => reply.promise;
  bench.cloud.reachable = true;
  running = bench.writes.run(stop.signal);
  await until(() => bench.cloud.requests.length === 1);
  bench.cloud.reachable = false;
  expect((await patch('a', { count: 2 })).statusCode).toBe(200);
  reply.resolve(json(201, {}));
  bench.cloud.answer = () => json(200, {});
  bench.cloud.reachable = true;
  await untilEmpty();
  expect(bench.cloud.requests.map(({ method }) => method)).toEqual(['POST', 'PATCH']);
  expect(JSON.parse(String(bench.cloud.requests[1]?.body))).toEqual({ count: 2 });
});

test('an event is on disk before it is acknowledged', async () => {
  const write = jest.spyOn(bench.store, 'write');
  await create('a');
  await patch('a', { count: 2 });
  expect(write.mock.calls.map(([, durability]) => durability)).toEqual(['synced', 'synced']);
});

test('at most twenty events go out in a second', async () => {
  for (const name of ['a', 'b', 'c', 'd', 'e']) await create(name);
  const start = bench.clock.monotonicMs();
  deliver(() => json(201, {}));
  await until(
    () => bench.cloud.requests.length === 5,
    () => bench.clock.advance(10),
  );
  expect(bench.clock.monotonicMs() - start).toBeGreaterThanOrEqual(200);
});

test('an event without a name needs the API server', async () => {
  const body = { kind: 'Event', apiVersion: 'v1', metadata: { generateName: 'x-', namespace: 'shop' } };
  expect((await bench.send({ method: 'POST', target: events, body })).statusCode).toBe(503);
});
