import { gzipSync } from 'node:zlib';
import { jsonWire } from '../../kube/json/json-wire.ts';
import { protobufWire } from '../../kube/protobuf/protobuf-wire.ts';
import type { Wire } from '../../kube/wire.ts';
import type { Headers, HubResponse } from '../types.ts';
import { ShownResponse, type Shows } from './shown-response.ts';

const typeMeta = { apiVersion: 'v1', kind: 'ConfigMap' };
const settings = { maxBytes: 1 << 20 };

class Client implements HubResponse {
  headSent = false;
  statusCode = 0;
  headers: Headers = {};
  chunks: Buffer[] = [];
  outcome = 'open';
  readonly queuedBytes = 0;
  interim(): void {}
  head(statusCode: number, headers: Headers): void {
    this.headSent = true;
    this.statusCode = statusCode;
    this.headers = headers;
  }
  write(chunk: Buffer): boolean {
    this.chunks.push(chunk);
    return true;
  }
  onDrain(): void {}
  end(chunk?: Buffer): void {
    if (chunk !== undefined) this.chunks.push(chunk);
    this.outcome = 'ended';
  }
  abort(): void {
    this.outcome = 'aborted';
  }
  get body(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

const configMap = (name: string, value: string): Record<string, unknown> => ({
  metadata: { name, namespace: 'shop', uid: name, resourceVersion: '7' },
  data: { value },
});
const listOf = (wire: Wire, ...values: string[]): Buffer => {
  const items = values.map((value) => wire.encode(typeMeta, configMap(value, value)));
  const head = {
    apiVersion: 'v1',
    kind: 'ConfigMapList',
    resourceVersion: '9',
    continue: 'more',
    remainingItemCount: 3,
  };
  return Buffer.concat([...wire.list(head, items).parts]);
};
const valuesIn = (wire: Wire, body: Buffer): unknown => {
  const scanner = wire.listScanner({ maxItemBytes: 1 << 20 });
  const items = scanner.push(body);
  const { resourceVersion, continue: next, remainingItemCount } = scanner.end();
  const values = items.map(({ bytes }) => (wire.decode(typeMeta, bytes) as { data: { value: string } }).data.value);
  return { resourceVersion, next, remainingItemCount, values };
};

/** Hides 'hidden', shows 'old' as 'a new value', everything else as it is. */
const shows: Shows = (wire, bytes) => {
  if (bytes.includes('hidden')) return undefined;
  return bytes.includes('old') ? wire.encode(typeMeta, configMap('old', 'a new value')) : bytes;
};

describe.each([jsonWire, protobufWire])('$encoding', (wire) => {
  async function through(verb: 'list' | 'get', body: Buffer, extra: Headers = {}): Promise<[Client, string]> {
    const client = new Client();
    const held = new ShownResponse(client, verb, settings);
    held.head(200, {
      'content-type': wire.contentType,
      'content-length': String(body.length),
      audit: 'kept',
      ...extra,
    });
    held.write(body.subarray(0, 5));
    expect(client.headSent).toBe(false);
    held.end(body.subarray(5));
    return [client, await held.finish(shows)];
  }

  test.each(['identity', 'gzip'])(
    'a list is sent with what is shown of it, and goes on where it went on (%s)',
    async (encoding) => {
      const plain = listOf(wire, 'a', 'old', 'hidden');
      const body = encoding === 'gzip' ? gzipSync(plain) : plain;
      const [client, outcome] = await through('list', body, { 'content-encoding': encoding });
      expect(outcome).toBe('sent');
      expect(valuesIn(wire, client.body)).toEqual({
        resourceVersion: '9',
        next: 'more',
        remainingItemCount: 3,
        values: ['a', 'a new value'],
      });
      expect(client.headers).toMatchObject({ 'content-length': String(client.body.length), audit: 'kept' });
      expect(client.headers).not.toHaveProperty('content-encoding');
    },
  );

  test('an answer in which nothing changes is sent as it came, compressed too', async () => {
    const body = gzipSync(listOf(wire, 'a', 'b'));
    const [client] = await through('list', body, { 'content-encoding': 'gzip' });
    expect(client.body).toEqual(body);
    expect(client.headers['content-encoding']).toBe('gzip');
  });

  test('an object is changed, or said to be hidden and not sent', async () => {
    const object = (value: string): Buffer => wire.object(typeMeta, wire.encode(typeMeta, configMap(value, value)));
    const [changed] = await through('get', object('old'));
    const { item } = wire.scanObject(changed.body);
    expect(wire.decode(typeMeta, item.bytes)).toMatchObject({ data: { value: 'a new value' } });
    const [client, outcome] = await through('get', object('hidden'));
    expect([outcome, client.outcome]).toEqual(['hidden', 'open']);
  });

  test('what cannot be read is sent as it came', async () => {
    const [client, outcome] = await through('list', Buffer.from('no list at all'));
    expect([outcome, client.body.toString()]).toEqual(['sent', 'no list at all']);
  });
});

test('errors and other forms pass at once', async () => {
  for (const [status, type] of [
    [404, 'application/json'],
    [200, 'application/yaml'],
  ] as const) {
    const client = new Client();
    const held = new ShownResponse(client, 'get', settings);
    held.head(status, { 'content-type': type });
    held.end(Buffer.from('x'));
    expect([client.statusCode, client.outcome, await held.finish(shows)]).toEqual([status, 'ended', 'sent']);
  }
});

test('an answer beyond the bound is not held, and one that breaks off breaks off', async () => {
  const client = new Client();
  const held = new ShownResponse(client, 'list', { maxBytes: 10 });
  held.head(200, { 'content-type': 'application/json' });
  held.write(Buffer.from('0123456789'));
  expect(client.chunks).toHaveLength(0);
  held.write(Buffer.from('abc'));
  held.write(Buffer.from('def'));
  expect(client.body.toString()).toBe('0123456789abcdef');
  held.abort();
  expect([client.outcome, await held.finish(shows)]).toEqual(['aborted', 'sent']);
});
