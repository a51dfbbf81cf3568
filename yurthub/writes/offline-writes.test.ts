import type { KubeObject } from '../../kube/wire.ts';
import { wireFor } from '../../kube/wires.ts';
import { StoreWriteError } from '../errors.ts';
import { json, protobuf, resource, WritesBench } from './far-end.ts';

const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
const lease = (renewTime: string, name = 'edge1'): KubeObject => ({
  kind: 'Lease',
  apiVersion: 'coordination.k8s.io/v1',
  metadata: { name, namespace: 'kube-node-lease', uid: 'lease-uid', resourceVersion: '7' },
  spec: { holderIdentity: name, leaseDurationSeconds: 40, renewTime },
});
const tokens = '/api/v1/namespaces/shop/serviceaccounts/default/token';
const tokenRequest = (uid = 'pod-uid', expirationSeconds = 3607, audiences = ['https://kubernetes']): KubeObject => ({
  kind: 'TokenRequest',
  apiVersion: 'authentication.k8s.io/v1',
  spec: { audiences, expirationSeconds, boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'till-1', uid } },
});
const tokenReply = (token: string): KubeObject => ({
  ...tokenRequest(),
  status: { token, expirationTimestamp: '2026-01-01T01:00:00Z' },
});
const tokenReviews = '/apis/authentication.k8s.io/v1/tokenreviews';
const tokenReview = (token: string): KubeObject => ({
  kind: 'TokenReview',
  apiVersion: 'authentication.k8s.io/v1',
  spec: { token, audiences: ['a'] },
});
const accessReviews = '/apis/authorization.k8s.io/v1/subjectaccessreviews';
const accessReview = (user: string): KubeObject => ({
  kind: 'SubjectAccessReview',
  apiVersion: 'authorization.k8s.io/v1',
  spec: { user, resourceAttributes: { verb: 'get', resource: 'nodes', subresource: 'metrics' } },
});

let bench: WritesBench;

beforeEach(async () => {
  bench = await WritesBench.start({ maxSavedTokens: 3, maxSavedDecisions: 3 });
});
afterEach(async () => {
  await bench.close();
});

const encode = (object: KubeObject): Buffer => wireFor('protobuf').body(object);

describe('which requests', () => {
  test.each([
    ['GET', `${leases}/edge1`, true],
    ['PUT', `${leases}/edge1`, true],
    ['POST', leases, true],
    ['PUT', `${leases}/edge2`, false],
    ['PATCH', `${leases}/edge1`, false],
    ['PATCH', '/api/v1/nodes/edge1/status', true],
    ['PATCH', '/api/v1/nodes/edge2/status', false],
    ['PATCH', '/api/v1/nodes/edge1', false],
    ['PUT', '/api/v1/namespaces/shop/pods/x/status', true],
    ['DELETE', '/api/v1/namespaces/shop/pods/x', false],
    ['POST', '/api/v1/nodes', true],
    ['POST', '/api/v1/namespaces/shop/events', true],
    ['PATCH', '/apis/events.k8s.io/v1/namespaces/shop/events/e', true],
    ['GET', '/api/v1/namespaces/shop/events/e', false],
    ['POST', tokens, true],
    ['POST', `${tokens}?dryRun=All`, false],
    ['POST', tokenReviews, true],
    ['POST', accessReviews, true],
    ['POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', false],
    ['POST', '/apis/certificates.k8s.io/v1/certificatesigningrequests', false],
    ['PATCH', '/apis/example.com/v1/nodes/edge1/status', false],
  ])('%s %s: %s', (method, target, handled) => {
    expect(bench.writes.handles(resource(method, target))).toBe(handled);
  });
});

