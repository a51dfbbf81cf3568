import { X509Certificate } from 'node:crypto';
import http2, { type ClientHttp2Session } from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { once } from 'node:events';
import { ManualClock } from '../../runtime/manual-clock.ts';
import type { HubRequest, Identity, HubResponse } from '../types.ts';
import {
  credential,
  deferred,
  h1Request,
  h2Connect,
  h2Request,
  lastCentury,
  nextCentury,
  startFront,
  TestAuthority,
  type ClientCredential,
  type FrontFixture,
} from './front-fixture.ts';

const fixtures: FrontFixture[] = [];
const start = async (...args: Parameters<typeof startFront>): Promise<FrontFixture> => {
  const fixture = await startFront(...args);
  fixtures.push(fixture);
  return fixture;
};
afterEach(async () => {
  await Promise.all(fixtures.splice(0).map((fixture) => fixture.stop()));
});

/** Answers with what it saw. */
const mirror = (request: HubRequest, response: HubResponse): Promise<void> => {
  response.head(200, { 'content-type': 'application/json' });
  response.end(
    Buffer.from(JSON.stringify({ identity: request.identity, headers: request.headers, method: request.method })),
  );
  return Promise.resolve();
};

interface Seen {
  identity: Identity;
  headers: Record<string, string | string[]>;
}

function nameOf(identity: Identity): string {
  return identity.kind === 'node' && identity.localReader === true ? 'local-reader' : identity.kind;
}

const statusOf = (body: Buffer): object => {
  const { kind, reason } = JSON.parse(body.toString()) as { kind: string; reason: string };
  return { kind, reason };
};

const seen = (body: Buffer): Seen => JSON.parse(body.toString()) as Seen;

/** Sends bytes over TLS as they are, gives everything that came back until the end. */
async function raw(fixture: FrontFixture, text: string, client: ClientCredential = fixture.node): Promise<string> {
  const socket = tls.connect({
    host: '127.0.0.1',
    port: fixture.port,
    ca: fixture.certificates.caCertificate,
    ...client,
    ALPNProtocols: ['http/1.1'],
  });
  let answer = '';
  socket.on('data', (chunk) => (answer += chunk.toString('latin1')));
  socket.on('error', () => undefined);
  socket.write(text);
  await once(socket, 'close');
  return answer;
}

