import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../runtime/clock.ts';
import { nullLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { StoreWriteError } from '../errors.ts';
import { openStore, type OpenedStore } from '../store/level-store.ts';
import type { UpstreamReply, UpstreamRequest, ViewKey } from '../types.ts';
import { FakeCloud, json } from '../writes/far-end.ts';
import { Allowances } from './allowances.ts';
import type { KnownToken } from './authenticator.ts';
import { identityMetrics } from './metrics.ts';
import { collectionScope } from './scope.ts';

const key: ViewKey = {
  group: '',
  version: 'v1',
  resource: 'services',
  namespace: '',
  labelSelector: '',
  fieldSelector: '',
  encoding: 'json',
  forAccounts: true,
};
const scope = collectionScope(key);

let folder: string;
let store: OpenedStore;
let clock: ManualClock;
let cloud: FakeCloud;
/** By token and verb, what the API server answers. */
let answer: (token: string, verb: string) => UpstreamReply;
let rejected: Set<string>;
let kept: (name: string) => boolean;
let allowances: Allowances;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'holdfast-allowances-'));
  clock = new ManualClock();
  cloud = new FakeCloud();
  answer = () => says(true);
  cloud.answer = ({ headers, body }: UpstreamRequest) => {
    const { spec } = JSON.parse(String(body)) as { spec: { resourceAttributes: { verb: string } } };
    return answer(String(headers['authorization']).replace('Bearer ', ''), spec.resourceAttributes.verb);
  };
  rejected = new Set();
  kept = () => true;
  await open();
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

async function open(maxCount = 100): Promise<void> {
  store = await openStore(
    { log: nullLog, metrics: new Metrics(), clock: systemClock },
    { directory: path.join(folder, 'store'), maxBytes: 1 << 30 },
  );
  const authenticator = {
    isLive: ({ hash }: KnownToken): boolean => !rejected.has(hash),
    confirm: (): Promise<void> => Promise.resolve(),
    reject: ({ hash }: KnownToken): Promise<void> => Promise.resolve(void rejected.add(hash)),
  };
  allowances = new Allowances(
    {
      store,
      uplink: cloud,
      authenticator,
      isKeptFor: ({ name }) => kept(name),
      log: nullLog,
      clock,
      metrics: identityMetrics(new Metrics()),
    },
    { maxCount, recheckMs: 600_000, userAgent: 'test' },
  );
  await allowances.load();
}

async function cutAndRestart(): Promise<void> {
  cloud.reachable = false;
  await store.close();
  await open();
}

const says = (allowed: boolean): UpstreamReply => json(201, { status: { allowed } });

function token(text: string, name = 'kube-proxy', issuedMs = 0, uid = `uid-of-${name}`): KnownToken {
  return {
    text,
    hash: text,
    account: { username: `system:serviceaccount:kube-system:${name}`, namespace: 'kube-system', name, uid, groups: [] },
    audiences: [],
    pod: undefined,
    node: undefined,
    notBeforeMs: 0,
    issuedMs,
    expiresMs: Number.MAX_SAFE_INTEGER,
  };
}

test('both verbs have to be allowed', async () => {
  answer = (_token, verb) => says(verb === 'list');
  expect(await allowances.check(token('a'), scope)).toBe('denied');
  expect(cloud.requests).toHaveLength(2);
});

test('a decision holds for half a minute, and is asked once by many at the same time', async () => {
  const all = await Promise.all([1, 2, 3].map(() => allowances.check(token('a'), scope)));
  expect(all).toEqual(['allowed', 'allowed', 'allowed']);
  clock.advance(29_999);
  await allowances.check(token('a'), scope);
  expect(cloud.requests).toHaveLength(2);
  clock.advance(1);
  answer = () => says(false);
  expect(await allowances.check(token('a'), scope)).toBe('denied');
});

test('what the account is allowed does not make another token of it good', async () => {
  await allowances.check(token('a'), scope);
  answer = (given) => (given === 'b' ? json(401, {}) : says(true));
  expect(await allowances.check(token('b'), scope)).toBe('denied');
  expect(rejected).toEqual(new Set(['b']));
  expect(allowances.recalled(token('a').account, scope)).toBe('allowed');
});

