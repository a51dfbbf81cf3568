// Passing requests through: a real TLS server at the far end, a recording client at the near end.
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { FarEnd, hubRequest, RecordedResponse, TestUplink, type FarHandler } from './far-end.ts';

let far: FarEnd;
let hub: TestUplink;

async function start(handler: FarHandler): Promise<void> {
  far = await FarEnd.start(handler);
  hub = await new TestUplink([far.url]).start();
}

afterEach(async () => {
  await hub.stop();
  await far.close();
});

test('an answer arrives as it is, and its copy decoded', async () => {
  const body = gzipSync('hello');
  await start((request, response) => {
    expect(request.headers['x-asked']).toBe('yes');
    response.writeHead(201, { 'content-encoding': 'gzip', 'x-a': ['1', '2'] });
    response.end(body);
  });
  const response = new RecordedResponse();
  const outcome = await hub.uplink.forward(hubRequest('/api/v1/pods', { headers: { 'x-asked': 'yes' } }), response, {
    captureBytes: 100,
  });
  expect(response).toMatchObject({ statusCode: 201, outcome: 'ended' });
  expect(Buffer.concat(response.chunks)).toEqual(body);
  expect(response.headers).toMatchObject({ 'content-encoding': 'gzip', 'x-a': ['1', '2'] });
  expect(response.headers).not.toHaveProperty('connection');
  expect(outcome).toMatchObject({ statusCode: 201, captured: Buffer.from('hello') });
});

test('a copy that does not fit is not kept', async () => {
  await start((_request, response) => response.end('x'.repeat(1000)));
  const response = new RecordedResponse();
  const outcome = await hub.uplink.forward(hubRequest('/a'), response, { captureBytes: 999 });
  expect(outcome.captured).toBeUndefined();
  expect(response.text).toHaveLength(1000);
});

test.each([
  ['HEAD', 200],
  ['GET', 204],
  ['GET', 304],
])('%s with %d ends without a body', async (method, statusCode) => {
  await start((_request, response) => {
    response.writeHead(statusCode, { 'x-b': '1' });
    response.end();
  });
  const response = new RecordedResponse();
  await hub.uplink.forward(hubRequest('/a', { method }), response);
  expect(response).toMatchObject({ statusCode, outcome: 'ended', receivedBytes: 0 });
});

test.each(['/unary', '/api/v1/pods?watch=true'])('103 and trailers pass on %s', async (target) => {
  await start((_request, response) => {
    response.writeEarlyHints({ link: '</a>; rel=preload' });
    response.writeHead(200, { trailer: 'x-sum' });
    response.write('body');
    if ('addTrailers' in response) response.addTrailers({ 'x-sum': '42' });
    response.end();
  });
  const response = new RecordedResponse();
  await hub.uplink.forward(hubRequest(target), response);
  expect(response.interims).toEqual([[103, { link: '</a>; rel=preload' }]]);
  expect(response).toMatchObject({ text: 'body', outcome: 'ended', trailers: { 'x-sum': '42' } });
});

test.each([true, false])('a request body arrives whole (length known: %s)', async (known) => {
  const body = Buffer.alloc(1 << 20, 'a');
  await start((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => response.end(String(Buffer.concat(chunks).equals(body))));
  });
  const response = new RecordedResponse();
  await hub.uplink.forward(
    hubRequest('/api/v1/pods', {
      method: 'POST',
      headers: known ? { 'content-length': String(body.length) } : {},
      body: Readable.from([body.subarray(0, 5), body.subarray(5)], { objectMode: false }),
    }),
    response,
  );
  expect(response.text).toBe('true');
});