describe.each(['h1', 'h2'] as const)('over %s', (protocol) => {
  const ask = async (
    fixture: FrontFixture,
    path: string,
    options: {
      method?: string;
      headers?: Record<string, string>;
      body?: Buffer;
      client?: Partial<ClientCredential>;
    } = {},
  ) => {
    const client = options.client ?? fixture.node;
    const { method = 'GET', headers = {} } = options;
    if (protocol === 'h1')
      return await h1Request(
        fixture,
        { path, method, headers, ...(options.body === undefined ? {} : { body: options.body }) },
        client,
      );
    const session = h2Connect(fixture, client);
    try {
      return await h2Request(session, { ':path': path, ':method': method, ...headers }, options.body);
    } finally {
      session.destroy();
    }
  };

  test('a request gets its answer with headers, chunks and trailers', async () => {
    const fixture = await start(async (_request, response) => {
      response.head(201, { 'x-a': ['1', '2'], connection: 'close', 'transfer-encoding': 'chunked' });
      response.write(Buffer.from('one '));
      response.write(Buffer.from('two'));
      response.end(undefined, { 'x-trailer': 'yes' });
      await Promise.resolve();
    });
    const answer = await ask(fixture, '/api/v1/pods');
    expect(answer.status).toBe(201);
    expect(answer.body.toString()).toBe('one two');
    expect(answer.trailers).toMatchObject({ 'x-trailer': 'yes' });
    expect(answer.headers['x-a']).toBe('1, 2');
  });

  test('hop-by-hop headers and X-Remote identities go no further, repeated ones stay apart', async () => {
    const fixture = await start(mirror);
    const answer = await ask(fixture, '/api/v1/pods', {
      headers: { 'x-remote-user': 'admin', 'X-Remote-Group': 'system:masters', accept: 'a', authorization: 'Bearer t' },
    });
    expect(seen(answer.body).identity).toEqual({ kind: 'node', nodeName: 'edge-1' });
    expect(Object.keys(seen(answer.body).headers)).toEqual(['accept']);
  });

  test('a body is read whole, and can then still be forwarded', async () => {
    const fixture = await start(async (request, response) => {
      const body = await request.readBody(1_000_000);
      const again: Buffer[] = [];
      for await (const chunk of request.body ?? []) again.push(chunk as Buffer);
      response.head(200, {});
      response.end(Buffer.from(`${body.length} ${Buffer.concat(again).length}`));
    });
    const answer = await ask(fixture, '/api/v1/pods', { method: 'POST', body: Buffer.alloc(500_000) });
    expect(answer.body.toString()).toBe('500000 500000');
  });

  test('a body that is too large to be read is still forwarded whole', async () => {
    const fixture = await start(async (request, response) => {
      const code = await request.readBody(1_000).then(
        () => 'read',
        (error: { code: string }) => error.code,
      );
      let bytes = 0;
      for await (const chunk of request.body ?? []) bytes += (chunk as Buffer).length;
      response.head(200, {});
      response.end(Buffer.from(`${code} ${bytes}`));
    });
    const headers: Record<string, string> = protocol === 'h1' ? { 'transfer-encoding': 'chunked' } : {};
    const answer = await ask(fixture, '/api/v1/pods', { method: 'POST', body: Buffer.alloc(500_000), headers });
    expect(answer.body.toString()).toBe('ERR_BODY_TOO_LARGE 500000');
  });

  test('a reader that destroys the body does not destroy the answer', async () => {
    const fixture = await start(async (request, response) => {
      request.body?.resume();
      request.body?.destroy(new Error('upstream failed'));
      response.head(503, { 'content-length': '4' });
      response.end(Buffer.from('gone'));
      await Promise.resolve();
    });
    const answer = await ask(fixture, '/api/v1/pods', { method: 'POST', body: Buffer.alloc(100_000) });
    expect([answer.status, answer.body.toString()]).toEqual([503, 'gone']);
  });

  test('HEAD and 304 have no body', async () => {
    const fixture = await start(async (request, response) => {
      response.head(request.method === 'HEAD' ? 200 : 304, {});
      response.write(Buffer.from('never'));
      response.end(Buffer.from('seen'));
      await Promise.resolve();
    });
    expect((await ask(fixture, '/version', { method: 'HEAD' })).body.length).toBe(0);
    expect(await ask(fixture, '/version')).toMatchObject({ status: 304, body: Buffer.alloc(0) });
  });

  test('an abort by the hub is never a complete answer', async () => {
    const fixture = await start(async (_request, response) => {
      response.head(200, {});
      response.write(Buffer.from('half'));
      await new Promise((resolve) => setImmediate(resolve));
      response.abort();
    });
    await expect(ask(fixture, '/api/v1/pods')).rejects.toThrow(/aborted|reset|hang up|NGHTTP2/);
    const immediate = await start(async (_request, response) => {
      response.head(200, {});
      response.write(Buffer.from('half'));
      response.abort();
      await Promise.resolve();
    });
    await expect(ask(immediate, '/api/v1/pods')).rejects.toThrow(/aborted|reset|hang up|NGHTTP2/);
  });

  test('a handler that fails gives a 500 Status, or an abort once the head is out, and is counted', async () => {
    const fixture = await start(async (request, response) => {
      if (request.target === '/late') response.head(200, {});
      await Promise.resolve();
      throw new Error('a fault');
    });
    const answer = await ask(fixture, '/early');
    expect(JSON.parse(answer.body.toString())).toMatchObject({ kind: 'Status', reason: 'InternalError', code: 500 });
    await expect(ask(fixture, '/late')).rejects.toThrow(/aborted|reset|hang up|NGHTTP2/);
    expect(await fixture.metrics.text()).toContain('holdfast_yurthub_front_handler_failures_total 2');
  });

  test('a client that leaves aborts the signal of each of its requests, and nothing stays open', async () => {
    const left = deferred<void>();
    const begun = deferred<void>();
    let begins = 0;
    let ends = 0;
    const fixture = await start(async (request, response) => {
      response.head(200, {});
      response.write(Buffer.from('event'));
      request.signal.addEventListener('abort', () => (ends += 1) === 20 && left.resolve());
      if ((begins += 1) === 20) begun.resolve();
      await Promise.resolve();
    });
    if (protocol === 'h1') {
      const requests = Array.from({ length: 20 }, () => {
        const request = https.get(
          {
            host: '127.0.0.1',
            port: fixture.port,
            path: '/api/v1/pods?watch=1',
            ca: fixture.certificates.caCertificate,
            agent: false,
            ...fixture.node,
          },
          (response) => response.on('error', () => undefined).resume(),
        );
        return request.on('error', () => undefined);
      });
      await begun.promise;
      for (const request of requests) request.destroy();
      await left.promise;
    } else {
      const session = h2Connect(fixture);
      const streams = Array.from({ length: 20 }, () => session.request({ ':path': '/api/v1/pods?watch=1' }));
      for (const stream of streams) stream.on('error', () => undefined).resume();
      await begun.promise;
      for (const stream of streams) stream.close(8);
      await left.promise;
      session.destroy();
    }
    const text = await fixture.metrics.text();
    expect(text).toContain('holdfast_yurthub_front_open_streams 0');
    expect(text).toContain('holdfast_yurthub_front_requests_total{verb="watch",code="aborted"} 20');
  });

  test('a watch gets its head before its first event', async () => {
    const go = deferred<void>();
    const fixture = await start(async (_request, response) => {
      response.head(200, { 'content-type': 'application/json' });
      await go.promise;
      response.end(Buffer.from('event'));
    });
    if (protocol === 'h1') {
      const request = https.get({
        host: '127.0.0.1',
        port: fixture.port,
        path: '/api/v1/pods?watch=1',
        ca: fixture.certificates.caCertificate,
        agent: false,
        ...fixture.node,
      });
      const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream];
      go.resolve();
      response.resume();
      await once(response, 'end');
    } else {
      const session = h2Connect(fixture);
      const stream = session.request({ ':path': '/api/v1/pods?watch=1' });
      await once(stream, 'response');
      go.resolve();
      stream.resume();
      await once(stream, 'end');
      session.destroy();
    }
  });

  test('a large answer arrives whole, and the writer is told to wait and to go on', async () => {
    const chunk = Buffer.alloc(300_000, 'x');
    let waits = 0;
    const fixture = await start(async (_request, response) => {
      response.head(200, {});
      let drained: (() => void) | undefined;
      response.onDrain(() => drained?.());
      for (let count = 0; count < 100; count += 1) {
        if (response.write(chunk)) continue;
        waits += 1;
        await new Promise<void>((resolve) => (drained = resolve));
      }
      response.end(Buffer.from('last'));
    });
    const answer = await ask(fixture, '/api/v1/pods');
    expect(answer.body.length).toBe(30_000_004);
    expect(answer.body.subarray(-4).toString()).toBe('last');
    expect(waits).toBeGreaterThan(10);
  });

  test('a large upload that nobody reads is refused without being held', async () => {
    const fixture = await start(async (_request, response) => {
      response.head(413, { 'content-length': '0' });
      response.end();
      await Promise.resolve();
    });
    const before = process.memoryUsage().rss;
    const answer = await ask(fixture, '/api/v1/pods', { method: 'POST', body: Buffer.alloc(1_000_000) });
    expect(answer.status).toBe(413);
    expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000);
  });

  describe('identity', () => {
    const other = new TestAuthority();
    const nodeOf = (fixture: FrontFixture, options: Parameters<TestAuthority['client']>[0]) =>
      fixture.authority.client(options);
    const cases: [
      string,
      (fixture: FrontFixture) => Partial<ClientCredential>,
      Record<string, string>,
      string | number,
    ][] = [
      ['the node’s certificate', (fixture) => fixture.node, {}, 'node'],
      [
        'the local credential',
        (fixture) => ({
          cert: fixture.certificates.localClient.certificate,
          key: fixture.certificates.localClient.key,
        }),
        {},
        'node',
      ],
      ['an expired certificate of the node', (fixture) => nodeOf(fixture, { validity: lastCentury }), {}, 'node'],
      ['a not yet valid certificate of the node', (fixture) => nodeOf(fixture, { validity: nextCentury }), {}, 'node'],
      ['a token', () => ({}), { authorization: 'Bearer abc' }, 'bearer'],
      ['a foreign certificate with a token', () => other.client(), { authorization: 'bearer abc' }, 'bearer'],
      ['the node’s name from another CA of the same name', () => other.client(), {}, 401],
      ['another node’s certificate', (fixture) => nodeOf(fixture, { commonName: 'system:node:edge-2' }), {}, 401],
      ['an administrator’s certificate', (fixture) => nodeOf(fixture, { organization: 'system:masters' }), {}, 401],
      ['a serving certificate of the node', (fixture) => nodeOf(fixture, { usage: 'server' }), {}, 401],
      [
        'the credential of people on the node',
        (fixture) => ({
          cert: fixture.certificates.localReader.certificate,
          key: fixture.certificates.localReader.key,
        }),
        {},
        'local-reader',
      ],
      [
        'a self-signed credential of people on the node',
        () =>
          credential({
            subject: { organizations: ['holdfast.dev'], commonName: 'local-reader' },
            ...lastCentury,
            usage: 'client',
            names: [],
          }),
        {},
        401,
      ],
      [
        'a self-signed local credential',
        () =>
          credential({
            subject: { organizations: ['holdfast.dev'], commonName: 'system:node:edge-1' },
            ...lastCentury,
            usage: 'client',
            names: [],
          }),
        {},
        401,
      ],
      ['nothing', () => ({}), {}, 401],
      ['a basic password', () => ({}), { authorization: 'Basic YTpi' }, 401],
      ['identity headers only', () => ({}), { 'x-remote-user': 'system:node:edge-1' }, 401],
    ];
    test.each(cases)('%s', async (_name, client, headers, expected) => {
      const fixture = await start(mirror);
      const answer = await ask(fixture, '/api/v1/pods', { client: client(fixture), headers });
      const result = answer.status === 200 ? nameOf(seen(answer.body).identity) : statusOf(answer.body);
      expect(result).toEqual(typeof expected === 'string' ? expected : { kind: 'Status', reason: 'Unauthorized' });
      expect(fixture.peerQuestions()).toBe(0);
    });

    test.each([
      ['root', 200],
      ['not-root', 401],
      ['in-container', 401],
      ['unknown', 401],
    ] as const)('a kubelet whose certificate has expired presents none: peer %s', async (peer, status) => {
      const fixture = await start(mirror, { peer, own: new TestAuthority().client({ validity: lastCentury }) });
      expect((await ask(fixture, '/api/v1/pods', { client: {} })).status).toBe(status);
      expect(fixture.peerQuestions()).toBe(1);
    });
  });

  test.each([
    ['/api/v1/namespaces/a%2Fpods%2Fb', 400],
    ['/api/v1/namespaces/a%zz', 400],
    ['/api/v1/pods%00', 400],
    ['/api/v1/namespaces/a/services/b/proxy/x%2Fy', 200],
    ['/api/v1/pods?fieldSelector=a%2Fb', 200],
  ])('path %s is answered with %i', async (path, status) => {
    const fixture = await start(mirror);
    expect((await ask(fixture, path)).status).toBe(status);
  });

  test('TRACE is not served', async () => {
    const fixture = await start(mirror);
    expect((await ask(fixture, '/api/v1/pods', { method: 'TRACE' })).status).toBe(405);
  });
});

