// Against a server that answers with the bytes that a test wants.
import { once } from 'node:events';
import net from 'node:net';
import { systemClock, type Clock } from '../runtime/clock.ts';
import { KeptConnection } from './kept-connection.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});
const never = new AbortController().signal;

interface Far {
  readonly connection: KeptConnection;
  /** Connections so far. */
  readonly opened: () => number;
  readonly sockets: net.Socket[];
}

/** `answer`: what is written for each question, by its number; undefined: nothing. */
async function far(
  answer: (question: number, socket: net.Socket) => string | undefined,
  clock: Clock = systemClock,
): Promise<Far> {
  const sockets: net.Socket[] = [];
  let questions = 0;
  const server = net.createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', () => {
      const text = answer((questions += 1), socket);
      if (text !== undefined) socket.write(text);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => new Promise((resolve) => server.close(resolve)));
  closers.push(() => sockets.forEach((socket) => socket.destroy()));
  const { port } = server.address() as net.AddressInfo;
  const connection = new KeptConnection(
    {
      clock,
      open: async () => {
        const socket = net.connect(port, '127.0.0.1');
        socket.on('error', () => undefined);
        await once(socket, 'connect');
        return socket;
      },
    },
    { who: 'it', path: '/healthz', maxBodyBytes: 100, maxAgeMs: 60_000 },
  );
  closers.push(() => connection.close());
  return { connection, opened: () => sockets.length, sockets };
}

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

test('questions share a connection', async () => {
  const { connection, opened } = await far((question) => `HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${question}`);
  for (const number of ['1', '2', '3']) expect((await connection.ask(60_000, never)).body.toString()).toBe(number);
  expect(opened()).toBe(1);
});

test('a body may come in pieces', async () => {
  const { connection } = await far((_question, socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab', () => socket.write('cd', () => socket.write('ef')));
    return undefined;
  });
  expect(await connection.ask(60_000, never)).toEqual({ status: 200, body: Buffer.from('abcdef') });
});

test('a kept connection that has ended is replaced, and the question asked there', async () => {
  const { connection, opened, sockets } = await far(() => ok);
  await connection.ask(60_000, never);
  sockets[0]?.resetAndDestroy();
  expect(await connection.ask(60_000, never)).toMatchObject({ status: 200 });
  expect(opened()).toBe(2);
});

test('a kept connection that says nothing any more is replaced as well', async () => {
  const timers = new Set<() => void>();
  const clock: Clock = {
    ...systemClock,
    after: (_delayMs, callback) => {
      timers.add(callback);
      return { cancel: () => void timers.delete(callback) };
    },
  };
  const { connection, opened } = await far((question) => {
    if (question !== 2) return ok;
    for (const isDue of timers) isDue();
    return undefined;
  }, clock);
  await connection.ask(60_000, never);
  expect(await connection.ask(60_000, never)).toMatchObject({ status: 200 });
  expect(opened()).toBe(2);
});

test.each([
  ['no HTTP', 'SSH-2.0-x\r\n\r\n', 'its answer cannot be read'],
  ['more than it says', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc', 'it says more than it was asked'],
  ['a body too long', 'HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n', 'the answer is longer than 100 bytes'],
  ['a head without end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(9_000)}`, 'its answer cannot be read'],
])('%s is no answer', async (_what, text, problem) => {
  const { connection } = await far(() => text);
  await expect(connection.ask(60_000, never)).rejects.toMatchObject({
    code: 'ERR_PEER_ANSWER',
    message: `it: ${problem}`,
  });
});

test('of an answer that does not say how long its body is the status counts, and its connection is not kept', async () => {
  const { connection, opened } = await far(
    () => 'HTTP/1.1 500 Internal Server Error\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n',
  );
  for (let count = 0; count < 2; count += 1) expect(await connection.ask(60_000, never)).toMatchObject({ status: 500 });
  expect(opened()).toBe(2);
});

test('whoever is told to stop while it waits leaves no connection', async () => {
  const stop = new AbortController();
  const { connection, sockets } = await far(() => {
    stop.abort(new Error('stop'));
    return undefined;
  });
  await expect(connection.ask(60_000, stop.signal)).rejects.toThrow('stop');
  if (sockets[0]?.closed === false) await once(sockets[0], 'close');
});
