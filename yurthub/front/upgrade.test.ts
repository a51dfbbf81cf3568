import { once } from 'node:events';
import net from 'node:net';
import tls, { type TLSSocket } from 'node:tls';
import { deferred, startFront, TestAuthority, type FrontFixture } from './front-fixture.ts';

const serverAuthority = new TestAuthority();
const serverCredential = serverAuthority.client({ usage: 'server' });

interface Upstream {
  readonly port: number;
  readonly connections: TLSSocket[];
  /** The TCP connections underneath. */
  readonly raw: net.Socket[];
  readonly close: () => void;
}

/** A TLS server that gives each request head to `onHead` and leaves the connection to it. */
async function upstream(onHead: (socket: TLSSocket, head: string) => void): Promise<Upstream> {
  const connections: TLSSocket[] = [];
  const raw: net.Socket[] = [];
  const server = tls.createServer({ ...serverCredential, allowHalfOpen: true }, (socket) => {
    connections.push(socket);
    socket.on('error', () => undefined);
    let head = '';
    const onData = (chunk: Buffer): void => {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      socket.off('data', onData);
      onHead(socket, head);
    };
    socket.on('data', onData);
  });
  server.on('connection', (socket: net.Socket) => raw.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as net.AddressInfo).port,
    connections,
    raw,
    close: () => {
      server.close();
      for (const socket of connections) socket.destroy();
    },
  };
}

const dial = (port: number) => async (): Promise<TLSSocket> => {
  const socket = tls.connect({
    host: '127.0.0.1',
    port,
    ca: serverAuthority.pem,
    ALPNProtocols: ['http/1.1'],
  });
  await once(socket, 'secureConnect');
  return socket;
};

const switching =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Protocol: v4\r\n\r\n';
const spdy =
  'POST /api/v1/namespaces/a/pods/b/exec?command=sh HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n' +
  'X-Remote-User: admin\r\nX-Stream-Protocol-Version: v4\r\nX-Stream-Protocol-Version: v3\r\nContent-Length: 0\r\n\r\n';
const webSocket =
  'GET /api/v1/namespaces/a/pods/b/exec HTTP/1.1\r\nHost: hub\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n';

const running: { stop: () => Promise<void> | void }[] = [];
afterEach(async () => {
  for (const one of running.splice(0).toReversed()) await one.stop();
});

async function setup(
  onHead: (socket: TLSSocket, head: string) => void,
): Promise<{ front: FrontFixture; server: Upstream }> {
  const server = await upstream(onHead);
  const front = await startFront(() => Promise.reject(new Error('not for upgrades')), { dialRaw: dial(server.port) });
  running.push({ stop: server.close }, front);
  return { front, server };
}

function connect(front: FrontFixture, head: string, client: tls.ConnectionOptions = front.node): TLSSocket {
  const socket = tls.connect({
    host: '127.0.0.1',
    port: front.port,
    ca: front.certificates.caCertificate,
    ...client,
    ALPNProtocols: ['http/1.1'],
    allowHalfOpen: true,
  } as tls.ConnectionOptions);
  socket.on('error', () => undefined);
  socket.write(head);
  return socket;
}

async function readAll(socket: TLSSocket): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString('latin1')));
  await once(socket, 'end');
  return text;
}

test.each([
  ['SPDY by POST', spdy],
  ['WebSocket by GET', webSocket],
])('%s: half-close of the client reaches the server, which then still answers', async (_name, request) => {
  let seenHead = '';
  const { front } = await setup((socket, head) => {
    seenHead = head;
    socket.write(switching);
    let got = '';
    socket.on('data', (chunk) => (got += chunk.toString()));
    // Only after the client's end: what comes now travels along a connection that is half closed.
    socket.on('end', () => socket.end(`after the end: ${got}`));
  });
  // The data comes together with the head: it must not be lost.
  const client = connect(front, `${request}early `);
  const answer = readAll(client);
  client.end('late');
  expect(await answer).toMatch(/^HTTP\/1\.1 101 [\s\S]*X-Protocol: v4\r\n\r\nafter the end: early late$/);
  expect(seenHead).toMatch(/\r\nhost: 127\.0\.0\.1:\d+\r\n/i);
  expect(seenHead).toMatch(/\r\nconnection: Upgrade\r\n/i);
  expect(seenHead).not.toMatch(/x-remote|keep-alive/i);
  expect(seenHead.match(/x-stream-protocol-version/gi)?.length).toBe(request === spdy ? 2 : undefined);
});

