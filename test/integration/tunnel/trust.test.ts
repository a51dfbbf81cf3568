// Who may register: the node that a certificate of the cluster names, for itself, and nobody else.
import tls from 'node:tls';
import { SettingsError } from '../../../runtime/errors.ts';
import { alpnProtocol } from '../../../tunnel/wire.ts';
import { CertificateAuthority, type PemPair } from '../../cluster/certificates.ts';
import { eventually, metric, TunnelTest, type RunningServer } from './parts.ts';

let test_: TunnelTest;
let server: RunningServer;
beforeEach(async () => {
  test_ = new TunnelTest();
  server = await test_.server();
});
afterEach(() => test_.close());

/** Resolves when the server has ended the connection. */
async function knock(pair: PemPair | undefined, options: tls.ConnectionOptions = {}): Promise<void> {
  const socket = tls.connect({
    host: '127.0.0.1',
    port: server.addresses.agents.port,
    ca: test_.authority.pair.certificate,
    ALPNProtocols: [alpnProtocol],
    ...(pair === undefined ? {} : { cert: pair.certificate, key: pair.key }),
    ...options,
  });
  socket.on('error', () => undefined);
  socket.resume();
  await new Promise<void>((resolve) => void socket.once('close', () => resolve()));
}

const rejected = (reason: string): Promise<number> =>
  metric(server.metrics, `holdfast_tunnel_server_rejected_agents_total{reason="${reason}"}`);

test.each<[string, 'tls' | 'identity', (t: TunnelTest) => PemPair | undefined]>([
  ['no certificate', 'tls', () => undefined],
  [
    'a certificate of another CA',
    'tls',
    () => new CertificateAuthority('tunnel-test-ca').client('system:node:edge1', ['system:nodes']),
  ],
  [
    'an expired certificate',
    'tls',
    (t) => t.authority.client('system:node:edge1', ['system:nodes'], { notAfter: new Date(Date.now() - 60_000) }),
  ],
  ["a kubelet's serving certificate", 'tls', (t) => t.authority.server('system:node:edge1', ['edge1'])],
  ['an administrator', 'identity', (t) => t.authority.client('admin', ['system:masters'])],
  [
    'a name of a node without its group',
    'identity',
    (t) => t.authority.client('system:node:edge1', ['system:masters']),
  ],
  ['the group without a name of a node', 'identity', (t) => t.authority.client('edge1', ['system:nodes'])],
  [
    'a service account of that name',
    'identity',
    (t) => t.authority.client('system:serviceaccount:system:node:edge1', ['system:nodes']),
  ],
])('%s is turned away', async (_what, reason, pair) => {
  await knock(pair(test_));
  expect(await rejected(reason)).toBe(1);
  expect(await server.nodes()).toEqual([]);
});

test('TLS before 1.3 is refused', async () => {
  await knock(test_.node('edge1'), { maxVersion: 'TLSv1.2' });
  expect(await rejected('tls')).toBe(1);
});

test('the certificate of one node does not register another, and what it is asked for by that name is refused', async () => {
  const pem = test_.writePair('edge1.pem', test_.node('edge1'));
  expect(() =>
    test_.agent('edge2', [server.addresses.agents.port], { certificateFile: pem, keyFile: pem, nodeName: 'edge2' }),
  ).toThrow(SettingsError);
  test_.agent('edge1', [server.addresses.agents.port]);
  await eventually('edge1 is connected', async () => (await server.nodes()).length === 1);
  expect((await server.nodes()).map(({ node }) => node)).toEqual(['edge1']);
  expect((await test_.connect(server.socket, 'edge2:10250')).status).toBe(502);
});

test('a far end that never answers the hello is no node', async () => {
  const pair = test_.node('edge1');
  const closed = knock(pair);
  expect(await server.nodes()).toEqual([]);
  await server.stop();
  await closed;
});

test('the agent trusts no server of another CA, nor one whose certificate has another name', async () => {
  const other = new CertificateAuthority('other');
  const foreign = test_.agent('edge1', [server.addresses.agents.port], {
    serverCAFile: test_.write('other.crt', other.pair.certificate),
  });
  const misnamed = test_.agent('edge2', [server.addresses.agents.port], { serverName: 'tunnel.example.com' });
  for (const { metrics } of [foreign, misnamed]) {
    const failed = 'holdfast_tunnel_agent_connects_total{outcome="failed"}';
    await eventually('it gave up at least twice', async () => (await metric(metrics, failed)) >= 2);
  }
  expect([foreign.agent.connected, misnamed.agent.connected]).toEqual([0, 0]);
  expect(await server.nodes()).toEqual([]);
});
