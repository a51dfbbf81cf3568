import { nullLog } from '../runtime/log.ts';
import { CloudUnreachableError } from './errors.ts';
import { ServiceAddresses } from './service-addresses.ts';
import type { StoreOp, UpstreamReply, UpstreamRequest } from './types.ts';

const records = new Map<string, Buffer>();
const store = {
  get: (key: string) => Promise.resolve(records.get(key)),
  write: (ops: readonly StoreOp[]) => {
    for (const op of ops) if (op.type === 'put') records.set(op.key, Buffer.from(op.value));
    return Promise.resolve();
  },
};
const { signal } = new AbortController();
const make = (): ServiceAddresses => new ServiceAddresses({ store, log: nullLog });
const cloud = (statusCode: number, body: unknown) => ({
  fetch: (request: UpstreamRequest): Promise<UpstreamReply> => {
    expect([request.method, request.target, request.lane]).toEqual([
      'GET',
      '/api/v1/namespaces/default/services/kubernetes',
      'node',
    ]);
    return Promise.resolve({ statusCode, headers: {}, body: Buffer.from(JSON.stringify(body)) });
  },
});
const service = (...clusterIPs: unknown[]): object => ({ kind: 'Service', spec: { clusterIPs } });

beforeEach(() => records.clear());

test('what was learned is there after a restart with the cloud gone', async () => {
  const first = make();
  await first.load();
  expect(first.addresses).toEqual([]);
  expect(await first.learn(cloud(200, service('10.96.0.1', 'fd00::1')), signal)).toBe(true);
  const second = make();
  await second.load();
  expect(second.addresses).toEqual(['10.96.0.1', 'fd00::1']);
  const gone = { fetch: () => Promise.reject(new CloudUnreachableError('cut', { sent: false })) };
  expect(await second.learn(gone, signal)).toBe(false);
  expect(second.addresses).toEqual(['10.96.0.1', 'fd00::1']);
});

test('addresses that have not changed are not told again, others are', async () => {
  const addresses = make();
  await addresses.learn(cloud(200, service('10.96.0.1')), signal);
  expect(await addresses.learn(cloud(200, service('10.96.0.1')), signal)).toBe(false);
  expect(await addresses.learn(cloud(200, service('10.32.0.1')), signal)).toBe(true);
  expect(addresses.addresses).toEqual(['10.32.0.1']);
});

test.each([
  ['a refusal', 403, { kind: 'Status' }],
  ['a Service without an address', 200, service('None')],
  ['something that is no Service', 200, 'text'],
  ['an answer for a name, not an address', 200, service('kubernetes.example')],
])('%s changes nothing', async (_what, statusCode, body) => {
  const addresses = make();
  await addresses.learn(cloud(200, service('10.96.0.1')), signal);
  expect(await addresses.learn(cloud(statusCode, body), signal)).toBe(false);
  expect(addresses.addresses).toEqual(['10.96.0.1']);
});

test('a record that makes no sense is no memory', async () => {
  records.set('front/service-addresses', Buffer.from('{"spec'));
  const addresses = make();
  await addresses.load();
  expect(addresses.addresses).toEqual([]);
});
