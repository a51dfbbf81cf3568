// Requests and answers that two programs could read differently: whatever a local client or somebody in the place of the API server
// sends, the other side sees exactly the messages that were meant, or none.
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import tls from 'node:tls';
import { caPem, FarEnd, issue } from '../../yurthub/uplink/far-end.ts';
import { HubUnderTest } from './hub-under-test.ts';

const node = issue('system:node:edge1', 'client');

interface Seen {
  readonly line: string;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

let cloud: FarEnd;
let hub: HubUnderTest;
/** What arrived at the API server, the hub's own questions left out. */
let seen: Seen[];

beforeEach(async () => {
  seen = [];
  cloud = await FarEnd.start((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('latin1');
      if (String(request.headers['user-agent'] ?? '').startsWith('tester'))
        seen.push({ line: `${request.method} ${request.url}`, headers: request.headers, body });
      response.setHeader('content-type', 'text/plain');
      response.end(`answer to ${request.url}`);
    });
  });
  hub = await HubUnderTest.start({ apiServer: cloud.url, ca: caPem, node });
});
afterEach(async () => {
  await hub.remove();
  await cloud.close();
});

const lines = (): string[] => seen.map(({ line }) => line);

async function connect(alpn: string): Promise<tls.TLSSocket> {
  const socket = tls.connect({ port: hub.port, host: '127.0.0.1', ca: hub.hub.caPem, ...node, ALPNProtocols: [alpn] });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  return socket;
}

/** Everything that comes back for these bytes until the hub closes the connection, or `enough` is in it. */
async function h1(bytes: string, enough?: RegExp): Promise<string> {
  const socket = await connect('http/1.1');
  let answer = '';
  const done = new Promise<void>((resolve) => {
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      if (enough?.test(answer) === true) resolve();
    });
    socket.on('close', () => resolve());
  });
  socket.write(bytes, 'latin1');
  await done;
  socket.destroy();
  return answer;
}

/** The tester's own request line and headers. */
const head = (line: string, ...headers: string[]): string =>
  [`${line} HTTP/1.1`, 'Host: hub', 'User-Agent: tester', ...headers, '', ''].join('\r\n');
const smuggled = head('GET /smuggled', 'Connection: close');

