import { once } from 'node:events';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { systemClock } from '../runtime/clock.ts';
import { nullLog } from '../runtime/log.ts';
import { Metrics } from '../runtime/metrics.ts';
import { CertificateAuthority } from '../test/cluster/certificates.ts';
import { PeerCredentialFiles } from './credentials.ts';
import { dialPeer } from './dial-peer.ts';
import { HealthMetrics } from './metrics.ts';
import { eventually, PeerTest } from '../test/health/peer-test.ts';
import { PeerPort, peerPortLimits } from './peer-port.ts';
import { ProbeConnection } from './probe-connection.ts';

let test_: PeerTest;
beforeEach(() => (test_ = new PeerTest()));
afterEach(() => test_.close());

interface Served {
  readonly port: number;
  readonly asked: string[];
  readonly metrics: Metrics;
}

async function serve(
  credentials = test_.credentials('edge1'),
  limits: Partial<typeof peerPortLimits> = {},
): Promise<Served> {
  const asked: string[] = [];
  const metrics = new Metrics();
  const port = new PeerPort(
    {
      log: nullLog,
      clock: systemClock,
      metrics: new HealthMetrics(metrics),
      credentials,
      answer: (node) => {
        asked.push(node);
        return Promise.resolve({ node: 'edge1', kubelet: 'ok', wayOut: 'own', relays: true, pods: undefined });
      },
      relay: (_node, _request, socket) => socket.destroy(),
    },
    { listen: { host: '127.0.0.1', port: 0 }, ...peerPortLimits, ...limits },
    credentials.current()!,
  );
  const address = await port.listen();
  test_.defer(() => port.close());
  return { port: address.port, asked, metrics };
}

function connection(port: number, credentials = test_.credentials('edge2'), node = 'edge1'): ProbeConnection {
  const made = new ProbeConnection({ clock: systemClock, credentials }, { node, host: '127.0.0.1', port });
  test_.defer(() => made.close());
  return made;
}

const never = new AbortController().signal;

/** Sends bytes with a node's certificate and gives everything that comes back. */
async function talk(port: number, text: string): Promise<string> {
  const pair = test_.certificate('edge2');
  const socket = tls.connect({
    host: '127.0.0.1',
    port,
    cert: pair.certificate,
    key: pair.key,
    // Here and below the port is what is tested: whom a client believes is dial-peer's matter.
    rejectUnauthorized: false,
  });
  let heard = '';
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1')));
  socket.on('error', () => undefined);
  socket.write(text);
  await new Promise((resolve) => socket.once('close', resolve));
  return heard;
}

test('a peer that proves to be a node is told how this one is, over one connection', async () => {
  const { port, asked, metrics } = await serve();
  const probes = connection(port);
  const answer = { node: 'edge1', kubelet: 'ok', wayOut: 'own', relays: true, pods: undefined };
  expect(await probes.probe(5_000, never)).toEqual(answer);
  expect(await probes.probe(5_000, never)).toEqual(answer);
  expect(asked).toEqual(['edge2', 'edge2']);
  expect(await metrics.text()).toMatch(/holdfast_health_probes_answered_total 2\n/);
});

test('a probe finds its way again after the peer was restarted', async () => {
  const credentials = test_.credentials('edge1');
  const relay = net.createServer((near) => {
    const far = net.connect(first.port, '127.0.0.1');
    open.push(near, far);
    for (const socket of [near, far]) socket.on('error', () => undefined);
    near.pipe(far).pipe(near);
  });
  const open: net.Socket[] = [];
  const first = await serve(credentials);
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  test_.defer(() => new Promise((resolve) => relay.close(resolve)));
  test_.defer(() => open.forEach((socket) => socket.destroy()));
  const probes = connection((relay.address() as net.AddressInfo).port);
  await probes.probe(5_000, never);
  for (const socket of open.splice(0)) socket.resetAndDestroy();
  expect(await probes.probe(5_000, never)).toMatchObject({ node: 'edge1' });
});

test.each<[string, () => ReturnType<PeerTest['credentials']>, RegExp]>([
  [
    'a certificate that only names the same CA',
    () => test_.credentials('edge2', test_.certificate('edge2', new CertificateAuthority('kubernetes'))),
    /reason="tls"} 1/,
  ],
  [
    'an expired certificate',
    () =>
      test_.credentials(
        'edge2',
        test_.ca.client('system:node:edge2', ['system:nodes'], { notAfter: new Date(Date.now() - 60_000) }),
      ),
    /reason="tls"} 1/,
  ],
  [
    'a person of the same cluster',
    () => test_.credentials('edge2', test_.ca.client('alice', ['system:masters'])),
    /reason="subject"} 1/,
  ],
])('%s is turned away, and learns nothing', async (_who, credentials, counted) => {
  const { port, asked, metrics } = await serve();
  await expect(connection(port, credentials()).probe(5_000, never)).rejects.toThrow(
    /edge1 at|closed|ECONNRESET|alert|hang up/,
  );
  await eventually('it is counted', async () => counted.test(await metrics.text()));
  expect(asked).toEqual([]);
});

test('who shows no certificate is turned away', async () => {
  const { port, asked } = await serve();
  const socket = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  socket.on('error', () => undefined);
  socket.write('GET /probe HTTP/1.1\r\nHost: a\r\n\r\n');
  await new Promise((resolve) => socket.once('close', resolve));
  expect(asked).toEqual([]);
});