test('a body that nobody takes upstream is not read ahead', async () => {
  const arrived = Promise.withResolvers<void>();
  await start((request) => {
    request.pause();
    arrived.resolve();
  });
  let produced = 0;
  const body = new Readable({
    read() {
      produced += 1 << 16;
      this.push(Buffer.alloc(1 << 16));
    },
  });
  const gone = new AbortController();
  const forwarding = hub.uplink.forward(
    hubRequest('/a', { method: 'POST', body, signal: gone.signal }),
    new RecordedResponse(),
  );
  await arrived.promise;
  // Far end, kernel and TLS hold some; the sender must come to rest.
  let before = -1;
  while (before !== produced) {
    before = produced;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(produced).toBeLessThan(24 << 20);
  gone.abort();
  await expect(forwarding).rejects.toMatchObject({ code: 'ERR_CLIENT_GONE' });
  body.destroy();
});

test.each(['/large', '/api/v1/pods?watch=true'])(
  'a client that does not read holds back 64 MB of %s and gets all of it later',
  async (target) => {
    const total = 64 << 20;
    let written = 0;
    await start((_request, response) => {
      const chunk = Buffer.alloc(1 << 18);
      const more = (): void => {
        while (written < total) {
          written += chunk.length;
          if (!response.write(chunk)) {
            (response as unknown as NodeJS.EventEmitter).once('drain', more);
            return;
          }
        }
        response.end();
      };
      more();
    });
    const response = new RecordedResponse({ reading: false });
    const forwarding = hub.uplink.forward(hubRequest(target), response);
    let before = -1;
    while (before !== written || response.maxQueuedBytes === 0) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(response.maxQueuedBytes).toBeLessThan(6 << 20);
    response.on('data', () => setImmediate(() => response.drain()));
    response.drain();
    await forwarding;
    expect(response).toMatchObject({ receivedBytes: total, outcome: 'ended' });
  },
);

test.each(['/unary', '/api/v1/pods?watch=true'])(
  'upstream dies in the middle of %s: abort, never an end',
  async (target) => {
    await start((_request, response) => {
      response.writeHead(200);
      response.write('half');
      setTimeout(() => far.cut(), 20);
    });
    const response = new RecordedResponse();
    await expect(hub.uplink.forward(hubRequest(target), response)).resolves.toMatchObject({ captured: undefined });
    expect(response).toMatchObject({ text: 'half', outcome: 'aborted' });
  },
);

test.each(['/unary', '/api/v1/pods?watch=true'])(
  'upstream resets before a head on %s: unreachable, sent',
  async (target) => {
    await start(() => far.cut());
    const response = new RecordedResponse();
    await expect(hub.uplink.forward(hubRequest(target), response)).rejects.toMatchObject({
      code: 'ERR_CLOUD_UNREACHABLE',
      sent: true,
    });
    expect(response).toMatchObject({ headSent: false, outcome: 'open' });
  },
);

test.each(['/api/v1/pods?watch=true', '/hangs'])('20 clients that leave %s leave nothing upstream', async (target) => {
  let open = 0;
  const opened = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  await start((_request, response) => {
    open += 1;
    if (open === 20) opened.resolve();
    const stream = response as unknown as NodeJS.EventEmitter;
    stream.once('close', () => {
      open -= 1;
      if (open === 0) closed.resolve();
    });
    if (target !== '/hangs') {
      response.writeHead(200);
      response.write('event');
    }
  });
  const gone = new AbortController();
  const forwards = Array.from({ length: 20 }, () =>
    hub.uplink.forward(hubRequest(target, { signal: gone.signal }), new RecordedResponse()),
  );
  await opened.promise;
  gone.abort();
  for (const forward of forwards) await expect(forward).rejects.toMatchObject({ code: 'ERR_CLIENT_GONE' });
  await closed.promise;
  expect(open).toBe(0);
});

test('a stale connection is replaced for a GET, without the client noticing', async () => {
  let requests = 0;
  await start((request, response) => {
    requests += 1;
    // The second request finds a connection that the far end gives up as it arrives.
    if (requests === 2) request.socket.destroy();
    else response.end(String(requests));
  });
  for (const expected of ['1', '3']) {
    const response = new RecordedResponse();
    await hub.uplink.forward(hubRequest('/a'), response);
    expect(response.text).toBe(expected);
  }
});

test('lanes never share a connection, and only the node lane shows a certificate', async () => {
  await start((request, response) => {
    const socket = request.socket as import('node:tls').TLSSocket;
    response.end(
      `${String(socket.getPeerCertificate().subject?.CN ?? 'none')} ${request.headers.authorization ?? 'none'}`,
    );
  });
  const ask = async (kind: 'node' | 'bearer', target: string): Promise<string> => {
    const response = new RecordedResponse();
    const headers = kind === 'bearer' ? { authorization: 'Bearer t' } : {};
    await hub.uplink.forward(hubRequest(target, { kind, headers }), response);
    return response.text;
  };
  for (const target of ['/a', '/api/v1/pods?watch=1']) {
    expect(await ask('node', target)).toBe('system:node:edge1 none');
    expect(await ask('bearer', target)).toBe('none Bearer t');
    expect(await ask('node', target)).toBe('system:node:edge1 none');
  }
});

test('a write after a pause goes over the session of the watches; one that comes soon after it gets a connection', async () => {
  const heard: string[] = [];
  await start((request, response) => {
    let body = '';
    request.on('data', (chunk) => void (body += String(chunk)));
    request.on('end', () => {
      heard.push(`${request.httpVersion} ${request.headers['content-length']} ${body}`);
      response.end('renewed');
    });
  });
  // The session is there as soon as something has gone over it.
  await hub.uplink.forward(hubRequest('/api/v1/pods?watch=1'), new RecordedResponse());
  const put = async (body: string): Promise<string> => {
    const response = new RecordedResponse();
    const headers = { 'content-length': String(body.length) };
    await hub.uplink.forward(
      hubRequest('/lease', { method: 'PUT', headers, body: Readable.from([Buffer.from(body)]) }),
      response,
    );
    return response.text;
  };
  expect(await put('first')).toBe('renewed');
  expect(await put('second')).toBe('renewed');
  expect(heard.slice(1)).toEqual(['2.0 5 first', '1.1 6 second']);
});

test('101 watches take a second session, 100 share the first', async () => {
  let open = 0;
  const all = Promise.withResolvers<void>();
  await start((_request, response) => {
    response.writeHead(200);
    response.write('x');
    open += 1;
    if (open === 101) all.resolve();
  });
  const gone = new AbortController();
  const forwards = Array.from({ length: 101 }, () =>
    hub.uplink.forward(hubRequest('/api/v1/pods?watch=1', { signal: gone.signal }), new RecordedResponse()),
  );
  await all.promise;
  expect(far.sessions.size).toBe(2);
  gone.abort();
  await Promise.allSettled(forwards);
});

test('fetch gives small answers whole, refuses large ones, and decodes', async () => {
  await start((request, response) => {
    if (request.url === '/large') response.end('x'.repeat(101));
    else {
      response.writeHead(404, { 'content-encoding': 'gzip' });
      response.end(gzipSync('small'));
    }
  });
  const request = { method: 'GET', headers: {}, lane: 'node', signal: new AbortController().signal } as const;
  const reply = await hub.uplink.fetch({ ...request, target: '/small' }, { maxBodyBytes: 100 });
  expect(reply).toMatchObject({ statusCode: 404, body: Buffer.from('small') });
  await expect(hub.uplink.fetch({ ...request, target: '/large' }, { maxBodyBytes: 100 })).rejects.toMatchObject({
    code: 'ERR_BODY_TOO_LARGE',
  });
});

test('stream decodes, stops upstream when its reader stops, and throws when the connection is lost', async () => {
  let written = 0;
  await start((request, response) => {
    if (request.url === '/zipped') {
      response.writeHead(200, { 'content-encoding': 'gzip' });
      response.end(gzipSync('list'));
      return;
    }
    const more = (): void => {
      do written += 1 << 16;
      while (response.write(Buffer.alloc(1 << 16)));
    };
    response.on('drain', more);
    more();
  });
  const signal = new AbortController().signal;
  const request = { method: 'GET', headers: {}, lane: 'node', signal } as const;
  const zipped = await hub.uplink.stream({ ...request, target: '/zipped' });
  const chunks: Buffer[] = [];
  for await (const chunk of zipped.body) chunks.push(chunk);
  expect(Buffer.concat(chunks).toString()).toBe('list');

  const endless = await hub.uplink.stream({ ...request, target: '/endless' });
  let before = -1;
  while (before !== written) {
    before = written;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(written).toBeLessThan(8 << 20);
  for (const socket of far.sockets) socket.destroy();
  await expect(
    (async () => {
      for await (const _ of endless.body);
    })(),
  ).rejects.toMatchObject({ code: 'ERR_CLOUD_UNREACHABLE' });
});

test('a reader that leaves a stream early resets it upstream', async () => {
  const closed = Promise.withResolvers<number>();
  await start((_request, response) => {
    response.write('first');
    response.stream.once('close', () => closed.resolve(response.stream.rstCode ?? -1));
  });
  const signal = new AbortController().signal;
  const { body } = await hub.uplink.stream({ method: 'GET', target: '/w', headers: {}, lane: 'node', signal });
  for await (const _ of body) break;
  expect(await closed.promise).toBe(8);
});

test('dialRaw gives a connection of HTTP/1.1 with nothing on it', async () => {
  await start((_request, response) => response.end('raw'));
  const socket = await hub.uplink.dialRaw('node', new AbortController().signal);
  expect(socket.alpnProtocol).toBe('http/1.1');
  socket.write('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'close');
  expect(Buffer.concat(chunks).toString()).toContain('raw');
});

test('stopped before its start was over, it closes what requests have opened', async () => {
  far = await FarEnd.start((_request, response) => response.end());
  hub = new TestUplink([far.url]);
  const read = Promise.withResolvers<boolean>();
  await hub.credentials.load();
  jest.spyOn(hub.credentials, 'load').mockResolvedValueOnce(true).mockReturnValueOnce(read.promise);
  await hub.start();
  await hub.uplink.forward(hubRequest('/a'), new RecordedResponse());
  expect(far.sockets.size).toBe(1);
  const stopped = hub.stop();
  read.resolve(true);
  await stopped;
  await far.quiet();
});