describe('HTTP/1.1 from a local client', () => {
  test.each([
    ['length and coding', head('POST /a', 'Content-Length: 4', 'Transfer-Encoding: chunked') + '0\r\n\r\n'],
    ['coding and length', head('POST /a', 'Transfer-Encoding: chunked', 'Content-Length: 4') + '0\r\n\r\n'],
    ['two lengths', head('POST /a', 'Content-Length: 0', 'Content-Length: 44')],
    ['a list of lengths', head('POST /a', 'Content-Length: 0, 44')],
    ['a signed length', head('POST /a', 'Content-Length: +0')],
    ['a length in hexadecimal', head('POST /a', 'Content-Length: 0x0')],
    ['a negative length', head('POST /a', 'Content-Length: -1')],
    ['a coding nobody knows', head('POST /a', 'Transfer-Encoding: xchunked')],
    ['chunked and another coding', head('POST /a', 'Transfer-Encoding: chunked, identity') + '0\r\n\r\n'],
    ['a coding behind a tab', head('POST /a', 'Content-Length: 4', 'Transfer-Encoding:\tchunked') + '0\r\n\r\n'],
    ['a space before the colon', head('POST /a', 'Transfer-Encoding : chunked') + '0\r\n\r\n'],
    ['a folded header', head('POST /a', 'X: a\r\n Transfer-Encoding: chunked', 'Content-Length: 4') + '0\r\n\r\n'],
    [
      'a bare line feed in a header',
      head('POST /a', 'X: a\nTransfer-Encoding: chunked', 'Content-Length: 4') + '0\r\n\r\n',
    ],
    ['a bare carriage return', head('POST /a', 'X: a\rTransfer-Encoding: chunked')],
    ['a NUL in a header', head('POST /a', 'X: a\0b')],
    ['a line without a colon', head('POST /a', 'Transfer-Encoding')],
    [
      'a chunk size that overflows',
      head('POST /a', 'Transfer-Encoding: chunked') + '10000000000000000\r\na\r\n0\r\n\r\n',
    ],
    ['a chunk size with 0x', head('POST /a', 'Transfer-Encoding: chunked') + '0x1\r\na\r\n0\r\n\r\n'],
    ['a negative chunk size', head('POST /a', 'Transfer-Encoding: chunked') + '-1\r\na\r\n0\r\n\r\n'],
    ['a chunk longer than it says', head('POST /a', 'Transfer-Encoding: chunked') + '1\r\nabc\r\n0\r\n\r\n'],
    ['a chunk extension with a line feed', head('POST /a', 'Transfer-Encoding: chunked') + '1;a\nb\r\nx\r\n0\r\n\r\n'],
    ['a request line in two', 'GET /a HTTP/1.1\nHost: hub\nUser-Agent: tester\n\n\n'],
    ['a version of its own', head('GET /a').replace('HTTP/1.1', 'HTTP/1.1 x')],
  ])('%s: refused, and nothing behind it is served', async (_name, bytes) => {
    const answer = await h1(bytes + smuggled);
    expect(answer).not.toContain('smuggled');
    expect(lines()).not.toContain('GET /smuggled');
    // Where the head alone was good, a body that broke off may have begun; it is never a whole request.
    expect(seen.filter(({ body }) => body.includes('smuggled'))).toEqual([]);
    expect(lines()).toEqual([]);
  });

  test('chunk extensions and trailers end at the hub, and the body is what was meant', async () => {
    const chunks = '5;a="b;c";d\r\nhello\r\n1\r\n!\r\n0;last\r\nX-Late: Transfer-Encoding: chunked\r\n\r\n';
    await h1(head('POST /a', 'Transfer-Encoding: chunked') + chunks + smuggled);
    // The second one is a request of its own, and the tester's to make.
    expect(lines().toSorted()).toEqual(['GET /smuggled', 'POST /a']);
    const post = seen.find(({ line }) => line === 'POST /a');
    expect(post).toMatchObject({ body: 'hello!' });
    expect(post?.headers['x-late']).toBeUndefined();
  });

  test('a body of a GET is no request', async () => {
    await h1(head('GET /a', `Content-Length: ${smuggled.length}`) + smuggled + head('GET /b', 'Connection: close'));
    expect(lines()).toEqual(['GET /a', 'GET /b']);
  });

  test('what an upgrade request sends along is no request', async () => {
    const upgrade = head('GET /a', 'Connection: Upgrade', 'Upgrade: websocket', `Content-Length: ${smuggled.length}`);
    await h1(upgrade + smuggled);
    expect(lines()).not.toContain('GET /smuggled');
  });

  test('headers that concern one connection, and those that claim an identity, go no further', async () => {
    const names = ['X-Remote-User: admin', 'X-Remote-Group: system:masters', 'X-Remote-Extra-Scopes: all', 'X-Hop: 1'];
    await h1(head('GET /a', ...names, 'Connection: close, X-Hop', 'Proxy-Authorization: Basic eA==', 'TE: trailers'));
    const { headers } = seen[0]!;
    const claimed = Object.keys(headers).filter((name) => /^(?:x-remote|x-hop|proxy-|te$)/.test(name));
    expect(claimed).toEqual([]);
  });

  test("what the node's certificate says is not undone by a token beside it", async () => {
    await h1(head('GET /a', 'Authorization: Bearer someone', 'Connection: close'));
    expect(seen[0]?.headers['authorization']).toBeUndefined();
  });
});