test('TLS 1.2 is not spoken', async () => {
  const { port } = await serve();
  const { certificate, key } = test_.certificate('edge2');
  const socket = tls.connect({
    host: '127.0.0.1',
    port,
    cert: certificate,
    key,
    maxVersion: 'TLSv1.2',
    rejectUnauthorized: false,
  });
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  expect(error.code).toMatch(/PROTOCOL_VERSION|ECONNRESET/);
});

describe('the far end', () => {
  /** Something with a certificate of its own choice at the address of edge1; `heard` is what it was told. */
  async function impostor(pair: { certificate: string; key: string }): Promise<{ port: number; heard: () => number }> {
    let heard = 0;
    const server = https.createServer({ cert: pair.certificate, key: pair.key }, (_request, response) => {
      heard += 1;
      response.end(JSON.stringify({ node: 'edge1', kubelet: 'ok', wayOut: 'own', relays: true }));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    test_.defer(() => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    });
    return { port: (server.address() as net.AddressInfo).port, heard: () => heard };
  }

  test.each<[string, () => { certificate: string; key: string }, RegExp]>([
    ["another node's certificate", () => test_.certificate('edge3'), /it is edge3/],
    [
      'a certificate of a CA with the same name',
      () => test_.certificate('edge1', new CertificateAuthority('kubernetes')),
      /no node's: issuer/,
    ],
    [
      'an expired certificate',
      () => test_.ca.client('system:node:edge1', ['system:nodes'], { notAfter: new Date(Date.now() - 60_000) }),
      /no node's: validity/,
    ],
    [
      'a serving certificate for that very name',
      () => test_.ca.server('system:node:edge1', ['127.0.0.1']),
      /no node's: usage/,
    ],
    ['a certificate of a person', () => test_.ca.client('alice', ['system:masters']), /no node's: subject/],
  ])('with %s is asked nothing', async (_what, pair, problem) => {
    const { port, heard } = await impostor(pair());
    await expect(connection(port).probe(5_000, never)).rejects.toThrow(problem);
    expect(heard()).toBe(0);
  });
});

test('a dial tells how far it got', async () => {
  const credentials = test_.credentials('edge2').current()!;
  const parts = { clock: systemClock, credentials };
  const accepted: net.Socket[] = [];
  const silent = net.createServer((socket) => void accepted.push(socket));
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as net.AddressInfo;
  const dial = (): Promise<unknown> => dialPeer(parts, { node: 'edge1', host: '127.0.0.1', port }, 500, never);
  await expect(dial()).rejects.toMatchObject({ reach: 'tcp' });
  for (const socket of accepted) socket.destroy();
  await new Promise((resolve) => silent.close(resolve));
  await expect(dial()).rejects.toMatchObject({ reach: 'refused' });
});

test.each([
  'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST /probe HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc',
  'GET /probe HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'GET /probe?x=1 HTTP/1.1\r\nHost: a\r\n\r\n',
])('nothing but the probe is answered: %j', async (text) => {
  const { port, asked } = await serve();
  expect(await talk(port, text)).toMatch(/^HTTP\/1\.1 404 /);
  expect(asked).toEqual([]);
});

test('a head that is too long ends the connection', async () => {
  const { port, asked } = await serve();
  await talk(port, `GET /probe HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(10_000)}\r\n\r\n`);
  expect(asked).toEqual([]);
});

test('one address gets so many connections and no more', async () => {
  const { port, metrics } = await serve(undefined, { maxPerAddress: 2 });
  const two = [connection(port), connection(port)];
  for (const each of two) await each.probe(5_000, never);
  await expect(connection(port).probe(5_000, never)).rejects.toThrow(/edge1 at/);
  await eventually('it is counted', async () => /reason="limit"} 1/.test(await metrics.text()));
  two[0]?.close();
  await eventually('there is room again', () =>
    connection(port)
      .probe(5_000, never)
      .then(
        () => true,
        () => false,
      ),
  );
});

test('certificates and CA are taken up when they are renewed', async () => {
  const next = new CertificateAuthority('kubernetes');
  let nowMs = 0;
  const clock = { ...systemClock, monotonicMs: () => nowMs };
  const credentials = new PeerCredentialFiles({ log: nullLog, clock }, test_.sources('edge1'));
  const { port } = await serve(credentials);
  const renewed = test_.credentials('edge2', test_.certificate('edge2', next), next);
  await expect(connection(port, renewed).probe(5_000, never)).rejects.toThrow(/no node's: issuer/);
  test_.sources('edge1', test_.certificate('edge1', next), next);
  nowMs += 60_000;
  // The first connection may still meet the old ones: it is what makes the port look.
  await eventually('the new CA counts on both sides', () =>
    connection(port, renewed)
      .probe(5_000, never)
      .then(
        () => true,
        () => false,
      ),
  );
});

test.each([
  ['a second question before the answer to the first', 'GET /probe HTTP/1.1\r\n\r\nGET /probe HTTP/1.1\r\n\r\n'],
  ['HTTP/1.0', 'GET /probe HTTP/1.0\r\nHost: a\r\n\r\n'],
])('%s is refused', async (_what, text) => {
  const { port, asked } = await serve();
  expect(await talk(port, text)).toMatch(/^HTTP\/1\.1 404 /);
  expect(asked).toEqual([]);
});