describe('the Lease of the node', () => {
  const put = (object: KubeObject) => bench.send({ method: 'PUT', target: `${leases}/edge1`, body: object });

  test('is acknowledged as sent while the cloud is out of reach, and never renewed by the hub', async () => {
    bench.cloud.reachable = false;
    const sent = lease('2026-01-01T00:00:10.000000Z');
    const answer = await put(sent);
    expect(answer.statusCode).toBe(200);
    expect(answer.object).toEqual(sent);
    expect((await bench.send({ method: 'GET', target: `${leases}/edge1` })).object).toEqual(sent);
    bench.cloud.reachable = true;
    await bench.writes.beginReturn(new AbortController().signal);
    expect(bench.cloud.requests).toEqual([]);
  });

  test('is known after a restart, so that a kubelet that starts offline finds it', async () => {
    bench.cloud.answer = () => json(200, lease('2026-01-01T00:00:00.000000Z'));
    await put(lease('2026-01-01T00:00:00.000000Z'));
    await bench.restart();
    bench.cloud.reachable = false;
    expect((await bench.send({ method: 'GET', target: `${leases}/edge1` })).statusCode).toBe(200);
    const created = await bench.send({ method: 'POST', target: leases, body: lease('2026-01-01T00:00:00.000000Z') });
    expect(created.statusCode).toBe(409);
    expect(created.object).toMatchObject({ reason: 'AlreadyExists' });
  });

  test('is written to disk once, not with every renewal', async () => {
    const write = jest.spyOn(bench.store, 'write');
    bench.cloud.answer = ({ body }) => json(200, JSON.parse(String(body)) as KubeObject);
    for (const second of ['10', '20', '30']) await put(lease(`2026-01-01T00:00:${second}.000000Z`));
    expect(write).toHaveBeenCalledTimes(1);
  });

  test('that was never seen, or is of another node, is 503', async () => {
    bench.cloud.reachable = false;
    expect((await bench.send({ method: 'GET', target: `${leases}/edge1` })).statusCode).toBe(503);
    const other = lease('2026-01-01T00:00:00.000000Z', 'edge2');
    expect((await bench.send({ method: 'POST', target: leases, body: other })).statusCode).toBe(503);
    expect((await put(other)).statusCode).toBe(400);
  });

  test('in protobuf comes back byte by byte, or as JSON to who asks for that', async () => {
    bench.cloud.reachable = false;
    const sent = encode(lease('2026-01-01T00:00:10.000000Z'));
    const put2 = (accept: string) =>
      bench.send({ method: 'PUT', target: `${leases}/edge1`, body: sent, contentType: protobuf, accept });
    expect((await put2(`${protobuf},application/json`)).body.equals(sent)).toBe(true);
    expect((await put2('application/json')).object).toEqual(lease('2026-01-01T00:00:10.000000Z'));
  });
});

describe('creating the Node', () => {
  const create = (name: string) =>
    bench.send({
      method: 'POST',
      target: '/api/v1/nodes',
      body: { kind: 'Node', apiVersion: 'v1', metadata: { name } },
    });

  test('is AlreadyExists for a known node and 503 for another', async () => {
    bench.views.set('nodes', { apiVersion: 'v1', kind: 'Node' }, { metadata: { name: 'edge1', uid: 'u' } });
    bench.cloud.reachable = false;
    expect(await create('edge1')).toMatchObject({ statusCode: 409, object: { reason: 'AlreadyExists' } });
    expect((await create('edge2')).statusCode).toBe(503);
  });
});

describe('tokens', () => {
  const ask = (body: KubeObject, target = tokens) => bench.send({ method: 'POST', target, body });

  async function save(token: string, request = tokenRequest()): Promise<void> {
    bench.cloud.reachable = true;
    bench.cloud.answer = () => json(201, tokenReply(token));
    expect((await ask(request)).statusCode).toBe(201);
  }

  test('are given out again for the same pod after a reboot, past their stated expiry', async () => {
    await save('header.secret-token.signature');
    await bench.restart();
    bench.clock.jumpWall(-20 * 365 * 86_400_000);
    bench.cloud.reachable = false;
    const answer = await ask(tokenRequest());
    expect(answer.statusCode).toBe(201);
    expect(answer.object).toEqual(tokenReply('header.secret-token.signature'));
    const accept = `${protobuf},application/json`;
    const body = encode(tokenRequest());
    const again = await bench.send({ method: 'POST', target: tokens, body, contentType: protobuf, accept });
    expect(again.headers['content-type']).toBe(protobuf);
    expect(again.object).toMatchObject({ status: { token: 'header.secret-token.signature' } });
  });

  test.each([
    ['another pod of that name', tokenRequest('new-uid'), tokens],
    ['another lifetime', tokenRequest('pod-uid', 600), tokens],
    ['another audience', tokenRequest('pod-uid', 3607, ['vault']), tokens],
    ['another account', tokenRequest(), '/api/v1/namespaces/shop/serviceaccounts/other/token'],
    ['another namespace', tokenRequest(), '/api/v1/namespaces/other/serviceaccounts/default/token'],
  ])('are not given to %s', async (_name, request, target) => {
    await save('t');
    bench.cloud.reachable = false;
    expect((await ask(request, target)).statusCode).toBe(503);
  });

  test('are sealed in the store, and there before the client has them', async () => {
    const write = jest.spyOn(bench.store, 'write');
    await save('header.secret-token.signature');
    expect(write.mock.calls.map(([, durability]) => durability)).toEqual(['synced']);
    expect(await bench.storeText()).not.toContain('secret-token');
  });

  test('reach the client also when the disk does not take them', async () => {
    jest.spyOn(bench.store, 'write').mockRejectedValueOnce(new StoreWriteError('full', undefined));
    await save('t');
    expect(await bench.metric('holdfast_yurthub_replies_not_saved_total{kind="token"}')).toBe(1);
  });

  test('are bounded: the one saved longest ago goes first, also across a restart', async () => {
    for (const uid of ['a', 'b', 'c']) {
      await save(`token-${uid}`, tokenRequest(uid));
      bench.clock.advance(1_000);
    }
    await save('token-a', tokenRequest('a'));
    bench.clock.advance(1_000);
    await bench.restart();
    await save('token-d', tokenRequest('d'));
    bench.cloud.reachable = false;
    const codes = [];
    for (const uid of ['a', 'b', 'c', 'd']) codes.push((await ask(tokenRequest(uid))).statusCode);
    expect(codes).toEqual([201, 503, 201, 201]);
    expect(await bench.metric('holdfast_yurthub_saved_tokens')).toBe(3);
  });

  test('that the API server refused are not saved', async () => {
    bench.cloud.answer = () => json(403, { kind: 'Status', apiVersion: 'v1', reason: 'Forbidden' });
    expect((await ask(tokenRequest())).statusCode).toBe(403);
    bench.cloud.reachable = false;
    expect((await ask(tokenRequest())).statusCode).toBe(503);
  });
});

