// A connection of HTTP/2, byte by byte: what RFC 9113 says a server does, and what a hostile client does not get.
import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';
import tls from 'node:tls';
import fc from 'fast-check';
import { h2Connect, h2Request, startFront, type FrontFixture } from '../front-fixture.ts';
import type { FrontParts } from '../front.ts';
import { ErrorCode } from '../../http2/errors.ts';
import { Flag, frame, FrameType, numbersFrame, preface, Setting, settingsFrame } from '../../http2/frames.ts';

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

const none = Buffer.alloc(0);
const literal = (name: string, value: string): string =>
  `\0${String.fromCharCode(name.length)}${name}${String.fromCharCode(value.length)}${value}`;
/** GET / over https; `more` are further fields. */
const block = (...more: string[]): Buffer => Buffer.from(`\x82\x87\x84${more.join('')}`, 'latin1');
const postBlock = (...more: string[]): Buffer => Buffer.from(`\x83\x87\x84${more.join('')}`, 'latin1');
const headers = (id: number, flags: number = Flag.endHeaders | Flag.endStream, content = block()): Buffer =>
  frame(FrameType.headers, flags, id, content);
const data = (id: number, content: string | Buffer, flags = 0): Buffer =>
  frame(FrameType.data, flags, id, Buffer.from(content as string));
const settings = (...given: [number, number][]): Buffer => settingsFrame(given);

/** The client's side, as raw as the test wants it. */
class RawClient {
  readonly socket: TLSSocket;
  readonly frames: Frame[] = [];
  closed = false;
  #held: Buffer = none;
  #wake: () => void = () => undefined;

  constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.#held = Buffer.concat([this.#held, bytes]);
      while (this.#held.length >= 9 && this.#held.length >= 9 + this.#held.readUIntBE(0, 3)) {
        const end = 9 + this.#held.readUIntBE(0, 3);
        const [type, flags] = [this.#held[3] ?? 0, this.#held[4] ?? 0];
        this.frames.push({ type, flags, id: this.#held.readUInt32BE(5), payload: this.#held.subarray(9, end) });
        this.#held = this.#held.subarray(end);
      }
      this.#wake();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  send(...bytes: Buffer[]): void {
    this.socket.write(Buffer.concat(bytes));
  }

  /** The first such frame, now or later; the error says what came instead. */
  async next(type: number, id?: number): Promise<Frame> {
    for (;;) {
      const at = this.frames.findIndex((given) => given.type === type && (id === undefined || given.id === id));
      if (at >= 0) return this.frames.splice(at, 1)[0] as Frame;
      if (this.closed) throw new Error(`closed, with ${JSON.stringify(this.frames)}`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async goAway(): Promise<number> {
    return (await this.next(FrameType.goAway)).payload.readUInt32BE(4);
  }

  async reset(id: number): Promise<number> {
    return (await this.next(FrameType.rstStream, id)).payload.readUInt32BE(0);
  }
}

let fixture: FrontFixture;
let asked: string[];
const clients: RawClient[] = [];

const echo: FrontParts['handler'] = async (request, response) => {
  asked.push(`${request.method} ${request.target}`);
  const body = request.body === null ? Buffer.from('hello') : await request.readBody(1_000_000);
  response.head(200, { 'content-length': String(body.length) });
  response.end(body);
};

async function open(handler: FrontParts['handler'] = echo, greeting: Buffer = settings()): Promise<RawClient> {
  asked = [];
  fixture = await startFront(handler);
  return await connect(greeting);
}

async function connect(greeting: Buffer = settings()): Promise<RawClient> {
  const socket = tls.connect({
    port: fixture.port,
    host: '127.0.0.1',
    ca: fixture.certificates.caCertificate,
    ...fixture.node,
    ALPNProtocols: ['h2'],
  });
  const client = new RawClient(socket);
  clients.push(client);
  await once(socket, 'secureConnect');
  client.send(preface, greeting);
  return client;
}

afterEach(async () => {
  for (const { socket } of clients.splice(0)) socket.destroy();
  await fixture.stop();
});

test('a GET is answered by a head and a body that ends the stream', async () => {
  const client = await open();
  client.send(headers(1));
  expect((await client.next(FrameType.headers, 1)).payload.toString('latin1')).toBe('\x88\0\x0econtent-length\x015');
  expect(await client.next(FrameType.data, 1)).toMatchObject({ flags: Flag.endStream, payload: Buffer.from('hello') });
});

test('a body is sent as the windows let it, also when settings change them', async () => {
  const client = await open(echo, settings([Setting.initialWindowSize, 0]));
  client.send(headers(1));
  await client.next(FrameType.headers, 1);
  client.send(settings([Setting.initialWindowSize, 1]));
  expect(await client.next(FrameType.data, 1)).toMatchObject({ flags: 0, payload: Buffer.from('h') });
  client.send(numbersFrame(FrameType.windowUpdate, 1, 2));
  expect(await client.next(FrameType.data, 1)).toMatchObject({ flags: 0, payload: Buffer.from('el') });
  client.send(settings([Setting.initialWindowSize, 100]));
  expect(await client.next(FrameType.data, 1)).toMatchObject({ flags: Flag.endStream, payload: Buffer.from('lo') });
});

test('a window that changes before the answer is there', async () => {
  const client = await open();
  client.send(settings([Setting.initialWindowSize, 0]));
  client.send(headers(1), settings([Setting.initialWindowSize, 1]));
  expect(await client.next(FrameType.data, 1)).toMatchObject({ flags: 0, payload: Buffer.from('h') });
});

test('requests that a real client encodes arrive as they were, Huffman code and table included', async () => {
  await open(async (request, response) => {
    response.head(200, { 'x-back': request.headers['x-text'] ?? '', 'x-target': request.target });
    response.end();
    await Promise.resolve();
  });
  const session = h2Connect(fixture);
  const text = fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)) });
  await fc.assert(
    fc.asyncProperty(text, fc.webQueryParameters(), async (value, query) => {
      const path = `/a?${query.replaceAll(/[^\x21\x22\x24-\x7e]/g, '')}`;
      const { headers: given } = await h2Request(session, { ':path': path, 'x-text': value });
      expect([given['x-back'], given['x-target']]).toEqual([value.trim(), path]);
    }),
    { numRuns: 100 },
  );
  session.destroy();
});

test('an upload may go on as fast as it is read, and no faster', async () => {
  const go = Promise.withResolvers<void>();
  let read = 0;
  const client = await open(async (request, response) => {
    await go.promise;
    for await (const chunk of request.body!) read += (chunk as Buffer).length;
    response.head(200, { 'content-length': '0' });
    response.end();
  });
  const window = 128 * 1024;
  client.send(headers(1, Flag.endHeaders, postBlock()));
  for (let sent = 0; sent < window; sent += 16_384) client.send(data(1, Buffer.alloc(16_384)));
  client.send(frame(FrameType.ping, 0, 0, Buffer.alloc(8)));
  await client.next(FrameType.ping);
  // What was put into buffers at once came back; no more than that was let through.
  const credit = client.frames.filter(({ type, id }) => type === FrameType.windowUpdate && id === 1);
  expect(credit.reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0)).toBeLessThanOrEqual(window);
  go.resolve();
  client.send(data(1, none, Flag.endStream));
  await client.next(FrameType.headers, 1);
  expect(read).toBe(window);
});

