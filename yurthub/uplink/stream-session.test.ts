// The client's side of HTTP/2 against a server that is written frame by frame: what an answer is, what ends a stream, what ends the
// session, and who may send how much. What real servers do: forward.test.ts, reachability.test.ts and the integration suites.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { systemClock } from '../../runtime/clock.ts';
import { BatchBlocks } from '../http2/batch-blocks.ts';
import { ErrorCode } from '../http2/errors.ts';
import { Flag, frame, FrameReader, FrameType, numbersFrame, Setting, settingsFrame } from '../http2/frames.ts';
import { HpackDecoder } from '../http2/hpack-decoder.ts';
import { HpackEncoder } from '../http2/hpack-encoder.ts';
import type { AnswerSink, Exchange } from './exchange.ts';
import { caPem, issue } from './far-end.ts';
import { SessionInput } from './session-input.ts';
import { StreamSession } from './stream-session.ts';

interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** The server's end of one connection. */
class Peer {
  readonly socket: tls.TLSSocket;
  readonly encoder = new HpackEncoder();
  readonly decoder = new HpackDecoder();
  readonly #seen: SeenFrame[] = [];
  #wake: () => void = () => undefined;

  constructor(socket: tls.TLSSocket) {
    this.socket = socket;
    const reader = new FrameReader((type, flags, id, payload) => {
      this.#seen.push({ type, flags, id, payload: Buffer.from(payload) });
      this.#wake();
    });
    socket.on('data', (bytes) => reader.feed(bytes));
    socket.on('error', () => undefined);
  }