describe('HTTP/2 from a local client', () => {
  const base: [string, string][] = [
    [':method', 'POST'],
    [':scheme', 'https'],
    [':path', '/a'],
    [':authority', 'hub'],
    ['user-agent', 'tester'],
  ];
  const withPath = (path: string): [string, string][] =>
    base.map(([name, value]) => [name, name === ':path' ? path : value]);
  const withMethod = (method: string): [string, string][] =>
    base.map(([name, value]) => [name, name === ':method' ? method : value]);
  const injected = '\r\nGET /smuggled HTTP/1.1\r\nhost: hub\r\nuser-agent: tester\r\n\r\n';

  test.each<[string, [string, string][]]>([
    ['capitals in a name', [...base, ['Content-Length', '5']]],
    ['a line break in the path', withPath(`/a HTTP/1.1${injected}`)],
    ['a space in the path', withPath('/a HTTP/1.1 /b')],
    ['an absolute path', withPath('https://other/a')],
    ['two paths', [...base, [':path', '/smuggled']]],
    ['a line break in the method', withMethod(`POST /a HTTP/1.1${injected}`)],
    ['a space in the method', withMethod('GET /smuggled')],
    ['no path', base.filter(([name]) => name !== ':path')],
    ['a coding', [...base, ['transfer-encoding', 'chunked']]],
    ['connection headers', [...base, ['connection', 'x-hop'], ['x-hop', '1']]],
    ['a length that the body does not have', [...base, ['content-length', '1']]],
    ['two lengths', [...base, ['content-length', '5'], ['content-length', '0']]],
    ['a pseudo header behind others', [...base.slice(1), ['x', 'y'], [':method', 'POST']]],
    ['a line break in a value', [...base, ['x', `a${injected}`]]],
    ['a line feed in a value', [...base, ['x', 'a\nx-remote-user: admin']]],
    ['a NUL in a value', [...base, ['x', 'a\0b']]],
    ['a line break in a name', [...base, [`x: a${injected}y`, 'b']]],
    ['a colon in a name', [...base, ['x: y', 'b']]],
    ['a space in a name', [...base, ['x y', 'b']]],
    ['an empty name', [...base, ['', 'b']]],
  ])('%s: refused, and nothing of it goes on', async (_name, headers) => {
    await h2(headers, 'hello');
    expect(lines()).toEqual([]);
    // The connection of the next client is none the worse.
    expect((await hub.connect(node).request('GET', '/after', { headers: { 'user-agent': 'tester' } })).status).toBe(
      200,
    );
    expect(lines()).toEqual(['GET /after']);
  });

  test('a good one in the same bytes passes, so that the refusals above are not for the way of sending', async () => {
    await h2(base, 'hello');
    expect(seen).toMatchObject([{ line: 'POST /a', body: 'hello' }]);
  });

  /** One request in frames written by hand; resolves when the hub has answered or refused it. */
  async function h2(headers: readonly [string, string][], body: string): Promise<void> {
    const socket = await connect('h2');
    const frame = (type: number, flags: number, stream: number, payload: Buffer): Buffer => {
      const prefix = Buffer.alloc(9);
      prefix.writeUIntBE(payload.length, 0, 3);
      prefix[3] = type;
      prefix[4] = flags;
      prefix.writeUInt32BE(stream, 5);
      return Buffer.concat([prefix, payload]);
    };
    // HPACK: literals that are neither indexed nor Huffman coded (RFC 7541 6.2.2), lengths with a 7 bit prefix.
    const text = (value: string): Buffer => {
      const bytes = Buffer.from(value, 'latin1');
      if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
      return Buffer.concat([Buffer.from([127, bytes.length - 127]), bytes]);
    };
    const block = headers.map(([name, value]) => Buffer.concat([Buffer.from([0]), text(name), text(value)]));
    const [data, headersType, settings] = [0, 1, 4];
    socket.write(
      Buffer.concat([
        Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        frame(settings, 0, 0, Buffer.alloc(0)),
        frame(headersType, 4, 1, Buffer.concat(block)),
        frame(data, 1, 1, Buffer.from(body)),
      ]),
    );
    await new Promise<void>((resolve) => {
      let received = Buffer.alloc(0);
      socket.on('close', () => resolve());
      socket.on('data', (chunk) => {
        received = Buffer.concat([received, chunk]);
        while (received.length >= 9 && received.length >= 9 + received.readUIntBE(0, 3)) {
          const [type, flags, stream] = [received[3], received[4] ?? 0, received.readUInt32BE(5)];
          received = received.subarray(9 + received.readUIntBE(0, 3));
          const [isReset, isGoaway] = [type === 3, type === 7];
          const isEnd = stream === 1 && (type === data || type === headersType) && (flags & 1) === 1;
          if (isReset || isGoaway || isEnd) resolve();
        }
      });
    });
    socket.destroy();
  }
});

