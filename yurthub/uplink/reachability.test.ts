// The cloud lost and back: a real server behind a relay that can break the link in the ways links break.
import { renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { constants } from 'node:http2';
import net from 'node:net';
import path from 'node:path';
import { TcpRelay } from '../../runtime/tcp-relay.ts';
import { FarEnd, hubRequest, issue, RecordedResponse, TestUplink, type FarHandler } from './far-end.ts';

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function farEnd(handler: FarHandler, options = {}): Promise<FarEnd> {
  const far = await FarEnd.start(handler, options);
  closers.push(() => far.close());
  return far;
}

async function relayTo(port: number): Promise<TcpRelay> {
  const relay = new TcpRelay({ host: '127.0.0.1', port }, { port: 0 });
  await relay.listen();
  closers.push(() => relay.close());
  return relay;
}

async function hubOf(...args: ConstructorParameters<typeof TestUplink>): Promise<TestUplink> {
  const hub = await new TestUplink(...args).start();
  closers.push(() => hub.stop());
  return hub;
}

/** What a NAT box does that restarts: connections that stand are silent for ever, new ones pass. */
async function forgetfulRelay(port: number): Promise<{ port: number; forget: () => void }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((near) => {
    const far = net.connect(port, '127.0.0.1');
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => void (near.destroy(), far.destroy()));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  const forget = (): void => {
    for (const socket of sockets) socket.unpipe().pause();
  };
  return { port: (server.address() as net.AddressInfo).port, forget };
}

/** Silence is the reason here. A machine that stalls for as long looks like it: what is not yet cut is asked until it answers. */
const judged = { pingTimeoutMs: 1_000 };

const answer: FarHandler = (_request, response) => response.end('live');

async function ask(hub: TestUplink, target = '/a', kind: 'node' | 'bearer' = 'node'): Promise<string> {
  const response = new RecordedResponse();
  await hub.uplink.forward(hubRequest(target, { kind }), response);
  return response.text;
}

test('refusal: lost at once, refused at once without being sent, and live again by itself', async () => {
  const relay = await relayTo((await farEnd(answer)).port);
  const hub = await hubOf([`https://127.0.0.1:${relay.port}`]);
  expect(await ask(hub)).toBe('live');
  await relay.cut('refuse');
  await hub.cloud(false);
  await expect(ask(hub)).rejects.toMatchObject({ code: 'ERR_CLOUD_UNREACHABLE', sent: false });
  await relay.heal();
  await hub.cloud(true);
  expect(await ask(hub)).toBe('live');
  // The session was being opened, so its connection may be reset or refused; no other reason would be right.
  const reasons = await hub.labels('holdfast_yurthub_upstream_losses_total', 'reason');
  expect(['refused', 'reset']).toEqual(expect.arrayContaining(reasons));
  expect(reasons).toHaveLength(1);
});

test('black hole: a request that is under way is given up by silence; healing brings the old connections back', async () => {
  const relay = await relayTo((await farEnd(answer)).port);
  const hub = await hubOf([`https://127.0.0.1:${relay.port}`], judged);
  await hub.answers(() => ask(hub), 'live');
  await relay.cut('blackhole');
  await expect(ask(hub)).rejects.toMatchObject({ code: 'ERR_CLOUD_UNREACHABLE', sent: true });
  expect(hub.uplink.cloud.reachable).toBe(false);
  await relay.heal();
  await hub.answers(() => ask(hub), 'live');
  expect(await hub.labels('holdfast_yurthub_upstream_losses_total', 'reason')).toEqual(['silent']);
});

test('black hole from the start: not reachable, and live when the link comes', async () => {
  const relay = await relayTo((await farEnd(answer)).port);
  await relay.cut('blackhole');
  const hub = await hubOf([`https://127.0.0.1:${relay.port}`], { ...judged, startTimeoutMs: 800 });
  await hub.cloud(false);
  await relay.heal();
  await hub.answers(() => ask(hub), 'live');
});

test('black hole from the start, with a round trip from before: known long before a ping would be overdue', async () => {
  const relay = await relayTo((await farEnd(answer)).port);
  await relay.cut('blackhole');
  const hub = await hubOf([`https://127.0.0.1:${relay.port}`], {
    pingTimeoutMs: 60_000,
    unansweredMs: 60_000,
    startTimeoutMs: 20,
    expectedRoundTripMs: 1,
  });
  await hub.cloud(false);
  await relay.heal();
  await hub.cloud(true);
  expect(await ask(hub)).toBe('live');
  expect(hub.uplink.roundTripMs).toBeGreaterThan(0);
});

test('an idle connection that dies in a black hole is found by the idle ping', async () => {
  const relay = await relayTo((await farEnd(answer)).port);
  const hub = await hubOf([`https://127.0.0.1:${relay.port}`], { ...judged, idlePingMs: 50 });
  await hub.answers(() => ask(hub), 'live');
  await relay.cut('blackhole');
  await hub.cloud(false);
  expect(await hub.metric('holdfast_yurthub_cloud_reachable')).toBe(0);
});

test('half-open: the path works and the old connections do not; streams on them end by an error', async () => {
  const far = await farEnd((_request, response) => {
    response.writeHead(200);
    response.write('event');
  });
  const relay = await forgetfulRelay(far.port);
  const hub = await hubOf([`https://127.0.0.1:${relay.port}`], { pingTimeoutMs: 3_000, idlePingMs: 50 });
  const { body } = await hub.uplink.stream({
    method: 'GET',
    target: '/api/v1/pods?watch=1',
    headers: {},
    lane: 'node',
    signal: new AbortController().signal,
  });
  relay.forget();
  await expect(
    (async () => {
      for await (const _ of body);
    })(),
  ).rejects.toMatchObject({ code: 'ERR_CLOUD_UNREACHABLE' });
});

test('a connection that is forgotten beside a living path: a read is sent again on another one, a write is not', async () => {
  const asked: string[] = [];
  let forgotten: unknown;
  const far = await farEnd((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    forgotten ??= request.socket;
    if (request.socket === forgotten && request.url !== '/first') return;
    response.end('live');
  });
  const settings = { forgottenMs: 50, forgottenIdleMs: 0 };
  const hub = await hubOf([far.url], settings);
  expect(await ask(hub, '/first')).toBe('live');
  expect(await ask(hub, '/second')).toBe('live');
  expect(asked).toEqual(['GET /first', 'GET /second', 'GET /second']);
  expect(hub.uplink.cloud.reachable).toBe(true);

  forgotten = undefined;
  const other = await hubOf([far.url], settings);
  expect(await ask(other, '/first')).toBe('live');
  const leaving = new AbortController();
  const body = Buffer.from('x');
  const write = other.uplink.fetch(
    { method: 'PUT', target: '/write', headers: {}, body, lane: 'node', signal: leaving.signal },
    { maxBodyBytes: 100 },
  );
  write.catch(() => undefined);
  // One every 40 ms: a read would have been given up long before.
  const pings = (): Promise<number> => other.metric('holdfast_yurthub_upstream_pings_total{outcome="answered"}');
  while ((await pings()) < 5) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(asked.filter((line) => line === 'PUT /write')).toHaveLength(1);
  leaving.abort();
  await expect(write).rejects.toMatchObject({ code: 'ERR_CLIENT_GONE' });
});

test('a server that thinks long on a living path is waited for', async () => {
  const far = await farEnd((_request, response) => void setTimeout(() => response.end('at last'), 400));
  const hub = await hubOf([far.url]);
  expect(await ask(hub)).toBe('at last');
  expect(hub.uplink.cloud.reachable).toBe(true);
  expect(await hub.metric('holdfast_yurthub_upstream_losses_total{reason="silent"}')).toBe(0);
});

test.each(['/api/v1/pods', '/api/v1/pods?watch=1'])(
  'a 503 without a Status from a load balancer on %s is a loss',
  async (target) => {
    let broken = true;
    const page: FarHandler = (_request, response) => {
      if (broken) response.writeHead(503, { 'content-type': 'text/html' });
      response.end(broken ? '<html>' : 'live');
    };
    const far = await farEnd(page);
    far.readyz = page;
    const hub = await hubOf([far.url]);
    await expect(ask(hub, target)).rejects.toMatchObject({ code: 'ERR_CLOUD_UNREACHABLE', sent: true });
    expect(hub.uplink.cloud.reachable).toBe(false);
    broken = false;
    await hub.cloud(true);
    expect(await ask(hub, target)).toBe('live');
  },
);

test('a 503 of an aggregated API passes while the API server itself answers', async () => {
  const far = await farEnd((_request, response) => {
    response.writeHead(503, { 'content-type': 'text/plain' });
    response.end('service unavailable');
  });
  const hub = await hubOf([far.url]);
  expect(await ask(hub, '/apis/metrics.k8s.io/v1beta1/nodes')).toBe('service unavailable');
  expect(hub.uplink.cloud.reachable).toBe(true);
});

test('a 503 with a Status, and a 429, are answers', async () => {
  const status = '{"kind":"Status","apiVersion":"v1"}';
  const far = await farEnd((request, response) => {
    response.writeHead(request.url === '/429' ? 429 : 503, { 'retry-after': '1' });
    response.end(status);
  });
  const hub = await hubOf([far.url]);
  expect(await ask(hub, '/503')).toBe(status);
  expect(await ask(hub, '/429')).toBe(status);
  expect(hub.uplink.cloud.reachable).toBe(true);
});

test('with two API servers the second takes over at once, and the cloud stays reachable', async () => {
  const first = await relayTo((await farEnd((_request, response) => response.end('first'))).port);
  const second = await farEnd((_request, response) => response.end('second'));
  const hub = await hubOf([`https://127.0.0.1:${first.port}`, second.url]);
  expect(await ask(hub)).toBe('first');
  await first.cut('refuse');
  expect(await ask(hub)).toBe('second');
  expect(hub.uplink.cloud.reachable).toBe(true);
});

test('a watch that waits on a server in a black hole is ended, and goes on at the other; the cloud was never lost', async () => {
  const watched = (name: string): FarHandler => {
    return (_request, response) => {
      response.writeHead(200);
      response.write(name);
    };
  };
  const first = await relayTo((await farEnd(watched('first'))).port);
  const second = await farEnd(watched('second'));
  const hub = await hubOf([`https://127.0.0.1:${first.port}`, second.url], { pingTimeoutMs: 3_000, idlePingMs: 50 });
  const open = async (): Promise<AsyncIterator<Buffer>> => {
    const { body } = await hub.uplink.stream({
      method: 'GET',
      target: '/api/v1/pods?watch=1',
      headers: {},
      lane: 'node',
      signal: new AbortController().signal,
    });
    return body[Symbol.asyncIterator]();
  };
  const watch = await open();
  expect(String((await watch.next()).value)).toBe('first');
  let losses = 0;
  hub.uplink.onCloudChange(() => (losses += 1));
  await first.cut('blackhole');
  await expect(watch.next()).rejects.toMatchObject({ code: 'ERR_CLOUD_UNREACHABLE' });
  const resumed = await open();
  expect(String((await resumed.next()).value)).toBe('second');
  expect(losses).toBe(0);
  expect(await hub.metric(`holdfast_yurthub_api_server_reachable{server="127.0.0.1:${first.port}"}`)).toBe(0);
  await resumed.return?.();
});

test('the preferred server is gone back to when it has been well for a while, and not before', async () => {
  const first = await relayTo((await farEnd((_request, response) => response.end('first'))).port);
  const second = await farEnd((_request, response) => response.end('second'));
  const urls = [`https://127.0.0.1:${first.port}`, second.url];
  const reachable = `holdfast_yurthub_api_server_reachable{server="127.0.0.1:${first.port}"}`;
  const hub = await hubOf(urls, { steadyMinMs: 600_000 });
  await first.cut('refuse');
  expect(await ask(hub)).toBe('second');
  await first.heal();
  await hub.metricIs(reachable, 1);
  expect(await ask(hub)).toBe('second');

  const quick = await hubOf(urls, { steadyMinMs: 1 });
  await first.cut('refuse');
  expect(await ask(quick)).toBe('second');
  await first.heal();
  await quick.metricIs(reachable, 1);
  await quick.answers(() => ask(quick), 'first');
});

test('in turn: requests go to all servers that are well, and to the others when one is lost', async () => {
  const answering = (name: string) => farEnd((_request, response) => response.end(name));
  const relay = await relayTo((await answering('a')).port);
  const urls = [`https://127.0.0.1:${relay.port}`, (await answering('b')).url, (await answering('c')).url];
  const hub = await hubOf(urls, { apiServerOrder: 'round-robin' });
  const six = async (): Promise<string> => {
    const texts: string[] = [];
    for (let at = 0; at < 6; at += 1) texts.push(await ask(hub));
    return texts.toSorted().join('');
  };
  expect(await six()).toBe('aabbcc');
  await relay.cut('refuse');
  await ask(hub);
  await ask(hub);
  expect(await six()).toBe('bbbccc');
});

test('both servers lost is the cloud lost, and either of them brings it back', async () => {
  const relays = await Promise.all([1, 2].map(async () => await relayTo((await farEnd(answer)).port)));
  const hub = await hubOf(relays.map(({ port }) => `https://127.0.0.1:${port}`));
  expect(await ask(hub)).toBe('live');
  for (const relay of relays) await relay.cut('refuse');
  // It may have gone out on a connection whose end was not heard of yet.
  await expect(ask(hub)).rejects.toMatchObject({ code: 'ERR_CLOUD_UNREACHABLE' });
  await hub.cloud(false);
  await relays[1]?.heal();
  await hub.cloud(true);
  expect(await ask(hub)).toBe('live');
});

test.each([
  ['REFUSED_STREAM', constants.NGHTTP2_REFUSED_STREAM],
  ['INTERNAL_ERROR', constants.NGHTTP2_INTERNAL_ERROR],
])('a session that answers pings and ends every new stream with %s is replaced', async (_name, code) => {
  let bad: unknown;
  const far = await farEnd((request, response) => {
    const { session } = request.stream;
    bad ??= session;
    // Its first answer is a good one.
    if (session === bad && request.url !== '/api/v1/pods?watch=1&first') request.stream.close(code);
    else response.end('live');
  });
  const hub = await hubOf([far.url]);
  expect(await ask(hub, '/api/v1/pods?watch=1&first')).toBe('live');
  await hub.answers(() => ask(hub, '/api/v1/pods?watch=1'), 'live');
  expect(hub.uplink.cloud.reachable).toBe(true);
});

test.each([
  ['not yet valid', { notBefore: new Date('2040-01-01'), notAfter: new Date('2041-01-01') }],
  ['expired', { notBefore: new Date('2001-01-01'), notAfter: new Date('2002-01-01') }],
])('a server certificate that is %s is a loss of its own kind', async (_name, validity) => {
  const far = await farEnd(answer, issue('kube-apiserver', 'server', validity));
  const hub = await hubOf([far.url]);
  await hub.cloud(false);
  expect(await hub.metric('holdfast_yurthub_upstream_losses_total{reason="certificate_time"}')).toBe(1);
});

test('rotation: new connections show the new certificate, half a rotation changes nothing', async () => {
  const far = await farEnd((request, response) => {
    const socket = request.socket as import('node:tls').TLSSocket;
    response.end(String(socket.getPeerCertificate().subject?.CN));
  });
  const hub = await hubOf([far.url]);
  expect(await ask(hub)).toBe('system:node:edge1');
  const failed = hub.credentials.load.bind(hub.credentials);
  const { cert, key } = issue('rotated', 'client');
  writeFileSync(hub.files.clientCertificateFile, cert);
  expect(await failed()).toBe(false);
  expect(await ask(hub)).toBe('system:node:edge1');
  // As the kubelet does it: a new file, and a symlink renamed over the old name.
  const changed = new Promise<void>((resolve) => void hub.credentials.onChange(resolve));
  writeFileSync(path.join(hub.folder, 'client-2.pem'), cert + key);
  symlinkSync('client-2.pem', path.join(hub.folder, 'next'));
  renameSync(path.join(hub.folder, 'next'), hub.files.clientCertificateFile);
  await changed;
  expect(await ask(hub)).toBe('rotated');
  expect(await ask(hub, '/api/v1/pods?watch=1')).toBe('rotated');
});

test('an expired client certificate is used all the same, and its expiry is in the metrics', async () => {
  const far = await farEnd((request, response) => {
    response.end(String((request.socket as import('node:tls').TLSSocket).getPeerCertificate().subject?.CN));
  });
  const hub = new TestUplink([far.url]);
  const notAfter = new Date('2002-01-01T00:00:00Z');
  const { cert, key } = issue('old', 'client', { notBefore: new Date('2001-01-01'), notAfter });
  writeFileSync(hub.files.clientCertificateFile, cert + key);
  closers.push(() => hub.stop());
  await hub.start();
  expect(await ask(hub)).toBe('old');
  expect(await hub.metric('holdfast_yurthub_client_certificate_expiry_seconds')).toBe(notAfter.getTime() / 1000);
});

test('after the end nothing is open', async () => {
  const far = await farEnd(answer);
  const hub = await new TestUplink([far.url]).start();
  expect(await ask(hub)).toBe('live');
  expect(await ask(hub, '/api/v1/pods?watch=1', 'bearer')).toBe('live');
  await hub.stop();
  await far.quiet();
  expect(far.sockets.size).toBe(0);
});
