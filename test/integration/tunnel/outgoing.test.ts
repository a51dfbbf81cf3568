// Edge to cloud and edge to edge: the agent's local port, with the policy of both ends.
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { claimPort } from '../../cluster/ports.ts';
import { eventually, metric, readAll, roundTrip, TunnelTest, type RunningServer } from './parts.ts';

let test_: TunnelTest;
beforeEach(() => void (test_ = new TunnelTest()));
afterEach(() => test_.close());

/** An agent with a local port that may ask for `targets`; the port. */
async function agentWithPort(servers: readonly RunningServer[], targets: readonly string[]): Promise<number> {
  const local = await claimPort();
  const ports = servers.map(({ addresses }) => addresses.agents.port);
  const flags = { localListen: `127.0.0.1:${local}`, localTargets: targets };
  const { agent } = test_.agent('edge1', ports, flags);
  await eventually('edge1 is connected', () => agent.connected === servers.length);
  await eventually('the local port is open', async () => {
    const probe = net.connect(local, '127.0.0.1');
    const isOpen = await Promise.race([
      once(probe, 'connect').then(() => true),
      once(probe, 'error').then(() => false),
    ]).catch(() => false);
    probe.destroy();
    return isOpen;
  });
  return local;
}

/** CONNECT at the local port: the first line of the answer, and the connection. */
async function connect(local: number, authority: string): Promise<{ line: string; socket: net.Socket }> {
  const socket = net.connect({ port: local, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => undefined);
  test_.defer(() => void socket.destroy());
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const [head] = (await once(socket, 'data')) as [Buffer];
  socket.pause();
  return { line: head.toString().split('\r\n')[0] ?? '', socket };
}

test('CONNECT reaches a target in the cloud, and the late reply to a half-close arrives', async () => {
  const target = `localhost:${await test_.echo()}`;
  const server = await test_.server({ outgoing: [`*=${target}`] });
  const { line, socket } = await connect(await agentWithPort([server], [target]), target);
  expect(line).toBe('HTTP/1.1 200 Connection established');
  expect(await roundTrip(socket, 'hello')).toBe('hello');
  socket.end('late');
  expect((await readAll(socket)).toString()).toBe('latebye');
  expect(await metric(server.metrics, 'holdfast_tunnel_server_dials_total{way="edge",outcome="direct"}')).toBe(1);
});

test('requests for http:// are forwarded', async () => {
  const web = http.createServer((request, response) => response.end(`${request.method} ${request.url}`));
  await new Promise<void>((resolve) => void web.listen(0, '127.0.0.1', resolve));
  test_.defer(async () => {
    web.closeAllConnections();
    await new Promise((resolve) => web.close(resolve));
  });
  const target = `localhost:${(web.address() as AddressInfo).port}`;
  const server = await test_.server({ outgoing: [`*=${target}`] });
  const local = await agentWithPort([server], [target]);
  const body = await new Promise<string>((resolve, reject) => {
    http
      .get({ host: '127.0.0.1', port: local, path: `http://${target}/page?x=1`, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve(text));
      })
      .on('error', reject);
  });
  expect(body).toBe('GET /page?x=1');
});

test('another node is reached by its name, as its own agent allows', async () => {
  const port = await test_.echo();
  const server = await test_.server({ outgoing: ['*=edge2:*'] });
  test_.agent('edge2', [server.addresses.agents.port], { kubeletAddress: `127.0.0.1:${port}` });
  const local = await agentWithPort([server], ['edge2:*']);
  await eventually('both are connected', async () => (await server.nodes()).length === 2);
  const { socket } = await connect(local, `edge2:${port}`);
  expect(await roundTrip(socket, 'hello')).toBe('hello');
  expect((await connect(local, 'edge2:22')).line).toMatch(
    /^HTTP\/1\.1 403 .*port 22 of this node is not listed in allowPorts/,
  );
});

test('each end refuses by its own list, and says which', async () => {
  const port = await test_.echo();
  const server = await test_.server({ outgoing: ['*=allowed.example.com:443'] });
  const local = await agentWithPort([server], [`localhost:${port}`]);
  expect((await connect(local, 'other.example.com:443')).line).toBe(
    'HTTP/1.1 403 no entry of localTargets allows other.example.com:443',
  );
  expect((await connect(local, `localhost:${port}`)).line).toMatch(
    /^HTTP\/1\.1 403 .*node edge1, which is in no pool, may not reach localhost:\d+: no entry of outgoing allows it$/,
  );
});

test('a server without a list takes no such connection', async () => {
  const port = await test_.echo();
  const local = await agentWithPort([await test_.server()], [`localhost:${port}`]);
  expect((await connect(local, `localhost:${port}`)).line).toMatch(
    /^HTTP\/1\.1 503 no tunnel server takes connections/,
  );
});

test('a server ends: what was open is cut, and the next connection goes by another', async () => {
  const target = `localhost:${await test_.echo()}`;
  const servers = [
    await test_.server({ outgoing: [`*=${target}`], drainTimeoutMs: '0' }),
    await test_.server({ outgoing: [`*=${target}`] }),
  ];
  const local = await agentWithPort(servers, [target]);
  const first = await connect(local, target);
  expect(await roundTrip(first.socket, 'one')).toBe('one');
  const line = 'holdfast_tunnel_server_dials_total{way="edge",outcome="direct"}';
  const counts = await Promise.all(servers.map(({ metrics }) => metric(metrics, line)));
  const cut = readAll(first.socket).then(
    () => 'an end',
    (error: NodeJS.ErrnoException) => error.code,
  );
  await servers[counts.indexOf(1)]?.stop();
  expect(await cut).toBe('ECONNRESET');
  const second = await connect(local, target);
  expect(await roundTrip(second.socket, 'two')).toBe('two');
});
