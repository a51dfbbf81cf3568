import { once } from 'node:events';
import net from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { TcpRelay } from './tcp-relay.ts';

let echo: Server;
let relay: TcpRelay;
const clients: Socket[] = [];

beforeEach(async () => {
  // Sends everything back, and 'bye' once the other side has finished: half-close is seen end to end.
  echo = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => void (socket.write(chunk) || socket.pause()));
    socket.on('drain', () => socket.resume());
    socket.on('end', () => socket.end('bye'));
  });
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  relay = new TcpRelay({ host: '127.0.0.1', port: (echo.address() as AddressInfo).port }, { port: 0 });
  await relay.listen();
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await relay.close();
  echo.close();
  await once(echo, 'close');
});

async function connect(): Promise<Socket> {
  const client = net.connect({ host: '127.0.0.1', port: relay.port, allowHalfOpen: true });
  client.on('error', () => undefined);
  clients.push(client);
  await once(client, 'connect');
  return client;
}

/** `once` would reject on the error that comes before. */
async function closed(client: Socket): Promise<void> {
  if (!client.closed) await new Promise<void>((resolve) => void client.once('close', () => resolve()));
}

async function roundTrip(client: Socket, text: string): Promise<string> {
  client.write(text);
  const [chunk] = (await once(client, 'data')) as [Buffer];
  return chunk.toString();
}

test('bytes pass both ways, and a half-closed connection still gets its answer', async () => {
  const client = await connect();
  await expect(roundTrip(client, 'one')).resolves.toBe('one');
  client.end('two');
  let rest = '';
  for await (const chunk of client) rest += String(chunk);
  expect(rest).toBe('twobye');
});

test('refuse resets what is open and refuses what is new; after heal the same port works', async () => {
  const client = await connect();
  await roundTrip(client, 'one');
  const { port } = relay;
  await relay.cut('refuse');
  await closed(client);
  const refused = net.connect(port, '127.0.0.1');
  const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
  expect(error.code).toBe('ECONNREFUSED');
  await relay.heal();
  expect(relay.port).toBe(port);
  await expect(roundTrip(await connect(), 'two')).resolves.toBe('two');
});

test('in a black hole nothing arrives and nothing ends; after heal everything that was sent arrives in order', async () => {
  const old = await connect();
  await roundTrip(old, 'one');
  await relay.cut('blackhole');
  const young = await connect();
  const seen: string[] = [];
  old.on('data', (chunk) => seen.push(`old ${chunk.toString()}`));
  young.on('data', (chunk) => seen.push(`young ${chunk.toString()}`));
  old.write('two');
  young.write('three');
  // Another connection around the relay proves that time enough has passed for an answer.
  const direct = net.connect((echo.address() as AddressInfo).port, '127.0.0.1');
  clients.push(direct);
  await roundTrip(direct, 'x');
  await roundTrip(direct, 'y');
  expect(seen).toEqual([]);
  expect([old.closed, young.closed]).toEqual([false, false]);

  const arrived = Promise.all([once(old, 'data'), once(young, 'data')]);
  await relay.heal();
  await arrived;
  expect(seen.toSorted()).toEqual(['old two', 'young three']);
});

test('a client that gives up during a black hole leaves nothing behind', async () => {
  await relay.cut('blackhole');
  const client = await connect();
  client.resetAndDestroy();
  await relay.heal();
  await expect(roundTrip(await connect(), 'one')).resolves.toBe('one');
  await relay.cut('refuse');
  expect(relay.connections).toBe(0);
});

test('a reader that stops holds the sender back instead of filling memory', async () => {
  const mib = 1024 * 1024;
  const client = await connect();
  client.pause();
  client.write(Buffer.alloc(64 * mib));
  // The echo comes back to a client that does not read, until every buffer between is full and nothing moves.
  for (let still = 0, last = -1; still < 500; still += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    const sent = client.bytesWritten - client.writableLength;
    if (sent !== last) still = 0;
    last = sent;
  }
  expect(client.writableLength).toBeGreaterThan(32 * mib);
  client.destroy();
  await closed(client);
});

test('a target that refuses ends the client instead of leaving it waiting', async () => {
  const dead = net.createServer().listen(0, '127.0.0.1');
  await once(dead, 'listening');
  const { port } = dead.address() as AddressInfo;
  dead.close();
  await once(dead, 'close');
  const other = new TcpRelay({ host: '127.0.0.1', port }, { port: 0 });
  await other.listen();
  const client = net.connect(other.port, '127.0.0.1');
  client.on('error', () => undefined);
  await closed(client);
  await other.close();
});
