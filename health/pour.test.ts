import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { pour } from './pour.ts';

const open: net.Socket[] = [];
const servers: net.Server[] = [];
afterEach(async () => {
  for (const socket of open.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) {
    server.close();
    await once(server, 'close');
  }
});

/** Both ends of a connection. */
async function pair(): Promise<[net.Socket, net.Socket]> {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const near = net.connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
  const [far] = (await once(server, 'connection')) as [net.Socket];
  open.push(near, far);
  return [near, far];
}

async function received(socket: net.Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

test('all of it arrives as it was, and its memory is given back', async () => {
  const [source, from] = await pair();
  const [to, sink] = await pair();
  const seen: Buffer[] = [];
  from.on('data', (chunk) => seen.push(chunk));
  pour(from, to);
  const sent = randomBytes(3 << 20);
  source.end(sent);
  expect((await received(sink)).equals(sent)).toBe(true);
  expect(seen.length).toBeGreaterThan(10);
  expect(seen.map(({ buffer }) => buffer.byteLength)).toEqual(seen.map(() => 0));
});

test('what is part of a larger buffer is left alone', async () => {
  const [source, from] = await pair();
  const [to, sink] = await pair();
  const both = Buffer.from(new ArrayBuffer(8)).fill('headrest');
  from.unshift(both.subarray(0, 4));
  pour(from, to);
  source.end();
  expect((await received(sink)).toString()).toBe('head');
  expect(both.toString()).toBe('headrest');
});

test('who does not read holds back who writes', async () => {
  const [source, from] = await pair();
  const [to, sink] = await pair();
  pour(from, to);
  const block = Buffer.alloc(1 << 20);
  // More than kernels and streams hold.
  let written = 0;
  while (source.writableLength < 4 << 20 && written < 256 << 20) {
    source.write(block);
    written += block.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(to.writableLength).toBeLessThan(1 << 20);
  source.end();
  expect((await received(sink)).length).toBe(written);
});