test('half-close of the server reaches the client, which can still send', async () => {
  const received = deferred<string>();
  const { front } = await setup((socket) => {
    socket.end(`${switching}bye`);
    let got = '';
    socket.on('data', (chunk) => (got += chunk.toString()));
    socket.on('end', () => received.resolve(got));
  });
  const client = connect(front, spdy);
  expect(await readAll(client)).toMatch(/bye$/);
  client.end('still here');
  expect(await received.promise).toBe('still here');
});

test('10 MB go both ways, byte for byte', async () => {
  const { front } = await setup((socket) => {
    socket.write(switching);
    socket.pipe(socket);
  });
  const client = connect(front, spdy);
  let bytes = -switching.length;
  client.on('data', (chunk) => (bytes += chunk.length));
  client.end(Buffer.alloc(10_000_000, 'x'));
  await once(client, 'end');
  expect(bytes).toBe(10_000_000);
});

test('an abort of either side reaches the other', async () => {
  const ready = deferred<void>();
  const { front, server } = await setup((socket) => {
    socket.write(switching);
    socket.resume();
    // TLS without a close_notify: node reports an end, as Go reports an unexpected EOF.
    socket.on('end', () => socket.end());
    ready.resolve();
  });
  const tcp = net.connect(front.port, '127.0.0.1');
  const first = connect(front, spdy, { ...front.node, socket: tcp });
  await once(first, 'data');
  await ready.promise;
  const upstreamClosed = once(server.connections[0] as TLSSocket, 'close');
  tcp.resetAndDestroy();
  await upstreamClosed;
  const second = connect(front, spdy);
  await once(second, 'data');
  const secondClosed = once(second, 'close');
  server.raw[1]?.resetAndDestroy();
  // Ended from the other side: an orderly end by the hub would leave this half open.
  second.resume();
  second.on('end', () => second.end());
  await secondClosed;
});

test('a refusal by the API server is passed on, and the connection ends with it', async () => {
  const { front, server } = await setup((socket) => {
    socket.write(
      'HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsorr\r\n1\r\ny\r\n0\r\n\r\n',
    );
    socket.on('end', () => socket.end());
    socket.resume();
  });
  const client = connect(front, `${spdy}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`);
  const answer = await readAll(client);
  expect(answer).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/);
  expect(answer).toMatch(/Connection: close\r\n\r\nsorry$/);
  client.end();
  if (server.connections[0]?.destroyed === false) await once(server.connections[0], 'close');
});

test('no API server: 503 Status; no identity: 401; a body: 400', async () => {
  const front = await startFront(() => Promise.resolve());
  running.push(front);
  const answers: [string, tls.ConnectionOptions, number][] = [
    [spdy, front.node, 503],
    [spdy, {}, 401],
    [spdy.replace('Content-Length: 0', 'Content-Length: 3') + 'abc', front.node, 400],
    [spdy.replace('/pods/', '/p%2Fds/'), front.node, 400],
  ];
  for (const [request, client, code] of answers) {
    const socket = connect(front, request, client);
    const answer = await readAll(socket);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${code} `));
    expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4))).toMatchObject({ kind: 'Status', code });
    socket.destroy();
  }
});

test('the stop of the hub ends upgraded connections', async () => {
  const { front } = await setup((socket) => {
    socket.write(switching);
    socket.resume();
  });
  const client = connect(front, spdy);
  await once(client, 'data');
  const closed = once(client, 'close');
  client.on('end', () => client.end());
  await front.stop();
  running.splice(1, 1);
  await closed;
  expect(await front.metrics.text()).toContain('holdfast_yurthub_front_open_upgrades 0');
});