test('a certificate that names another address is what new connections get, and those that are open go on', async () => {
  const fixture = await start(mirror);
  const ask = async (session: ClientHttp2Session): Promise<number> =>
    (await h2Request(session, { ':path': '/version' })).status;
  // As a pod connects that finds the API server by the address of the Service.
  const connect = (): ClientHttp2Session => {
    const session = http2.connect(`https://127.0.0.1:${fixture.port}`, {
      ca: fixture.certificates.caCertificate,
      ...fixture.node,
      checkServerIdentity: (_host, { raw }) =>
        new X509Certificate(raw).checkIP('10.96.0.1') === undefined ? new Error('not its address') : undefined,
    });
    session.on('error', () => undefined);
    return session;
  };
  const open = h2Connect(fixture);
  expect(await ask(open)).toBe(200);
  await expect(ask(connect())).rejects.toThrow('not its address');
  fixture.front.serveWith((await fixture.certificatesFor(['127.0.0.1', '10.96.0.1'])).serving);
  const fresh = connect();
  expect([await ask(fresh), await ask(open)]).toEqual([200, 200]);
  for (const session of [open, fresh]) session.close();
});

test('interim answers reach the client', async () => {
  const fixture = await start(async (_request, response) => {
    response.interim(103, { link: '</a>; rel=preload' });
    response.head(200, {});
    response.end();
    await Promise.resolve();
  });
  const answer = await raw(fixture, 'GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  expect(answer).toMatch(/^HTTP\/1\.1 103 [^\r]*\r\nlink: <\/a>; rel=preload\r\n\r\nHTTP\/1\.1 200 /);
  const session = h2Connect(fixture);
  const stream = session.request({ ':path': '/a' });
  const [headers] = (await once(stream, 'headers')) as [Record<string, unknown>];
  expect(headers[':status']).toBe(103);
  session.destroy();
});

test('requests that two readers could read differently are refused, and nothing behind them is served', async () => {
  const asked: string[] = [];
  const fixture = await start((request, response) => {
    asked.push(request.target);
    return mirror(request, response);
  });
  const behind = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
  for (const head of [
    'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n',
    'POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n',
    'POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n',
    'GET /a HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n',
    'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET /\u0001 HTTP/1.1\r\nHost: a\r\n\r\n',
  ]) {
    const answer = await raw(fixture, head + behind);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).not.toContain('smuggled');
  }
  expect(asked).toEqual([]);
});