test.each<[string, Buffer[], number]>([
  ['DATA on no stream', [data(0, 'x')], ErrorCode.protocol],
  ['DATA on a stream that was never opened', [data(1, 'x')], ErrorCode.protocol],
  ['HEADERS on an even stream', [headers(2)], ErrorCode.protocol],
  ['HEADERS on a closed stream', [headers(3), headers(1)], ErrorCode.streamClosed],
  ['another frame within a header block', [headers(1, 0), data(1, 'x')], ErrorCode.protocol],
  ['CONTINUATION of another stream', [headers(1, 0), frame(FrameType.continuation, 4, 3, none)], ErrorCode.protocol],
  ['CONTINUATION of nothing', [frame(FrameType.continuation, 4, 1, none)], ErrorCode.protocol],
  [
    'a header block without end',
    [headers(1, 0), ...Array.from({ length: 40 }, () => frame(FrameType.continuation, 0, 1, none))],
    ErrorCode.enhanceYourCalm,
  ],
  ['a block that is no HPACK', [headers(1, 5, Buffer.from([0x80]))], ErrorCode.compression],
  ['padding longer than the frame', [frame(FrameType.data, Flag.padded, 1, Buffer.from([5, 1]))], ErrorCode.protocol],
  ['PUSH_PROMISE', [frame(FrameType.pushPromise, 4, 1, Buffer.alloc(4))], ErrorCode.protocol],
  ['SETTINGS on a stream', [frame(FrameType.settings, 0, 1, none)], ErrorCode.protocol],
  ['half a setting', [frame(FrameType.settings, 0, 0, Buffer.alloc(5))], ErrorCode.frameSize],
  ['an acknowledgement with content', [frame(FrameType.settings, Flag.ack, 0, Buffer.alloc(6))], ErrorCode.frameSize],
  ['a window that is too large', [settings([Setting.initialWindowSize, 0x80000000])], ErrorCode.flowControl],
  ['a frame size that may not be', [settings([Setting.maxFrameSize, 100])], ErrorCode.protocol],
  ['a short PING', [frame(FrameType.ping, 0, 0, Buffer.alloc(7))], ErrorCode.frameSize],
  ['PING on a stream', [frame(FrameType.ping, 0, 1, Buffer.alloc(8))], ErrorCode.protocol],
  ['a window that grows by nothing', [numbersFrame(FrameType.windowUpdate, 0, 0)], ErrorCode.protocol],
  ['a window that grows too far', [numbersFrame(FrameType.windowUpdate, 0, 0x7fffffff)], ErrorCode.flowControl],
  ['RST_STREAM of nothing', [numbersFrame(FrameType.rstStream, 1, 8)], ErrorCode.protocol],
  ['PRIORITY of itself', [frame(FrameType.priority, 0, 1, Buffer.from('0000000100', 'hex'))], ErrorCode.protocol],
])('%s: GOAWAY, and the connection is closed', async (_name, frames, code) => {
  const client = await open();
  client.send(...frames);
  expect(await client.goAway()).toBe(code);
  if (!client.closed) await once(client.socket, 'close');
});

