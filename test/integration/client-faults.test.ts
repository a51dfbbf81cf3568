// Local clients that misbehave, or are many: the hub's memory stays bounded, and the others are served as ever.
import http2 from 'node:http2';
import tls from 'node:tls';
import { once } from 'node:events';
import { caPem, issue } from '../../yurthub/uplink/far-end.ts';
import { configMaps, HostileCloud, sendText } from './hostile-cloud.ts';
import { HubUnderTest, MemoryWatch, until } from './hub-under-test.ts';

const node = issue('system:node:edge1', 'client');
const anyVersion = `${configMaps}?resourceVersion=0`;

let cloud: HostileCloud;
let hub: HubUnderTest;

beforeEach(async () => {
  cloud = await HostileCloud.start();
  cloud.put('a');
  hub = await HubUnderTest.start({ apiServer: cloud.farEnd.url, ca: caPem, node });
});
afterEach(async () => {
  await hub.remove();
  await cloud.close();
});

test('256 MB sent to an API server that does not read: the client waits, and its bytes are not held', async () => {
  cloud.onOther = () => undefined;
  const memory = new MemoryWatch();
  const sender = hub.connect(node).stream({ ':method': 'POST', ':path': configMaps }, false);
  sender.on('error', () => undefined);
  const chunk = Buffer.alloc(1 << 20);
  let accepted = 0;
  const stuck = Promise.withResolvers<void>();
  const send = (): void => {
    while (accepted < 256) {
      accepted += 1;
      if (sender.write(chunk)) continue;
      // Nothing drains any more once every buffer on the way is full: answers to others are the clock.
      sender.once('drain', send);
      return;
    }
    stuck.resolve();
  };
  send();
  for (let i = 0; i < 200; i += 1) expect((await hub.client.request('GET', anyVersion)).status).toBe(200);
  expect(accepted).toBeLessThan(64);
  expect(memory.grownMiB()).toBeLessThan(128);
  sender.close(http2.constants.NGHTTP2_CANCEL);
});

test('a body that is too large for the hub to answer itself is refused with 413', async () => {
  cloud.onOther = (response) => sendText(response, 200, '{}');
  const answer = await hub.client.request('PATCH', '/api/v1/nodes/edge1/status', {
    body: Buffer.alloc(8 << 20, ' '),
    headers: { 'content-type': 'application/merge-patch+json' },
  });
  expect(answer.status).toBe(413);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ kind: 'Status' });
});

test('clients that do not read a list of 20 MB: bounded memory, the view is made, the others are served', async () => {
  for (let i = 0; i < 20; i += 1) cloud.put(`big-${i}`, 'x'.repeat(1 << 20));
  await hub.client.get(anyVersion);
  const memory = new MemoryWatch();
  const slow = Array.from({ length: 8 }, () => {
    const stream = hub.connect(node).stream({ ':path': anyVersion });
    stream.on('error', () => undefined);
    stream.once('readable', () => stream.read(1)); // one byte, and then not another
    return stream;
  });
  await Promise.all(slow.map((stream) => once(stream, 'response')));
  for (let i = 0; i < 3; i += 1) expect((await hub.client.request('GET', anyVersion)).status).toBe(200);
  expect(memory.grownMiB()).toBeLessThan(400); // every whole list is held three times here: cloud, hub, client
  for (const stream of slow) stream.close(http2.constants.NGHTTP2_CANCEL);
  await until(async () => (await hub.metric('holdfast_yurthub_front_open_streams')) === 0, 'the streams are gone');
});

test('2,000 connections at once are all served', async () => {
  await hub.client.get(anyVersion);
  const memory = new MemoryWatch();
  const context = tls.createSecureContext({ ca: hub.hub.caPem, ...node });
  const sockets: tls.TLSSocket[] = [];
  // To the end of each answer: what is left unread would be taken for the next one.
  const ask = (socket: tls.TLSSocket): Promise<string> =>
    new Promise((resolve) => {
      let answer = '';
      const end = (text: string): void => {
        socket.off('data', onData).off('close', onClose);
        resolve(text);
      };
      const onClose = (): void => end('closed');
      const onData = (part: Buffer): void => {
        answer += part.toString();
        if (isWhole(answer)) end(answer.slice(0, 12));
      };
      socket.on('data', onData).on('close', onClose);
      socket.write(`GET ${anyVersion} HTTP/1.1\r\nHost: hub\r\nAccept: application/json\r\n\r\n`);
    });
  const open = async (): Promise<void> => {
    const socket = tls.connect({
      host: '127.0.0.1',
      port: hub.port,
      secureContext: context,
      ALPNProtocols: ['http/1.1'],
    });
    sockets.push(socket);
    await once(socket, 'secureConnect');
  };
  let askedMs = performance.now();
  while (sockets.length < 2_000) {
    await Promise.all(Array.from({ length: 50 }, open));
    // A slow machine takes longer for all of them than the hub keeps an idle one.
    if (performance.now() - askedMs < 30_000) continue;
    await Promise.all(sockets.map(ask));
    askedMs = performance.now();
  }
  expect(new Set(await Promise.all(sockets.map(ask)))).toEqual(new Set(['HTTP/1.1 200']));
  expect(await hub.metric('holdfast_yurthub_front_open_connections')).toBeGreaterThanOrEqual(2_000);
  expect(cloud.lists).toHaveLength(1);
  expect(memory.grownMiB()).toBeLessThan(650); // both ends of each connection
  for (const socket of sockets) socket.destroy();
  await until(async () => (await hub.metric('holdfast_yurthub_front_open_connections')) < 10, 'all are closed');
});

test("without credentials, or with another node's certificate: 401 that says what to do, and nothing upstream", async () => {
  for (const credential of [undefined, issue('system:node:edge2', 'client')]) {
    const answer = await hub.connect(credential).request('GET', anyVersion);
    expect(answer.status).toBe(401);
    const body = JSON.parse(answer.body.toString()) as { kind: string; message: string };
    expect(body.kind).toBe('Status');
    expect(body.message).toMatch(/token|certificate/);
  }
  expect(cloud.lists).toHaveLength(0);
  const refused = (reason: string): Promise<number> =>
    hub.metric(`holdfast_yurthub_front_refused_identities_total{reason="${reason}"}`);
  expect([await refused('no-credentials'), await refused('foreign-certificate')]).toEqual([1, 1]);
});

/** An HTTP/1.1 response, with a length or in chunks. */
function isWhole(answer: string): boolean {
  const [head = '', body] = answer.split(/\r\n\r\n([^]*)/);
  if (body === undefined) return false;
  const [, length] = /\r\ncontent-length: (\d+)/i.exec(head) ?? [];
  return length === undefined ? body.endsWith('0\r\n\r\n') : Buffer.byteLength(body) >= Number(length);
}