test.each([
  ['GET https://other/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 400],
  ['OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 400],
  ['GET /a#b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 400],
  ['CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 405],
  [`GET /a HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`, 431],
  [
    'GET /a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\nConnection: close\r\n\r\n',
    400,
  ],
])('request head case %#', async (text, status) => {
  const fixture = await start(mirror);
  expect(await raw(fixture, text)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
});

test('plaintext on the TLS port is closed without an HTTP answer', async () => {
  const fixture = await start(mirror);
  const socket = net.connect(fixture.port, '127.0.0.1');
  let answer = '';
  socket.on('data', (chunk) => (answer += chunk.toString('latin1')));
  socket.on('error', () => undefined);
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await once(socket, 'close');
  expect(answer).not.toContain('HTTP');
});

test('connections beyond the limit are refused, those within go on', async () => {
  const fixture = await start(mirror, { settings: { maxConnections: 2 } });
  const sessions = [h2Connect(fixture), h2Connect(fixture)];
  await Promise.all(sessions.map((session) => once(session, 'connect')));
  await expect(h1Request(fixture, { path: '/a' })).rejects.toThrow(/disconnected|ECONNRESET|EPIPE|hang up/);
  expect((await h2Request(sessions[0] as (typeof sessions)[0], { ':path': '/a' })).status).toBe(200);
  for (const session of sessions) session.destroy();
  expect(await fixture.metrics.text()).toContain('holdfast_yurthub_front_dropped_connections_total 1');
});

test('a client that stops reading is cut off, and what waits for it is bounded', async () => {
  const clock = new ManualClock();
  const aborted = deferred<void>();
  const full = deferred<number>();
  const fixture = await start(
    async (request, response) => {
      request.signal.addEventListener('abort', () => aborted.resolve());
      response.head(200, {});
      const chunk = Buffer.alloc(64 * 1024);
      while (response.write(chunk));
      full.resolve(response.queuedBytes);
      await Promise.resolve();
    },
    { clock },
  );
  const session = h2Connect(fixture);
  const stream = session.request({ ':path': '/api/v1/pods' });
  stream.on('error', () => undefined);
  expect(await full.promise).toBeLessThan(1_000_000);
  // The first look remembers, later ones compare. Bytes may still move into socket buffers between two looks.
  let over = false;
  void aborted.promise.then(() => (over = true));
  while (!over) {
    clock.advance(75_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await fixture.metrics.text()).toContain('holdfast_yurthub_front_stalled_clients_total 1');
  session.destroy();
  const stop = fixture.stop();
  fixtures.splice(fixtures.indexOf(fixture), 1);
  for (let count = 0; count < 20; count += 1) {
    clock.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await stop;
});

test.each([
  ['h1', 2_000],
  ['h2', 2_000],
  ['h2', 1 << 20],
] as const)('over %s, an answered upload of %d bytes is counted as answered', async (protocol, bytes) => {
  const fixture = await start(async (request, response) => {
    const body = await request.readBody(2 << 20);
    response.head(200, { 'content-length': String(body.length) });
    response.end(body);
  });
  const body = Buffer.alloc(bytes);
  if (protocol === 'h1') await h1Request(fixture, { method: 'PUT', path: '/api/v1/pods', body });
  else {
    const session = h2Connect(fixture);
    await h2Request(session, { ':method': 'PUT', ':path': '/api/v1/pods' }, body);
    session.close();
  }
  await fixture.stop();
  const text = await fixture.metrics.text();
  expect(text).toContain('holdfast_yurthub_front_requests_total{verb="write",code="2xx"} 1\n');
  expect(text).toContain('holdfast_yurthub_front_requests_total{verb="write",code="aborted"} 0\n');
});

test('over h2, an answer that a client leaves behind is counted as aborted', async () => {
  const fixture = await start(async (request, response) => {
    const body = await request.readBody(2 << 20);
    response.head(200, { 'content-length': String(body.length) });
    response.end(body);
  });
  const session = h2Connect(fixture);
  const stream = session.request({ ':method': 'PUT', ':path': '/api/v1/pods' });
  stream.on('error', () => undefined);
  stream.on('response', () => session.destroy());
  stream.end(Buffer.alloc(1 << 20));
  await once(stream, 'close');
  await fixture.stop();
  expect(await fixture.metrics.text()).toContain(
    'holdfast_yurthub_front_requests_total{verb="write",code="aborted"} 1\n',
  );
});

test('the stop lets a request finish, ends watches cleanly, and leaves nothing open', async () => {
  let signalled = false;
  const go = deferred<void>();
  const begun = deferred<void>();
  const fixture = await start(async (request, response) => {
    if (request.target === '/quick') {
      begun.resolve();
      await go.promise;
      response.head(200, {});
      response.end(Buffer.from('done'));
    } else {
      request.signal.addEventListener('abort', () => (signalled = true));
      response.head(200, {});
      response.write(Buffer.from('event'));
    }
  });
  fixtures.splice(fixtures.indexOf(fixture), 1);
  const session = h2Connect(fixture);
  const watch = session.request({ ':path': '/api/v1/pods?watch=1' });
  const watchClosed = once(watch, 'close');
  watch.on('error', () => undefined).resume();
  await once(watch, 'response');
  const quick = h2Request(session, { ':path': '/quick' });
  await begun.promise;
  const stopped = fixture.stop();
  go.resolve();
  expect((await quick).body.toString()).toBe('done');
  await stopped;
  await watchClosed;
  expect(watch.rstCode).toBe(0);
  expect(signalled).toBe(true);
  const text = await fixture.metrics.text();
  expect(text).toContain('holdfast_yurthub_front_open_connections 0');
  expect(text).toContain('holdfast_yurthub_front_open_streams 0');
});

test('a second hub on the same address is told so', async () => {
  const fixture = await start(mirror);
  const second = await startFront(mirror, { settings: { listen: [{ host: '127.0.0.1', port: 0 }] } });
  await second.stop();
  await expect(
    startFront(mirror, { settings: { listen: [{ host: '127.0.0.1', port: fixture.port }] } }).then((other) =>
      other.stop(),
    ),
  ).rejects.toMatchObject({ code: 'ERR_FRONT_LISTEN' });
});

test('an address that is not there leaves the others to serve', async () => {
  const fixture = await start(mirror, {
    settings: {
      listen: [
        { host: '192.0.2.1', port: 0 },
        { host: '127.0.0.1', port: 0 },
      ],
    },
  });
  expect(fixture.front.addresses.length).toBe(1);
  expect((await h1Request(fixture, { path: '/a' })).status).toBe(200);
});

// Thousands are for the hub as a whole (test/integration/client-faults.test.ts): the time for a handshake is bounded.
test('two hundred connections at once are all served, and all are gone afterwards', async () => {
  const fixture = await start(mirror);
  const secureContext = tls.createSecureContext({ ca: fixture.certificates.caCertificate, ...fixture.node });
  const served = await Promise.all(
    Array.from(
      { length: 200 },
      () =>
        new Promise<tls.TLSSocket>((resolve, reject) => {
          const socket = tls.connect({
            host: '127.0.0.1',
            port: fixture.port,
            secureContext,
            ALPNProtocols: ['http/1.1'],
          });
          socket.on('error', reject);
          socket.once('data', (chunk: Buffer) => {
            if (chunk.toString('latin1').startsWith('HTTP/1.1 200')) resolve(socket);
            else reject(new Error(chunk.toString('latin1')));
          });
          socket.write('GET /api/v1/pods HTTP/1.1\r\nHost: a\r\n\r\n');
        }),
    ),
  );
  expect(await fixture.metrics.text()).toContain('holdfast_yurthub_front_open_connections 200');
  for (const socket of served) socket.destroy();
  await fixture.stop();
  fixtures.splice(fixtures.indexOf(fixture), 1);
  const text = await fixture.metrics.text();
  expect(text).toContain('holdfast_yurthub_front_open_connections 0');
  expect(text).toContain('holdfast_yurthub_front_open_streams 0');
});

test('an upload of 512 MB passes with bounded memory', async () => {
  const fixture = await start(async (request, response) => {
    let bytes = 0;
    for await (const chunk of request.body ?? []) bytes += (chunk as Buffer).length;
    response.head(200, {});
    response.end(Buffer.from(String(bytes)));
  });
  const session = h2Connect(fixture);
  const stream = session.request({ ':path': '/upload', ':method': 'POST' });
  const before = process.memoryUsage().rss;
  let peak = before;
  const chunk = Buffer.alloc(1_000_000);
  for (let count = 0; count < 512; count += 1) {
    if (!stream.write(chunk)) await once(stream, 'drain');
    peak = Math.max(peak, process.memoryUsage().rss);
  }
  stream.end();
  let body = '';
  stream.on('data', (given: Buffer) => (body += given.toString()));
  await once(stream, 'end');
  expect(body).toBe('512000000');
  expect(peak - before).toBeLessThan(150_000_000);
  session.destroy();
});
