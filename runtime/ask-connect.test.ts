import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { askConnect } from './ask-connect.ts';

const seed = Number(process.env['HOLDFAST_FUZZ_SEED'] ?? 20_261_121);
const refused = (problem: string, cause?: unknown): Error => new Error(`relay: ${problem}`, { cause });

let server: net.Server;
let answer: (socket: Socket, request: string) => void;
const sockets = new Set<Socket>();

beforeEach(async () => {
  answer = () => undefined;
  server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    keep(socket).once('data', (chunk: Buffer) => answer(socket, chunk.toString('latin1')));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  server.close();
  await once(server, 'close');
});

function keep(socket: Socket): Socket {
  socket.on('error', () => undefined);
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
  return socket;
}

/** As its caller has it: nobody listens to its errors but who is tested. */
function connect(): Socket {
  const socket = net.connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  sockets.add(socket);
  return socket;
}

async function ask(socket: Socket, signal = new AbortController().signal): Promise<Socket> {
  await askConnect(socket, { authority: 'edge1:10250', fields: ['Proxy-Authorization: Basic eA=='], refused }, signal);
  return keep(socket);
}

async function text(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('latin1');
}

/** One after the other, each when the one before has been handed over. */
async function writeAll(socket: Socket, pieces: readonly string[]): Promise<void> {
  for (const piece of pieces) await new Promise<void>((resolve) => socket.write(piece, 'latin1', () => resolve()));
  socket.end();
}

test('the question has its fields, and what came behind the answer is read first', async () => {
  let question = '';
  answer = (socket, request) => {
    question = request;
    socket.end('HTTP/1.0 299 Yes\r\nContent-Length: 3\r\n\r\nfirst and more');
  };
  const socket = await ask(connect());
  expect(question).toBe('CONNECT edge1:10250 HTTP/1.1\r\nHost: edge1:10250\r\nProxy-Authorization: Basic eA==\r\n\r\n');
  expect(socket.isPaused()).toBe(true);
  expect(await text(socket)).toBe('first and more');
});

test('an answer may come in any pieces, and no byte behind it is lost', async () => {
  const whole = 'HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n\r\n\r\nHTTP/1.1 500 of somebody else';
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.integer({ min: 1, max: whole.length - 1 }), { maxLength: 5 }), async (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), whole.length];
      answer = (socket) =>
        void writeAll(
          socket,
          at.slice(1).map((to, i) => whole.slice(at[i], to)),
        );
      expect(await text(await ask(connect()))).toBe('\r\n\r\nHTTP/1.1 500 of somebody else');
    }),
    { seed, numRuns: 40 },
  );
});

test.each([
  ['a refusal', 'HTTP/1.1 403 Not Allowed\r\n\r\n', 'relay: answered "HTTP/1.1 403 Not Allowed"'],
  [
    'an interim answer',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
    'relay: answered "HTTP/1.1 100 Continue"',
  ],
  ['another protocol', 'SSH-2.0-x\r\n\r\n', 'relay: answered "SSH-2.0-x"'],
  ['no number of a status', 'HTTP/1.1 2000 OK\r\n\r\n', 'relay: answered "HTTP/1.1 2000 OK"'],
  ['control characters', 'HTTP/1.1 500 \x1b[2J\0\r\n\r\n', 'relay: answered "HTTP/1.1 500 \\u001b[2J\\u0000"'],
  ['a head without an end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(9_000)}`, 'relay: the head of its answer is too long'],
  ['half a head', 'HTTP/1.1 200 OK\r\n', 'relay: ended the connection'],
  ['nothing', '', 'relay: ended the connection'],
])('%s is no way, and the socket is gone', async (_what, reply, message) => {
  answer = (socket) => socket.end(reply, 'latin1');
  const socket = connect();
  await expect(ask(socket)).rejects.toThrow(new Error(message));
  expect(socket.destroyed).toBe(true);
});

test('random bytes never pass for an answer, and end nothing but their own connection', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      answer = (socket) => socket.end(bytes);
      await expect(ask(connect())).rejects.toThrow(/^relay: /);
    }),
    { seed, numRuns: 40 },
  );
});

test('an error of the socket is the cause', async () => {
  const socket = net.connect(path.join(tmpdir(), `nobody-${randomUUID()}.sock`));
  await expect(ask(socket)).rejects.toMatchObject({
    message: expect.stringContaining('relay: connect ENOENT'),
    cause: { code: 'ENOENT' },
  });
});

test('a connection that breaks before its answer is refused with what broke it', async () => {
  answer = (socket) => socket.resetAndDestroy();
  await expect(ask(connect())).rejects.toThrow(/^relay: .*ECONNRESET/);
});

test('who gives up gets its own reason, before and after the question', async () => {
  const aborted = AbortSignal.abort(new Error('too late'));
  const early = connect();
  await expect(ask(early, aborted)).rejects.toThrow('too late');
  expect(early.destroyed).toBe(true);
  const controller = new AbortController();
  answer = () => controller.abort(new Error('no more'));
  const late = connect();
  await expect(ask(late, controller.signal)).rejects.toThrow('no more');
  expect(late.destroyed).toBe(true);
});

test('a socket that is gone already is refused', async () => {
  const socket = connect();
  socket.destroy();
  await expect(ask(socket)).rejects.toThrow('relay: ended the connection');
});
