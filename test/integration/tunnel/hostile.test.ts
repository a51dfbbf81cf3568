// Far ends that are not what they should be: agents that register and then hang, break or lie, proxies that refuse, clients that
// send nonsense. Whoever else uses the tunnel must not notice.
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import http2, { type ServerHttp2Stream } from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { alpnProtocol, helloPath } from '../../../tunnel/wire.ts';
import { eventually, metric, readAll, roundTrip, TunnelTest, type RunningServer } from './parts.ts';

let test_: TunnelTest;
beforeEach(() => (test_ = new TunnelTest()));
afterEach(() => test_.close());

/** An agent that says hello as it should, and then does with a CONNECT what `serve` says. */
async function agentThat(
  server: RunningServer,
  node: string,
  serve: (stream: ServerHttp2Stream, session: http2.ServerHttp2Session) => void,
): Promise<void> {
  const pair = test_.node(node);
  const socket = tls.connect({
    host: '127.0.0.1',
    port: server.addresses.agents.port,
    ca: test_.authority.pair.certificate,
    cert: pair.certificate,
    key: pair.key,
    ALPNProtocols: [alpnProtocol],
  });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  const session = http2.performServerHandshake(socket);
  session.on('error', () => undefined);
  session.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    if (headers[':path'] === helloPath) stream.respond({ ':status': 200 }, { endStream: true });
    else serve(stream, session);
  });
  test_.defer(() => session.destroy());
  await eventually(`${node} is connected`, async () => (await server.nodes()).some((each) => each.node === node));
}

test('an agent that never answers a dial: the deadline answers, and nothing is left', async () => {
  const server = await test_.server({ dialTimeoutMs: '500' });
  await agentThat(server, 'edge1', () => undefined);
  const before = readdirSync('/proc/self/fd').length;
  const asked = Array.from({ length: 20 }, () => test_.connect(server.socket, 'edge1:10250'));
  for (const { socket, status, reason, statusLine } of await Promise.all(asked)) {
    expect([status, reason]).toEqual([504, 'timeout']);
    expect(statusLine).toContain('dial edge1:10250: no answer in 500 ms');
    socket.destroy();
  }
  await eventually('no stream is left', async () => (await server.nodes())[0]?.streams === 0);
  await eventually('no descriptor is left', () => readdirSync('/proc/self/fd').length <= before);
});

test('a thousand dials to it that clients cancel leave no descriptor and no stream', async () => {
  const server = await test_.server({ maxStreamsPerNode: '2000' });
  let seen = 0;
  await agentThat(server, 'edge1', () => (seen += 1));
  const before = readdirSync('/proc/self/fd').length;
  for (let round = 0; round < 10; round += 1) {
    const clients = Array.from({ length: 100 }, () => {
      const client = net.connect(server.socket);
      client.on('error', () => undefined);
      client.write('CONNECT edge1:10250 HTTP/1.1\r\nHost: x\r\n\r\n');
      return client;
    });
    await eventually('the dials have reached the agent', () => seen === 100 * (round + 1));
    for (const client of clients) client.destroy();
    await eventually('they are cancelled', async () => (await server.nodes())[0]?.streams === 0);
  }
  await eventually('no descriptor is left', () => readdirSync('/proc/self/fd').length <= before);
  const cancelled = 'holdfast_tunnel_server_dials_total{way="egress",outcome="cancelled"}';
  expect(await metric(server.metrics, cancelled)).toBe(1000);
});

test.each<[string, (stream: ServerHttp2Stream, session: http2.ServerHttp2Session) => void, number, string]>([
  ['resets the stream', (stream) => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR), 502, 'broken'],
  ['ends the connection', (_stream, session) => session.destroy(), 502, 'broken'],
  ['answers without a reason', (stream) => stream.respond({ ':status': 418 }, { endStream: true }), 502, 'failed'],
  [
    'gives a reason that there is not, and a text that breaks out of its line',
    (stream) =>
      stream.respond(
        { ':status': 502, 'holdfast-reason': 'constructor', 'holdfast-detail': `${'x'.repeat(2000)} \u00ff\u0080 y` },
        { endStream: true },
      ),
    502,
    'failed',
  ],
])('an agent that %s gets its own caller refused', async (_what, serve, status, reason) => {
  const server = await test_.server();
  await agentThat(server, 'edge1', serve);
  const answer = await test_.connect(server.socket, 'edge1:10250');
  expect([answer.status, answer.reason]).toEqual([status, reason]);
  expect(answer.statusLine).toMatch(/^[\x20-\x7e]{1,400}$/);
});