describe('reviews', () => {
  const user = { authenticated: true, user: { username: 'prometheus', groups: ['g'] } };

  test('repeat the last real decision for the same token, which is never stored', async () => {
    bench.cloud.answer = () => json(201, { ...tokenReview('secret-bearer'), status: user });
    await bench.send({ method: 'POST', target: tokenReviews, body: tokenReview('secret-bearer') });
    expect(await bench.storeText()).not.toContain('secret-bearer');
    await bench.restart();
    bench.cloud.reachable = false;
    const answer = await bench.send({ method: 'POST', target: tokenReviews, body: tokenReview('secret-bearer') });
    expect(answer.statusCode).toBe(201);
    expect(answer.object).toMatchObject({ kind: 'TokenReview', spec: { token: 'secret-bearer' }, status: user });
    const other = await bench.send({ method: 'POST', target: tokenReviews, body: tokenReview('stolen') });
    expect(other.statusCode).toBe(503);
  });

  test('of access are told apart by what was asked, whatever the encoding', async () => {
    const decided = { allowed: true, reason: 'rbac' };
    bench.cloud.answer = () => json(201, { ...accessReview('a'), status: decided });
    await bench.send({ method: 'POST', target: accessReviews, body: accessReview('a') });
    bench.cloud.reachable = false;
    const body = encode(accessReview('a'));
    const same = await bench.send({ method: 'POST', target: accessReviews, body, contentType: protobuf });
    expect(same.object).toMatchObject({ status: decided });
    expect((await bench.send({ method: 'POST', target: accessReviews, body: accessReview('b') })).statusCode).toBe(503);
  });

  test('are written when they change, and bounded', async () => {
    const write = jest.spyOn(bench.store, 'write');
    for (const name of ['a', 'b', 'a', 'a', 'c', 'd']) {
      bench.cloud.answer = () => json(201, { ...accessReview(name), status: { allowed: true } });
      await bench.send({ method: 'POST', target: accessReviews, body: accessReview(name) });
    }
    expect(write).toHaveBeenCalledTimes(4);
    expect(await bench.metric('holdfast_yurthub_saved_decisions')).toBe(3);
    await bench.restart();
    bench.cloud.reachable = false;
    const codes = [];
    for (const name of ['a', 'b', 'c', 'd'])
      codes.push((await bench.send({ method: 'POST', target: accessReviews, body: accessReview(name) })).statusCode);
    expect(codes).toEqual([201, 503, 201, 201]);
  });
});

test('a body that is no object is 400', async () => {
  bench.cloud.reachable = false;
  const send = (body: string, contentType: string) =>
    bench.send({ method: 'POST', target: tokens, body: Buffer.from(body), contentType });
  expect((await send('{', 'application/json')).statusCode).toBe(400);
  expect((await send('{"kind":"TokenRequest"}', protobuf)).statusCode).toBe(400);
  expect((await send('a: b', 'application/yaml')).statusCode).toBe(503);
});