test.each<[string, Buffer[], number]>([
  ['malformed', [headers(1, 5, block(literal('X', 'y')))], ErrorCode.protocol],
  ['a length without a body', [headers(1, 5, postBlock(literal('content-length', '1')))], ErrorCode.protocol],
  [
    'a body shorter than its length',
    [headers(1, 4, postBlock(literal('content-length', '5'))), data(1, 'abc', 1)],
    ErrorCode.protocol,
  ],
  [
    'a body longer than its length',
    [headers(1, 4, postBlock(literal('content-length', '2'))), data(1, 'abc')],
    ErrorCode.protocol,
  ],
  [
    'trailers that do not end',
    [headers(1, 4, postBlock()), headers(1, 4, Buffer.from(literal('x', 'y'), 'latin1'))],
    ErrorCode.protocol,
  ],
  ['pseudo headers in trailers', [headers(1, 4, postBlock()), headers(1, 5)], ErrorCode.protocol],
  [
    'headers that are too large',
    [headers(1, 5, block(...Array.from({ length: 501 }, () => literal('x', 'y'))))],
    ErrorCode.enhanceYourCalm,
  ],
  [
    'a stream window that grows by nothing',
    [headers(1, 4, postBlock()), numbersFrame(FrameType.windowUpdate, 1, 0)],
    ErrorCode.protocol,
  ],
  [
    'more than the window of a stream',
    [headers(1, 4, postBlock()), ...Array.from({ length: 9 }, () => data(1, Buffer.alloc(16_384)))],
    ErrorCode.flowControl,
  ],
])('%s: the stream is reset, nothing of it is answered, and the connection goes on', async (_name, frames, code) => {
  const client = await open((request, response) =>
    request.target === '/' && request.method === 'GET' ? echo(request, response) : new Promise(() => undefined),
  );
  client.send(...frames);
  expect(await client.reset(1)).toBe(code);
  client.send(headers(3));
  expect((await client.next(FrameType.data, 3)).payload.toString()).toBe('hello');
  expect(asked).toEqual(['GET /']);
});

test('a client that opens streams and gives them up without end is let go', async () => {
  const client = await open(() => new Promise(() => undefined));
  const flood = Array.from({ length: 5_000 }, (_, index) => [
    headers(2 * index + 1),
    numbersFrame(FrameType.rstStream, 2 * index + 1, ErrorCode.cancel),
  ]);
  client.send(...flood.flat());
  expect(await client.goAway()).toBe(ErrorCode.enhanceYourCalm);
});

test('streams that a client makes us reset count as much as those that it resets itself', async () => {
  const client = await open();
  const flood = Array.from({ length: 5_000 }, (_, index) => headers(2 * index + 1, 5, block(literal('X', 'y'))));
  client.send(...flood);
  expect(await client.goAway()).toBe(ErrorCode.enhanceYourCalm);
});

test.each([
  ['PING', frame(FrameType.ping, 0, 0, Buffer.alloc(8))],
  ['SETTINGS', settings()],
  ['unknown frames', frame(0xff, 0, 0, none)],
])('a flood of %s: the client is let go', async (_name, bytes) => {
  const client = await open();
  client.send(...Array.from({ length: 15_000 }, () => bytes));
  expect(await client.goAway()).toBe(ErrorCode.enhanceYourCalm);
});

test('a stream beyond the limit is refused, and one that takes its place is served', async () => {
  const client = await open((request, response) => {
    if (request.target === '/') return new Promise(() => undefined);
    return echo(request, response);
  });
  client.send(...Array.from({ length: 2_001 }, (_, index) => headers(2 * index + 1)));
  expect(await client.reset(4_001)).toBe(ErrorCode.refusedStream);
  const other = Buffer.from(`\x82\x87\x85`, 'latin1');
  client.send(numbersFrame(FrameType.rstStream, 1, ErrorCode.cancel), headers(4_003, 5, other));
  expect((await client.next(FrameType.data, 4_003)).payload.toString()).toBe('hello');
});

test('the stop says so, lets answers be finished, and refuses what is new', async () => {
  const [waiting, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const client = await open(async (_request, response) => {
    waiting.resolve();
    await go.promise;
    response.head(200, { 'content-length': '4' });
    response.end(Buffer.from('done'));
  });
  client.send(headers(1));
  await waiting.promise;
  const stopped = fixture.stop();
  expect(await client.goAway()).toBe(ErrorCode.none);
  client.send(headers(3));
  expect(await client.reset(3)).toBe(ErrorCode.refusedStream);
  go.resolve();
  expect((await client.next(FrameType.data, 1)).payload.toString()).toBe('done');
  await stopped;
});