describe('somebody in the place of the API server', () => {
  const poison = 'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\npoison';

  /** Answers `/bad` with these bytes, everything else by the rules. */
  function answerBad(bytes: string): void {
    const good = cloud.handler;
    cloud.handler = (request, response) => {
      if (request.url !== '/bad') {
        good(request, response);
        return;
      }
      const { socket } = request as unknown as IncomingMessage;
      socket.write(bytes, 'latin1');
    };
  }

  const ok = 'HTTP/1.1 200 OK\r\n';

  test.each([
    ['a second answer behind the first', `${ok}content-length: 2\r\n\r\nok${poison}`],
    ['a second answer behind one without a body', `HTTP/1.1 204 No Content\r\n\r\n${poison}`],
    ['a second answer behind 304', `HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n${poison}`],
    ['a second answer behind chunks', `${ok}transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n${poison}`],
    ['length and coding', `${ok}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${poison}`],
    ['two lengths', `${ok}content-length: 0\r\ncontent-length: 2\r\n\r\nok${poison}`],
    ['a chunk longer than it says', `${ok}transfer-encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n${poison}`],
    ['a length that is none', `${ok}content-length: x\r\n\r\n${poison}`],
    ['an interim answer without end', `HTTP/1.1 103 Early\r\n\r\n${ok}content-length: 2\r\n\r\nok${poison}`],
  ])('%s: no other request gets it', async (_name, bytes) => {
    answerBad(bytes);
    await hub.client.request('GET', '/bad').catch(() => undefined);
    for (let at = 0; at < 20; at += 1) {
      const answer = await hub.client.request('GET', `/good-${at}`);
      expect(answer.body.toString()).toBe(`answer to /good-${at}`);
    }
  });

  test.each([
    ['a folded header', `${ok}x: a\r\n set-cookie: b=c\r\ncontent-length: 2\r\n\r\nok`],
    ['a bare line feed', `${ok}x: a\nset-cookie: b=c\r\ncontent-length: 2\r\n\r\nok`],
    ['a bare carriage return', `${ok}x: a\rset-cookie: b=c\r\ncontent-length: 2\r\n\r\nok`],
    ['a NUL', `${ok}x: a\0b\r\ncontent-length: 2\r\n\r\nok`],
  ])('%s in an answer does not become a header or a line break for an HTTP/1.1 client', async (_name, bytes) => {
    answerBad(bytes);
    const answer = await h1(head('GET /bad', 'Connection: close'));
    const [top = ''] = answer.split('\r\n\r\n');
    expect(top).not.toMatch(/[^\r]\n|\r[^\n]|\0/);
    expect(top).not.toMatch(/\nset-cookie:/i);
  });

  test('an answer that breaks off is never a whole one', async () => {
    const good = cloud.handler;
    cloud.handler = (request, response) => {
      if (request.url !== '/bad') {
        good(request, response);
        return;
      }
      const { socket } = request as unknown as IncomingMessage;
      socket.end(`${ok}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n`);
    };
    await expect(hub.client.request('GET', '/bad')).rejects.toThrow(/broke off|closed|CANCEL|INTERNAL|stream/i);
  });
});
