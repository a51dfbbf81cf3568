// Connections of HTTP/1.1 against a server that says exactly what it is told to: what is written, and when a connection is
// used again.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import tls from 'node:tls';
import { caPem, hubRequest, issue, RecordedResponse, TestUplink } from './far-end.ts';

let server: tls.Server;
let hub: TestUplink;
let connections: RawConnection[];

class RawConnection {
  readonly socket: tls.TLSSocket;
  received = '';
  closed = false;

  constructor(socket: tls.TLSSocket) {
    this.socket = socket;
    socket.on('error', () => undefined);
    socket.on('close', () => (this.closed = true));
    socket.on('data', (bytes: Buffer) => (this.received += bytes.toString('latin1')));
  }
}

/** `answer` is asked again whenever something has arrived; what it returns is sent once, and `received` begins anew. */
async function start(answer: (received: string, index: number) => string | undefined): Promise<void> {
  connections = [];
  server = tls.createServer({ ...issue('kube-apiserver', 'server'), ALPNProtocols: ['http/1.1'] }, (socket) => {
    const connection = new RawConnection(socket);
    const index = connections.push(connection) - 1;
    socket.on('data', () => {
      const text = answer(connection.received, index);
      if (text === undefined) return;
      connection.received = '';
      socket.write(Buffer.from(text, 'latin1'));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  // No HTTP/2 here: that the path is not known to be lost is all that is needed of it.
  hub = new TestUplink(
    [url],
    { probeMinMs: 60_000, probeMaxMs: 60_000, unansweredMs: 60_000 },
    {
      ca: caPem,
      ...issue('system:node:edge1', 'client'),
    },
  );
  await hub.credentials.load();
}

afterEach(async () => {
  await hub.start();
  await hub.stop();
  for (const { socket } of connections) socket.destroy();
  server.close();
  await once(server, 'close');
});

const head = 'HTTP/1.1 200 OK\r\n';
const isWhole = (text: string): boolean => text.endsWith('\r\n\r\n');

async function get(target = '/a'): Promise<RecordedResponse> {
  const response = new RecordedResponse();
  await hub.uplink.forward(hubRequest(target), response);
  return response;
}

test('a request is written with its host and without what concerns one connection', async () => {
  let asked = '';
  await start((received) => {
    asked = received;
    return `${head}Content-Length: 0\r\n\r\n`;
  });
  const headers = { 'x-a': ['1', '2'], connection: 'x-hop', 'x-hop': '1', te: 'trailers', host: 'evil', expect: 'a' };
  await hub.uplink.forward(hubRequest('/a?b=c', { headers }), new RecordedResponse());
  const { port } = server.address() as AddressInfo;
  expect(asked).toBe(`GET /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nx-a: 1\r\nx-a: 2\r\n\r\n`);
});

test.each([
  ['a value', { headers: { 'x-a': 'b\r\nx-evil: 1' } }],
  ['a list', { headers: { 'x-a': ['b', 'c\n'] } }],
  ['a name', { headers: { 'x-a: b\r\nx-evil': '1' } }],
  ['a method', { method: 'GET /evil HTTP/1.1\r\n' }],
  ['a length', { method: 'POST', headers: { 'content-length': '1e3 ' }, body: Readable.from([]) }],
])('%s that would be more than that is never written', async (_what, options) => {
  await start(() => `${head}Content-Length: 0\r\n\r\n`);
  const forwarding = hub.uplink.forward(hubRequest('/a', options), new RecordedResponse());
  await expect(forwarding).rejects.toMatchObject({ code: 'ERR_CLOUD_UNREACHABLE', sent: false });
  expect(connections.map(({ received }) => received).join('')).toBe('');
});

test('a connection is used again after a whole answer', async () => {
  await start((received, index) => (isWhole(received) ? `${head}Content-Length: 1\r\n\r\n${index}` : undefined));
  expect((await get()).text).toBe('0');
  expect((await get()).text).toBe('0');
});

test.each([
  ['says close', `${head}Connection: close\r\nContent-Length: 1\r\n\r\n`],
  ['is HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n'],
])('a connection whose answer %s is not', async (_why, text) => {
  await start((received, index) => (isWhole(received) ? `${text}${index}` : undefined));
  expect((await get()).text).toBe('0');
  expect((await get()).text).toBe('1');
});

test('what comes behind an answer is given to nobody, and ends the connection', async () => {
  const evil = `${head}Content-Length: 4\r\n\r\nevil`;
  await start((received, index) =>
    isWhole(received) ? `${head}Content-Length: 1\r\n\r\n${index}${index === 0 ? evil : ''}` : undefined,
  );
  expect((await get()).text).toBe('0');
  expect((await get()).text).toBe('1');
});

test('bytes on an idle connection end it', async () => {
  await start((received, index) => (isWhole(received) ? `${head}Content-Length: 1\r\n\r\n${index}` : undefined));
  expect((await get()).text).toBe('0');
  const idle = connections[0] as RawConnection;
  const closed = once(idle.socket, 'close');
  idle.socket.write(`${head}Content-Length: 4\r\n\r\nevil`);
  await closed;
  expect((await get()).text).toBe('1');
});

test('an answer that may be read in two ways is none', async () => {
  await start(() => `${head}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`);
  await expect(get()).rejects.toMatchObject({
    code: 'ERR_CLOUD_UNREACHABLE',
    sent: true,
    cause: { code: 'ERR_ANSWER_SYNTAX' },
  });
});

test('an answer without a length ends with its connection', async () => {
  await start((received) => {
    if (!isWhole(received)) return undefined;
    const { socket } = connections[0] as RawConnection;
    socket.write(`${head}\r\nall `);
    socket.end('of it');
    return undefined;
  });
  const response = await get();
  expect(response).toMatchObject({ text: 'all of it', outcome: 'ended' });
});

test('a connection that the server is about to close is not used again', async () => {
  await start((received, index) =>
    isWhole(received) ? `${head}Keep-Alive: timeout=1\r\nContent-Length: 1\r\n\r\n${index}` : undefined,
  );
  expect((await get()).text).toBe('0');
  const { socket, closed } = connections[0] as RawConnection;
  if (!closed) await once(socket, 'close');
  expect((await get()).text).toBe('1');
});

test('an answer before the end of the request body is passed on, and the connection is closed', async () => {
  await start((received) =>
    received.includes('5\r\nfirst\r\n') ? `${head}Content-Length: 5\r\n\r\nearly` : undefined,
  );
  const body = new Readable({ read: () => undefined });
  body.push('first');
  const response = new RecordedResponse();
  await hub.uplink.forward(hubRequest('/a', { method: 'POST', body }), response);
  expect(response).toMatchObject({ text: 'early', outcome: 'ended' });
  const { socket, closed } = connections[0] as RawConnection;
  if (!closed) await once(socket, 'close');
  body.destroy();
});

test.each([
  ['shorter', 299_999],
  ['longer', 300_001],
])('a body %s than its content-length is never taken for whole', async (_how, bytes) => {
  await start(() => undefined);
  // Too long to be held: it is sent as it comes.
  const request = {
    method: 'POST',
    headers: { 'content-length': '300000' },
    body: Readable.from([Buffer.alloc(bytes)]),
  };
  const forwarding = hub.uplink.forward(hubRequest('/a', request), new RecordedResponse());
  await expect(forwarding).rejects.toMatchObject({ code: 'ERR_CLOUD_UNREACHABLE', sent: true });
});

test('PUT, POST and PATCH without a body say so', async () => {
  const asked: string[] = [];
  await start((received) => {
    asked.push(received.split('\r\n').slice(2, -2).join());
    return `${head}Content-Length: 0\r\n\r\n`;
  });
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'GET'])
    await hub.uplink.forward(hubRequest('/a', { method }), new RecordedResponse());
  expect(asked).toEqual(['content-length: 0', 'content-length: 0', 'content-length: 0', '', '']);
});
