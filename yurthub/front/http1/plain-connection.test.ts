// Connections whose requests are plain, and their way to node's parser: whatever way the bytes come, each request is answered
// once and in order, by one of the two.
import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';
import tls from 'node:tls';
import fc from 'fast-check';
import type { FrontParts } from '../front.ts';
import { startFront, type FrontFixture } from '../front-fixture.ts';

let fixture: FrontFixture;
/** Targets, as they were asked for. */
let asked: string[];
const sockets: TLSSocket[] = [];

const handler: FrontParts['handler'] = async (request, response) => {
  asked.push(`${request.method} ${request.target}`);
  const body = await request.readBody(1_000);
  const answer = Buffer.from(`${request.method} ${request.target} ${body.toString('latin1')};`);
  if (request.target === '/chunked') {
    response.head(200, {});
    response.write(answer.subarray(0, 3));
    response.write(answer.subarray(3));
    response.end(undefined, { 'x-late': 'yes' });
  } else {
    response.head(200, { 'content-length': String(answer.length), date: 'today' });
    response.end(answer);
  }
};

beforeEach(async () => {
  asked = [];
  fixture = await startFront(handler);
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await fixture.stop();
});

async function connect(): Promise<TLSSocket> {
  const socket = tls.connect({
    port: fixture.port,
    host: '127.0.0.1',
    ca: fixture.certificates.caCertificate,
    ...fixture.node,
    ALPNProtocols: ['http/1.1'],
  });
  sockets.push(socket);
  socket.on('error', () => undefined);
  socket.setNoDelay(true);
  await once(socket, 'secureConnect');
  return socket;
}

/** Everything that comes back until the connection is closed; the pieces arrive one by one. */
async function exchange(pieces: readonly string[]): Promise<string> {
  const socket = await connect();
  let answer = '';
  socket.on('data', (chunk) => (answer += chunk.toString('latin1')));
  const closed = once(socket, 'close');
  for (const piece of pieces) {
    socket.write(piece, 'latin1');
    await new Promise((resolve) => setImmediate(resolve));
  }
  await closed;
  return answer;
}

const get = (target: string, ...fields: string[]): string =>
  [`GET ${target} HTTP/1.1`, 'Host: hub', ...fields, '', ''].join('\r\n');
const post = (target: string, body: string): string =>
  `POST ${target} HTTP/1.1\r\nHost: hub\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const last = get('/last', 'Connection: close');
/** What was answered, without heads. */
const answers = (text: string): string[] => text.match(/(?:GET|POST) \/\w+ \w*;/g) ?? [];

test('an answer has a head, its own fields and a stated length', async () => {
  const text = await exchange([get('/a'), last]);
  expect(text.startsWith('HTTP/1.1 200 OK\r\ncontent-length: 8\r\ndate: today\r\n\r\nGET /a ;HTTP/1.1 200')).toBe(true);
});

test('an answer of unknown length comes in chunks, with its trailers', async () => {
  const text = await exchange([get('/chunked'), last]);
  expect(text).toContain('transfer-encoding: chunked\r\n\r\n');
  expect(text).toContain('0\r\nx-late: yes\r\n\r\nHTTP/1.1 200');
  const body = text.slice(text.indexOf('\r\n\r\n') + 4, text.indexOf('0\r\nx-late'));
  expect(body.replaceAll(/[0-9a-f]+\r\n([^\r]*)\r\n/g, '$1')).toBe('GET /chunked ;');
});

test('HEAD has the head of GET, and the next answer follows it', async () => {
  const text = await exchange([get('/a').replace('GET', 'HEAD'), last]);
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\ncontent-length: 9\r\ndate: today\r\n\r\nHTTP\/1\.1 200/);
});

test('requests behind one another are answered in order, also across the change to node’s parser', async () => {
  const text = await exchange([`${get('/a')}${get('/b')}${post('/c', 'body')}${get('/d')}${last}`]);
  expect(answers(text)).toEqual(['GET /a ;', 'GET /b ;', 'POST /c body;', 'GET /d ;', 'GET /last ;']);
});

test('whatever way the bytes are cut, the answers are the same', async () => {
  const whole = `${get('/a')}${get('/b', 'X-Long: '.padEnd(200, 'x'))}${post('/c', 'GET /never HTTP/1.1')}${get('/d')}${last}`;
  const cuts = fc.array(fc.nat(whole.length), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(cuts, async (places) => {
      asked = [];
      const at = [0, ...places.toSorted((a, b) => a - b), whole.length];
      await exchange(at.slice(1).map((to, index) => whole.slice(at[index], to)));
      expect(asked).toEqual(['GET /a', 'GET /b', 'POST /c', 'GET /d', 'GET /last']);
    }),
    { numRuns: 25 },
  );
});

test('a request that cannot be read behind one that can: 400 by node’s parser, and nothing behind it is served', async () => {
  const bad = 'GET /bad HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n';
  const text = await exchange([get('/a') + bad + get('/smuggled')]);
  expect(answers(text)).toEqual(['GET /a ;']);
  expect(text).toContain('HTTP/1.1 400 ');
  expect(asked).toEqual(['GET /a']);
});

test('a client that sends without end ahead of its answers is read no further', async () => {
  await fixture.stop();
  fixture = await startFront(() => new Promise(() => undefined));
  const socket = await connect();
  socket.write(get('/held'));
  // More than the sockets of both sides hold: it comes to a stop only if the hub stops reading.
  const chunk = Buffer.alloc(1 << 20, 'x');
  let sent = 0;
  let stalled = false;
  while (!stalled && sent < 64) {
    sent += 1;
    stalled = !socket.write(chunk) && !(await Promise.race([once(socket, 'drain'), later()]));
  }
  expect(stalled).toBe(true);
});

/** False after a while in which a reader on loopback would have taken a megabyte many times over. */
const later = (): Promise<false> => new Promise((resolve) => setTimeout(() => resolve(false), 2_000));

test('a client that leaves is noticed, and its request with it', async () => {
  await fixture.stop();
  const left = Promise.withResolvers<void>();
  fixture = await startFront(
    (request) =>
      new Promise(() => {
        request.signal.addEventListener('abort', () => left.resolve());
        socket.end();
      }),
  );
  const socket = await connect();
  socket.write(get('/held'));
  await left.promise;
});

test('the stop closes what is idle and lets an answer be finished', async () => {
  await fixture.stop();
  const waiting = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  fixture = await startFront(async (_request, response) => {
    waiting.resolve();
    await go.promise;
    response.head(200, { 'content-length': '4' });
    response.end(Buffer.from('done'));
  });
  const [idle, busy] = [await connect(), await connect()];
  let text = '';
  busy.on('data', (chunk) => (text += chunk.toString('latin1')));
  idle.resume();
  busy.write(get('/a'));
  await waiting.promise;
  const closed = [once(idle, 'close'), once(busy, 'close')];
  const stopped = fixture.stop();
  await closed[0];
  go.resolve();
  await closed[1];
  expect(text).toMatch(/done$/);
  await stopped;
});
