import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { ManualClock } from '../runtime/manual-clock.ts';
import { CertificateAuthority } from '../test/cluster/certificates.ts';
import { isClosedBelow } from './closed-below.ts';
import { Liveness, livenessDefaults } from './liveness.ts';

const authority = new CertificateAuthority('test-ca');
const pair = authority.server('server', ['127.0.0.1']);

let server: net.Server;
let accepted: Promise<net.Socket>;
const sockets: net.Socket[] = [];

beforeEach(async () => {
  server = net.createServer();
  accepted = new Promise((resolve) => server.once('connection', (socket) => resolve(keep(socket))));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server.close();
  await once(server, 'close');
});

function keep<S extends net.Socket>(socket: S): S {
  sockets.push(socket);
  return socket.on('error', () => undefined);
}

function connect(): net.Socket {
  return keep(net.connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }));
}

/** What Node.js does while it waits for a write. */
function stopReading(socket: net.Socket): void {
  (socket as unknown as { _handle: { readStop(): void } })._handle.readStop();
}

test('a connection that its peer has reset is closed, though nobody reads from it', async () => {
  const socket = connect();
  await once(socket, 'connect');
  const far = await accepted;
  stopReading(socket);
  expect(isClosedBelow(socket)).toBe(false);
  far.resetAndDestroy();
  await once(far, 'close');
  expect([isClosedBelow(socket), socket.destroyed]).toEqual([true, false]);
});

test('one whose peer has only ended is not: there may be more to say', async () => {
  const socket = connect();
  await once(socket, 'connect');
  const far = await accepted;
  stopReading(socket);
  far.end();
  await once(far, 'finish');
  expect(isClosedBelow(socket)).toBe(false);
});

test('of what has no connection below nothing can be told', () => {
  expect(isClosedBelow(new net.Socket())).toBe(false);
  expect(isClosedBelow({} as net.Socket)).toBe(false);
});

test('a session over TLS that was reset while it did not read ends with its streams after two pings, not after 20 s', async () => {
  const tcp = connect();
  const far = await accepted;
  const secure = tls.createServer({ cert: pair.certificate, key: pair.key, ALPNProtocols: ['h2'] }, (peer) => {
    const served = http2.performServerHandshake(peer.on('error', () => undefined));
    served.on('error', () => undefined).on('stream', (each) => each.on('error', () => undefined).respond());
  });
  secure.emit('connection', far);
  const near = tls.connect({ socket: tcp, host: '127.0.0.1', ca: authority.pair.certificate, ALPNProtocols: ['h2'] });
  near.on('error', () => undefined);
  await once(near, 'secureConnect');
  const session = http2.connect('https://127.0.0.1', { createConnection: () => near });
  session.on('error', () => undefined);
  const stream = session.request({}, { endStream: false }).on('error', () => undefined);
  await once(stream, 'response');

  const clock = new ManualClock();
  const seen: string[] = [];
  new Liveness({ clock, session }, livenessDefaults, {
    suspect: () => seen.push('suspect'),
    dead: () => seen.push('dead'),
    roundTrip: () => undefined,
  }).start();
  stopReading(near);
  const broken = once(stream, 'close');
  far.resetAndDestroy();
  await once(far, 'close');
  expect([isClosedBelow(near), session.destroyed]).toEqual([true, false]);
  clock.advance(2 * livenessDefaults.pingIntervalMs);
  expect([seen, session.destroyed]).toEqual([['dead'], true]);
  await broken;
});