test('without the cloud the last decision holds, and nothing is allowed that was not', async () => {
  await allowances.check(token('a'), scope);
  await allowances.check(token('c', 'coredns'), { ...scope, namespace: 'shop' });
  answer = () => says(false);
  await allowances.check(token('d', 'canal'), scope);
  await cutAndRestart();
  expect(await allowances.check(token('a2'), scope)).toBe('allowed');
  expect(await allowances.check(token('a2'), { ...scope, labelSelector: 'a=b' })).toBe('unknown');
  expect(await allowances.check(token('c2', 'coredns'), scope)).toBe('unknown');
  expect(await allowances.check(token('d2', 'canal'), scope)).toBe('denied');
  expect(await allowances.check(token('e', 'kube-proxy', 0, 'made anew'), scope)).toBe('unknown');
});

test('a cloud that is lost while it is asked leaves the last decision', async () => {
  await allowances.check(token('a'), scope);
  clock.advance(60_000);
  answer = () => {
    cloud.reachable = false;
    return json(503, {});
  };
  // The second of the two questions finds the cloud gone.
  expect(await allowances.check(token('a'), scope)).toBe('allowed');
});

test('an API server that does not say decides nothing', async () => {
  answer = () => json(403, { kind: 'Status' });
  expect(await allowances.check(token('a'), scope)).toBe('unknown');
  answer = () => json(201, { status: {} });
  expect(await allowances.check(token('a'), scope)).toBe('unknown');
  expect(allowances.recalled(token('a').account, scope)).toBe('unknown');
});

test('the newest live token of an account that is allowed fills a view', async () => {
  await allowances.check(token('old', 'kube-proxy', 1), scope);
  await allowances.check(token('new', 'coredns', 3), scope);
  await allowances.check(token('mid', 'canal', 2), scope);
  expect(allowances.credentialFor(key)).toMatchObject({ lane: 'bearer', token: 'new' });
  expect(allowances.credentialFor({ ...key, namespace: 'shop' })).toBeUndefined();

  const newest = allowances.credentialFor(key);
  newest?.answered(401);
  expect(newest?.isGood()).toBe(false);
  expect(allowances.credentialFor(key)?.token).toBe('mid');
  allowances.credentialFor(key)?.answered(403);
  expect(allowances.recalled(token('mid', 'canal').account, scope)).toBe('denied');
  expect(allowances.credentialFor(key)?.token).toBe('old');
  kept = () => false;
  expect(allowances.credentialFor(key)).toBeUndefined();
});

test('after a restart no view is filled before its account has come again', async () => {
  await allowances.check(token('a'), scope);
  await cutAndRestart();
  expect(allowances.credentialFor(key)).toBeUndefined();
  const changed = new Promise<void>((resolve) => allowances.onChange(resolve));
  await allowances.check(token('a'), scope);
  await changed;
  expect(allowances.credentialFor(key)?.token).toBe('a');
});

test('what has not been asked for long is asked again, although nobody asks', async () => {
  const stop = new AbortController();
  const running = allowances.run(stop.signal);
  await allowances.check(token('a'), scope);
  answer = () => says(false);
  const changed = new Promise<void>((resolve) => allowances.onChange(resolve));
  // Each pass takes less than a third of the time; the third one finds the decision too old.
  for (let passes = 0; passes < 10; passes += 1) {
    clock.advance(180_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await changed;
  expect(allowances.recalled(token('a').account, scope)).toBe('denied');
  stop.abort();
  await running;
});

test('a disk that takes nothing is no reason not to decide', async () => {
  jest.spyOn(store, 'write').mockRejectedValue(new StoreWriteError('full', undefined));
  expect(await allowances.check(token('a'), scope)).toBe('allowed');
  answer = () => says(false);
  clock.advance(60_000);
  expect(await allowances.check(token('a'), scope)).toBe('denied');
});

test('decisions are bounded, in memory and on disk', async () => {
  await store.close();
  await open(2);
  for (const namespace of ['a', 'b', 'c']) await allowances.check(token('a'), { ...scope, namespace });
  const keys: string[] = [];
  for await (const kept of store.keys('identity/allowed/')) keys.push(kept);
  expect(keys).toHaveLength(2);
  expect(allowances.recalled(token('a').account, { ...scope, namespace: 'a' })).toBe('unknown');
});