  send(...frames: Buffer[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  answer(id: number, fields: Record<string, string>, flags: number = 0): Buffer {
    const block = this.encoder.encode(Object.entries(fields).map(([name, value]) => [name, value, 'remembered']));
    return frame(FrameType.headers, Flag.endHeaders | flags, id, Buffer.from(block, 'latin1'));
  }

  /** The next frame of these types; those before it are dropped. */
  async next(...types: number[]): Promise<SeenFrame> {
    for (;;) {
      for (let seen = this.#seen.shift(); seen !== undefined; seen = this.#seen.shift())
        if (types.includes(seen.type)) return seen;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** The fields of the next request, and its stream. */
  async request(): Promise<{ id: number; fields: Record<string, string> }> {
    const { id, payload } = await this.next(FrameType.headers);
    const fields = this.decoder.decode(payload).map(({ name, value }) => [name, value] as const);
    return { id, fields: Object.fromEntries(fields) };
  }
}

/** What an exchange told, one line each. */
class Told implements AnswerSink {
  readonly lines: string[] = [];
  flowing = true;
  #body = '';
  readonly #over = Promise.withResolvers<void>();

  get over(): Promise<void> {
    return this.#over.promise;
  }
  interim(statusCode: number): void {
    this.lines.push(`interim ${statusCode}`);
  }
  head(statusCode: number, headers: object): void {
    this.lines.push(`head ${statusCode} ${JSON.stringify({ ...headers })}`);
  }
  data(chunk: Buffer): boolean {
    this.#body += chunk.toString('latin1');
    return this.flowing;
  }
  end(trailers: object | undefined): void {
    this.#finish(`end ${this.#body} ${JSON.stringify(trailers && { ...trailers })}`);
  }
  fail({ sent }: { sent: boolean }): void {
    this.#finish(`fail ${sent ? 'sent' : 'not sent'}`);
  }
  #finish(line: string): void {
    this.lines.push(line);
    this.#over.resolve();
  }
}

const settings = { maxStreams: 100, streamWindowBytes: 65_536, sessionWindowBytes: 262_144 };
let server: tls.Server;
let peer: Peer;
let session: StreamSession;

/** The server says `first` as soon as there is a connection. */
async function open(first: Buffer = settingsFrame([])): Promise<void> {
  server = tls.createServer({ ...issue('kube-apiserver', 'server'), ALPNProtocols: ['h2'] });
  server.on('secureConnection', (socket) => {
    peer = new Peer(socket);
    peer.send(first);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const input = new SessionInput().open();
  const { port } = server.address() as AddressInfo;
  const options = { host: '127.0.0.1', port, ca: caPem, ALPNProtocols: ['h2'], onread: input.onread };
  const socket = tls.connect(options as tls.ConnectionOptions);
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  const { signal } = new AbortController();
  session = await StreamSession.start('far', { socket, input }, new BatchBlocks(), settings, signal);
}

afterEach(async () => {
  session?.destroy();
  peer?.socket.destroy();
  const closed = once(server, 'close');
  server.close();
  await closed;
});

function ask(target = '/a', body?: Buffer, method = body === undefined ? 'GET' : 'PUT'): [Exchange, Told] {
  const told = new Told();
  const headers = { accept: 'x', authorization: 'Bearer t' };
  return [session.request({ method, target, authority: 'far', headers, body }, told), told];
}

test('a request and its answer, with what comes before and behind it', async () => {
  await open();
  const [, told] = ask();
  const { id, fields } = await peer.request();
  expect(fields).toEqual({
    ':method': 'GET',
    ':scheme': 'https',
    ':authority': 'far',
    ':path': '/a',
    accept: 'x',
    authorization: 'Bearer t',
  });
  peer.send(
    peer.answer(id, { ':status': '103' }),
    peer.answer(id, { ':status': '200', 'x-a': '1', 'keep-alive': 'timeout=5' }),
    frame(FrameType.data, 0, id, Buffer.from('hello ')),
    frame(FrameType.data, 0, id, Buffer.from('you')),
    peer.answer(id, { 'x-t': '2' }, Flag.endStream),
  );
  await told.over;
  expect(told.lines).toEqual(['interim 103', 'head 200 {"x-a":"1"}', 'end hello you {"x-t":"2"}']);
});

test('a body goes no faster than the server lets it', async () => {
  await open(settingsFrame([[Setting.initialWindowSize, 5]]));
  const [, told] = ask('/a', Buffer.from('0123456789'));
  const { id, fields } = await peer.request();
  expect(fields['content-length']).toBe('10');
  expect((await peer.next(FrameType.data)).payload.toString()).toBe('01234');
  peer.send(numbersFrame(FrameType.windowUpdate, id, 3));
  expect((await peer.next(FrameType.data)).payload.toString()).toBe('567');
  peer.send(settingsFrame([[Setting.initialWindowSize, 100]]));
  expect(await peer.next(FrameType.data)).toMatchObject({ flags: Flag.endStream, payload: Buffer.from('89') });
  peer.send(peer.answer(id, { ':status': '204' }, Flag.endStream));
  await told.over;
});

test('what is read is given back to both windows, and what is not read is not', async () => {
  await open();
  const [exchange, told] = ask();
  told.flowing = false;
  const { id } = await peer.request();
  const part = frame(FrameType.data, 0, id, Buffer.alloc(16_384, 'x'));
  peer.send(peer.answer(id, { ':status': '200' }), part, part, part, part);
  peer.send(frame(FrameType.ping, 0, 0, Buffer.alloc(8, 1)));
  expect((await peer.next(FrameType.ping, FrameType.windowUpdate)).type).toBe(FrameType.ping);
  told.flowing = true;
  exchange.resume();
  for (const window of [0, id])
    expect(await peer.next(FrameType.windowUpdate)).toMatchObject({ id: window, payload: Buffer.from([0, 1, 0, 0]) });
});

test.each<[string, (id: number) => Buffer[], string]>([
  ['no status', (id) => [peer.answer(id, { 'x-a': '1' })], 'fail sent'],
  ['a status that is none', (id) => [peer.answer(id, { ':status': '2x0' })], 'fail sent'],
  ['101', (id) => [peer.answer(id, { ':status': '101' })], 'fail sent'],
  ['two lengths', (id) => [peer.answer(id, { ':status': '200', 'content-length': '1, 2' })], 'fail sent'],
  ['content without a head', (id) => [frame(FrameType.data, 0, id, Buffer.from('x'))], 'fail sent'],
  [
    'less than the stated length',
    (id) => [
      peer.answer(id, { ':status': '200', 'content-length': '5' }),
      frame(FrameType.data, Flag.endStream, id, Buffer.from('x')),
    ],
    'fail sent',
  ],
  [
    'more than the stated length',
    (id) => [
      peer.answer(id, { ':status': '200', 'content-length': '1' }),
      frame(FrameType.data, 0, id, Buffer.from('xy')),
    ],
    'fail sent',
  ],
  [
    'an end by reset',
    (id) => [peer.answer(id, { ':status': '200' }), numbersFrame(FrameType.rstStream, id, ErrorCode.none)],
    'fail sent',
  ],
  ['a refusal', (id) => [numbersFrame(FrameType.rstStream, id, ErrorCode.refusedStream)], 'fail not sent'],
])('%s: the stream fails and the session goes on', async (_what, frames, outcome) => {
  await open();
  const [, told] = ask();
  const { id } = await peer.request();
  peer.send(...frames(id));
  await told.over;
  expect(told.lines.at(-1)).toBe(outcome);
  const ping = session.ping(systemClock);
  peer.send(frame(FrameType.ping, Flag.ack, 0, (await peer.next(FrameType.ping)).payload));
  await ping;
});

test.each<[string, () => Buffer[]]>([
  ['PUSH_PROMISE', () => [frame(FrameType.pushPromise, Flag.endHeaders, 1, Buffer.alloc(4))]],
  ['an answer that nobody asked for', () => [peer.answer(3, { ':status': '200' })]],
  ['DATA that nobody asked for', () => [frame(FrameType.data, 0, 2, Buffer.from('x'))]],
  ['a block that is no HPACK', () => [frame(FrameType.headers, Flag.endHeaders, 1, Buffer.of(0x80))]],
  [
    'a header block without end',
    () => [
      frame(FrameType.headers, 0, 1, Buffer.alloc(0)),
      ...Array.from({ length: 20 }, () => frame(FrameType.continuation, 0, 1, Buffer.alloc(16_384))),
    ],
  ],
  ['a header block that is interrupted', () => [frame(FrameType.headers, 0, 1, Buffer.alloc(0)), settingsFrame([])]],
  ['CONTINUATION alone', () => [frame(FrameType.continuation, 0, 1, Buffer.alloc(0))]],
  ['half a setting', () => [frame(FrameType.settings, 0, 0, Buffer.alloc(5))]],
  ['a window that is too large', () => [numbersFrame(FrameType.windowUpdate, 0, 0x7fffffff)]],
  [
    'more than the window of a stream',
    () => [
      peer.answer(1, { ':status': '200' }),
      ...Array.from({ length: 5 }, () => frame(FrameType.data, 0, 1, Buffer.alloc(16_384))),
    ],
  ],
])('%s: GOAWAY, and all its streams fail', async (_what, frames) => {
  await open();
  const [, told] = ask();
  told.flowing = false;
  await peer.request();
  const closed = new Promise((resolve) => peer.socket.once('close', resolve));
  peer.send(...frames());
  await told.over;
  expect(told.lines.at(-1)).toBe('fail sent');
  expect(session.open).toBe(false);
  await closed;
});

test('a server that says nothing first is left: the first frame has to be its settings', async () => {
  await expect(open(frame(FrameType.ping, 0, 0, Buffer.alloc(8)))).rejects.toThrow('closed before its settings');
});

test('GOAWAY: what the server has not looked at may be asked elsewhere, the rest is answered, then the connection ends', async () => {
  await open();
  const [first, second] = [ask('/a'), ask('/b')];
  const { id } = await peer.request();
  peer.send(numbersFrame(FrameType.goAway, 0, id, ErrorCode.none));
  await second[1].over;
  expect(second[1].lines).toEqual(['fail not sent']);
  expect(session.usable).toBe(false);
  const closed = new Promise<void>((resolve) => session.onClose(resolve));
  peer.send(peer.answer(id, { ':status': '200' }, Flag.endStream));
  await first[1].over;
  expect(first[1].lines.at(-1)).toBe('end  undefined');
  await closed;
});

test('given up, the server is told, and what it still sends is dropped without harm', async () => {
  await open();
  const [exchange, told] = ask();
  const { id } = await peer.request();
  exchange.abort();
  expect((await peer.next(FrameType.rstStream)).payload.readUInt32BE(0)).toBe(ErrorCode.cancel);
  peer.send(
    peer.answer(id, { ':status': '200', 'x-new': 'remembered' }),
    frame(FrameType.data, Flag.endStream, id, Buffer.alloc(16_384)),
  );
  // The table is still the server's: a later answer that refers to it can be read.
  const [, later] = ask();
  const next = await peer.request();
  peer.send(peer.answer(next.id, { ':status': '200', 'x-new': 'remembered' }, Flag.endStream));
  await later.over;
  expect(later.lines).toEqual(['head 200 {"x-new":"remembered"}', 'end  undefined']);
  expect(told.lines).toEqual([]);
});

test('no more streams than the server allows', async () => {
  await open(settingsFrame([[Setting.maxConcurrentStreams, 1]]));
  expect(session.usable).toBe(true);
  const [exchange] = ask();
  expect(session.usable).toBe(false);
  exchange.abort();
  expect(session.usable).toBe(true);
});

test('a connection that breaks fails all that is under way, and pings', async () => {
  await open();
  const [, told] = ask();
  const ping = session.ping(systemClock);
  await peer.request();
  peer.socket.destroy();
  await expect(ping).rejects.toThrow('closed');
  await told.over;
  expect(told.lines).toEqual(['fail sent']);
  await expect(session.ping(systemClock)).rejects.toThrow('takes no ping');
});
