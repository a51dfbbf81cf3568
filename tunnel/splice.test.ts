// The join of a TCP connection with an HTTP/2 stream, as both ends of the tunnel have it: client ⇄ server ⇄ agent ⇄ target.
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { http2End, socketEnd, splice, type SpliceResult } from './splice.ts';

const open: { destroy(): void }[] = [];
let results: Promise<SpliceResult>[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.destroy();
  results = [];
});

function keep<T extends { destroy(): void }>(each: T): T {
  open.push(each);
  return each;
}

async function listening(serve: (socket: net.Socket) => void): Promise<number> {
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => undefined);
    serve(keep(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push({ destroy: () => server.close() });
  return (server.address() as AddressInfo).port;
}

/** A client of a tunnel whose target behaves as `serve` says. */
async function client(serve: (socket: net.Socket) => void): Promise<net.Socket> {
  const target = await listening(serve);
  const agent = await listening((socket) => {
    const session = keep(http2.performServerHandshake(socket));
    session.on('error', () => undefined);
    session.on('stream', (stream) => {
      stream.on('error', () => undefined);
      const far = keep(net.connect({ port: target, host: '127.0.0.1', allowHalfOpen: true }));
      far.once('connect', () => {
        stream.respond({ ':status': 200 });
        results.push(splice(http2End(stream), socketEnd(far)));
      });
    });
  });
  const session = keep(http2.connect(`http://127.0.0.1:${agent}`));
  session.on('error', () => undefined);
  const server = await listening((socket) => {
    const stream = session.request({ ':method': 'CONNECT', ':authority': 'x:1' }, { endStream: false });
    stream.on('error', () => undefined);
    stream.once('response', () => results.push(splice(socketEnd(socket), http2End(stream))));
  });
  const near = keep(net.connect({ port: server, host: '127.0.0.1', allowHalfOpen: true }));
  near.on('error', () => undefined);
  await once(near, 'connect');
  return near;
}

/** How the client saw it end: with an orderly end, or with an error and no end. */
function ending(near: net.Socket): Promise<string> {
  return new Promise((resolve) => {
    let ended = false;
    near.on('end', () => (ended = true));
    near.on('error', (error: NodeJS.ErrnoException) => resolve(`${ended ? 'end, then ' : ''}${error.code}`));
    near.on('close', (hadError) => {
      if (!hadError) resolve('end');
    });
    near.resume();
  });
}

test('a target that resets is a reset for the client, never an end', async () => {
  const near = await client((socket) => socket.once('data', () => socket.resetAndDestroy()));
  const seen = ending(near);
  near.write('x');
  expect(await seen).toBe('ECONNRESET');
  for (const result of await Promise.all(results)) expect(result.outcome).toBe('reset');
});

test('a target that sends and then resets is not taken for one that ended', async () => {
  const near = await client((socket) =>
    socket.once('data', () => {
      socket.write(Buffer.alloc(100_000));
      setImmediate(() => socket.resetAndDestroy());
    }),
  );
  const seen = ending(near);
  near.write('x');
  expect(await seen).toBe('ECONNRESET');
});

test('a client that resets is a reset for the target', async () => {
  const target = Promise.withResolvers<string>();
  const near = await client((socket) => {
    socket.removeAllListeners('error');
    socket.once('data', () => socket.write('y'));
    void ending(socket).then(target.resolve);
  });
  near.write('x');
  await once(near, 'data');
  near.resetAndDestroy();
  expect(await target.promise).toBe('ECONNRESET');
});

test('each direction ends by itself, and both ends count the bytes', async () => {
  const near = await client((socket) => {
    socket.resume();
    socket.on('end', () => socket.end('late reply'));
  });
  near.end(Buffer.alloc(300_000));
  let text = '';
  for await (const chunk of near) text += String(chunk);
  expect(text).toBe('late reply');
  for (const { outcome, forthBytes, backBytes } of await Promise.all(results))
    expect({ outcome, bytes: [forthBytes, backBytes] }).toEqual({ outcome: 'ended', bytes: [300_000, 10] });
});

test('a target that ends first can still be written to', async () => {
  const got = Promise.withResolvers<string>();
  const near = await client((socket) => {
    let text = '';
    socket.end('hello');
    socket.on('data', (chunk) => (text += String(chunk)));
    socket.on('end', () => got.resolve(text));
  });
  near.resume();
  await once(near, 'end');
  near.end('afterwards');
  expect(await got.promise).toBe('afterwards');
});

test.each(['target', 'client'])(
  'a %s that sends much and closes at once: a slow reader gets all of it, and then the end',
  async (who) => {
    const whole = 8 << 20;
    const closes = (socket: net.Socket): void => void socket.end(Buffer.alloc(whole), () => socket.destroy());
    const reader = Promise.withResolvers<net.Socket>();
    const near = await client((socket) => (who === 'target' ? closes(socket) : reader.resolve(socket)));
    if (who === 'target') reader.resolve(near);
    else closes(near);
    const slow = await reader.promise;
    let bytes = 0;
    for await (const chunk of slow) {
      bytes += (chunk as Buffer).length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    slow.end();
    expect(bytes).toBe(whole);
    for (const { outcome, forthBytes, backBytes } of await Promise.all(results))
      expect({ outcome, bytes: who === 'target' ? backBytes : forthBytes }).toEqual({ outcome: 'ended', bytes: whole });
  },
);