test('an agent that floods is held back by the window while its client does not read', async () => {
  const server = await test_.server();
  let sent = 0;
  await agentThat(server, 'edge1', (stream) => {
    stream.respond({ ':status': 200 });
    const pour = (): void => {
      do sent += 64 * 1024;
      while (stream.write(Buffer.alloc(64 * 1024)));
    };
    stream.on('drain', pour);
    pour();
  });
  const { socket, status } = await test_.connect(server.socket, 'edge1:10250');
  expect(status).toBe(200);
  let before = -1;
  await eventually('it stands still', async () => {
    const still = sent === before;
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 300));
    return still;
  });
  expect(sent).toBeLessThan(8 << 20);
  socket.destroy();
});

test.each([
  ['a GET', 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', /^HTTP\/1\.1 405 /],
  ['a version that there is not', 'CONNECT edge1:10250 HTTP/9\r\n\r\n', /^HTTP\/1\.1 400 /],
  ['TLS', '\x16\x03\x01 nonsense\r\n\r\n', /^HTTP\/1\.1 400 /],
  ['a target without its bracket', 'CONNECT [::1:1 HTTP/1.1\r\nHost: x\r\n\r\n', /^HTTP\/1\.1 400 /],
  ['a head that is too long', `CONNECT ${'a'.repeat(17_000)}:1 HTTP/1.1\r\n\r\n`, /^HTTP\/1\.1 431 /],
])('a client that sends %s is told so, and the next one is served', async (_what, text, answer) => {
  const server = await test_.server();
  const client = net.connect(server.socket);
  client.on('error', () => undefined);
  client.write(text);
  expect((await readAll(client)).toString('latin1')).toMatch(answer);
  const port = await test_.echo();
  const { socket } = await test_.connect(server.socket, `127.0.0.1:${port}`);
  expect(await roundTrip(socket, 'ping')).toBe('ping');
});

describe('through an HTTP proxy', () => {
  async function proxy(answer: (head: string) => string | undefined): Promise<{ port: number; heads: string[] }> {
    const heads: string[] = [];
    const port = await test_.target((socket) => {
      socket.once('data', (chunk: Buffer) => {
        const head = chunk.toString('latin1');
        heads.push(head);
        const refusal = answer(head);
        if (refusal !== undefined) {
          socket.end(refusal);
          return;
        }
        const [, host = '', to = ''] = /^CONNECT ([^:]+):(\d+) /.exec(head) ?? [];
        const far = net.connect({ host, port: Number(to) });
        far.on('error', () => socket.destroy());
        far.once('connect', () => {
          socket.write('HTTP/1.1 200 OK\r\nVia: somebody\r\n\r\n');
          socket.pipe(far);
          far.pipe(socket);
        });
        socket.once('close', () => far.destroy());
        far.once('close', () => socket.destroy());
      });
    });
    return { port, heads };
  }

  test('the agent goes out by CONNECT, with the credentials of the URL, and the server still sees its certificate', async () => {
    const server = await test_.server();
    const { port, heads } = await proxy(() => undefined);
    const echo = await test_.echo();
    const environment = { httpsProxy: `http://user:secret@127.0.0.1:${port}`, noProxy: '' };
    test_.agent('edge1', [server.addresses.agents.port], { kubeletAddress: `127.0.0.1:${echo}` }, environment);
    await eventually('connected', async () => (await server.nodes()).length === 1);
    expect(heads[0]).toContain(`CONNECT 127.0.0.1:${server.addresses.agents.port} HTTP/1.1\r\n`);
    expect(heads[0]).toContain(`Proxy-Authorization: Basic ${Buffer.from('user:secret').toString('base64')}\r\n`);
    const { socket } = await test_.connect(server.socket, `edge1:${echo}`);
    expect(await roundTrip(socket, 'around')).toBe('around');
  });

  test('what NO_PROXY names is dialled directly', async () => {
    const server = await test_.server();
    const { port, heads } = await proxy(() => undefined);
    const environment = { httpsProxy: `http://127.0.0.1:${port}`, noProxy: '127.0.0.0/8' };
    test_.agent('edge1', [server.addresses.agents.port], {}, environment);
    await eventually('connected', async () => (await server.nodes()).length === 1);
    expect(heads).toEqual([]);
  });

  test('a proxy that refuses is asked again later, and connects when it has changed its mind', async () => {
    const server = await test_.server();
    let open = false;
    const { port, heads } = await proxy(() =>
      open ? undefined : 'HTTP/1.1 407 Proxy Authentication Required\r\n\r\n',
    );
    const environment = { httpsProxy: `http://127.0.0.1:${port}`, noProxy: '' };
    test_.agent('edge1', [server.addresses.agents.port], {}, environment);
    await eventually('it was refused twice', () => heads.length >= 2);
    open = true;
    await eventually('connected', async () => (await server.nodes()).length === 1);
  });
});
