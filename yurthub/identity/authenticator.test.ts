import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../runtime/clock.ts';
import { nullLog, type Log } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { openStore, type OpenedStore } from '../store/level-store.ts';
import type { UpstreamReply, UpstreamRequest } from '../types.ts';
import { FakeCloud, json } from '../writes/far-end.ts';
import { Authenticator, type PodLookup, type Verdict } from './authenticator.ts';
import { IssuerKeys } from './issuer-keys.ts';
import { identityMetrics } from './metrics.ts';
import { keySet, TokenSigner } from './token-signer.testing.ts';

const graceMs = 3_600_000;
const never = new AbortController().signal;

let folder: string;
let store: OpenedStore;
let clock: ManualClock;
let cloud: FakeCloud;
let signers: TokenSigner[];
let mayReadKeys: (request: UpstreamRequest) => boolean;
let review: (token: string) => { authenticated: boolean; username: string; audiences?: string[] };
let pod: Awaited<ReturnType<PodLookup>>;
let stop: AbortController;
let running: Promise<void>;
let issuer: IssuerKeys;
let authenticator: Authenticator;
let said: string[];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'holdfast-identity-'));
  clock = new ManualClock();
  cloud = new FakeCloud();
  signers = [new TokenSigner()];
  mayReadKeys = () => true;
  review = () => ({ authenticated: false, username: '' });
  pod = 'unknown';
  said = [];
  cloud.answer = answer;
  await open();
});
afterEach(async () => {
  await close();
  await rm(folder, { recursive: true });
});

async function open(): Promise<void> {
  store = await openStore(
    { log: nullLog, metrics: new Metrics(), clock: systemClock },
    { directory: path.join(folder, 'store'), maxBytes: 1 << 30 },
  );
  const say: Log['info'] = (message, fields) => void said.push(`${message} ${JSON.stringify(fields ?? {})}`);
  const log: Log = { error: say, warn: say, info: say, debug: say, child: () => log };
  const metrics = identityMetrics(new Metrics());
  issuer = new IssuerKeys({ store, uplink: cloud, log, clock, metrics }, { userAgent: 'test' });
  authenticator = new Authenticator(
    { issuer, store, uplink: cloud, pods: () => Promise.resolve(pod), clock, metrics },
    { nodeName: 'edge1', offlineGraceMs: graceMs, userAgent: 'test' },
  );
  await authenticator.load();
  stop = new AbortController();
  running = issuer.run(stop.signal);
  if (cloud.cloud.reachable) await issuer.refresh();
}

async function close(): Promise<void> {
  stop.abort();
  await running;
  await store.close();
}

/** The node without its cloud, and the hub started anew. */
async function cutAndRestart(): Promise<void> {
  cloud.reachable = false;
  await close();
  await open();
}

function answer(request: UpstreamRequest): UpstreamReply {
  if (request.target === '/apis/authentication.k8s.io/v1/tokenreviews') {
    const { spec } = JSON.parse(String(request.body)) as { spec: { token: string } };
    const { authenticated, username, audiences = [] } = review(spec.token);
    return json(201, { status: { authenticated, user: { username }, audiences } });
  }
  if (!mayReadKeys(request)) return json(403, { kind: 'Status' });
  const date = { date: new Date(clock.wallMs()).toUTCString() };
  if (request.target === '/openid/v1/jwks') return { ...json(200, {}, date), body: Buffer.from(keySet(...signers)) };
  return json(200, { issuer: TokenSigner.issuer }, date);
}

const signer = (): TokenSigner => signers[0] as TokenSigner;
const token = (changes?: Parameters<TokenSigner['token']>[2]): string =>
  signer().token('kube-proxy', clock.wallMs(), changes);
const judge = (text: string): Promise<Verdict> => authenticator.authenticate(text, never);

test('a token of the cluster is its service account, with the groups that the API server gives it', async () => {
  const verdict = await judge(
    token({ kubernetes: { pod: { name: 'p', uid: 'u' }, node: { name: 'edge1', uid: 'n' } } }),
  );
  expect(verdict).toMatchObject({
    kind: 'account',
    token: {
      account: {
        username: 'system:serviceaccount:kube-system:kube-proxy',
        uid: 'uid-of-kube-proxy',
        groups: ['system:serviceaccounts', 'system:serviceaccounts:kube-system', 'system:authenticated'],
      },
      pod: { name: 'p', uid: 'u' },
    },
  });
});

test('the keys outlive a restart without the cloud', async () => {
  await cutAndRestart();
  expect(await judge(token())).toMatchObject({ kind: 'account' });
});

test('without the cloud a token is taken until its grace is over, and online not a moment', async () => {
  const text = token();
  clock.advance(3_540_000 + 60_001);
  expect(await judge(text)).toEqual({ kind: 'invalid', reason: 'expired' });
  cloud.reachable = false;
  expect(await judge(text)).toMatchObject({ kind: 'account' });
  clock.advance(graceMs);
  expect(await judge(text)).toEqual({ kind: 'invalid', reason: 'expired' });
});

test('a clock that went back to 1970 does not make tokens unusable, nor expired ones good', async () => {
  const good = token();
  const old = signer().token('kube-proxy', clock.wallMs() - 10 * graceMs);
  cloud.reachable = false;
  clock.jumpWall(-clock.wallMs());
  expect(await judge(good)).toMatchObject({ kind: 'account' });
  expect(await judge(old)).toEqual({ kind: 'invalid', reason: 'expired' });
});

test.each([
  ['a forged signature', 'signature', () => new TokenSigner().token('kube-proxy', clock.wallMs())],
  ['another audience', 'audience', () => token({ claims: { aud: ['vault'] } })],
  ['a subject that is not its account', 'claims', () => token({ claims: { sub: 'system:serviceaccount:a:b' } })],
  ['no expiry', 'claims', () => token({ claims: { exp: undefined } })],
  ['a Secret that it is bound to', 'claims', () => token({ kubernetes: { secret: { name: 's', uid: 'u' } } })],
  ['a pod on another node', 'unbound', () => token({ kubernetes: { node: { name: 'edge2', uid: 'n' } } })],
])('without the cloud a token with %s is refused', async (_what, reason, make) => {
  const text = make();
  cloud.reachable = false;
  expect(await judge(text)).toEqual({ kind: 'invalid', reason });
});

test('a token of another issuer, or of an unknown key, is not for the hub to judge', async () => {
  cloud.reachable = false;
  expect(await judge(token({ claims: { iss: 'https://accounts.example' } }))).toEqual({ kind: 'unknown' });
  expect(await judge(new TokenSigner('key-9').token('kube-proxy', clock.wallMs()))).toEqual({ kind: 'unknown' });
  expect(await judge('opaque')).toEqual({ kind: 'unknown' });
});

test('without the cloud a token ends with the pod that it is bound to', async () => {
  const text = token({ kubernetes: { pod: { name: 'p', uid: 'first' } } });
  cloud.reachable = false;
  pod = { uid: 'first' };
  expect(await judge(text)).toMatchObject({ kind: 'account' });
  pod = { uid: 'second' };
  expect(await judge(text)).toEqual({ kind: 'invalid', reason: 'unbound' });
  pod = 'absent';
  expect(await judge(text)).toEqual({ kind: 'invalid', reason: 'unbound' });
});

test('a token that the API server rejected stays rejected without the cloud, and after a restart', async () => {
  const text = token();
  const verdict = await judge(text);
  if (verdict.kind !== 'account') throw new Error('not known');
  await authenticator.reject(verdict.token);
  expect(authenticator.isLive(verdict.token)).toBe(false);
  await cutAndRestart();
  expect(await judge(text)).toEqual({ kind: 'invalid', reason: 'revoked' });
  await authenticator.confirm(verdict.token);
  expect(await judge(text)).toMatchObject({ kind: 'account' });
});

test('a key that is new is looked for, not more often than every ten seconds; one that is withdrawn counts no more', async () => {
  const old = token();
  clock.advance(10_000);
  signers = [new TokenSigner('key-2')];
  expect(await judge(token())).toMatchObject({ kind: 'account' });
  expect(await judge(old)).toEqual({ kind: 'unknown' });
  const asked = cloud.requests.length;
  expect(await judge(new TokenSigner('key-3').token('kube-proxy', clock.wallMs()))).toEqual({ kind: 'unknown' });
  expect(cloud.requests).toHaveLength(asked);
});

test('an audience that the API server takes is learnt from it', async () => {
  review = () => ({
    authenticated: true,
    username: 'system:serviceaccount:kube-system:kube-proxy',
    audiences: ['https://api.example'],
  });
  expect(await judge(token({ claims: { aud: ['https://api.example'] } }))).toMatchObject({ kind: 'account' });
  await cutAndRestart();
  expect(await judge(token({ claims: { aud: ['https://api.example'], jti: 'another' } }))).toMatchObject({
    kind: 'account',
  });
});

describe('where the node may not read the key set', () => {
  beforeEach(async () => {
    await close();
    await rm(path.join(folder, 'store'), { recursive: true });
    mayReadKeys = ({ lane }) => lane === 'bearer';
    await open();
  });

  test('the log says what does not work and which file mends it', () => {
    expect(said).toEqual([expect.stringContaining('config/rbac/node.yaml')]);
  });

  test('the API server is asked who it is, and the keys are read with a token that it has accepted', async () => {
    review = () => ({ authenticated: true, username: 'system:serviceaccount:kube-system:kube-proxy' });
    clock.advance(10_000);
    const read = new Promise<void>((resolve) => issuer.onChange(resolve));
    expect(await judge(token())).toMatchObject({ kind: 'account' });
    await read;
    cloud.reachable = false;
    expect(await judge(token())).toMatchObject({ kind: 'account' });
  });

  test('a token that the API server does not know is nobody, and reads no keys', async () => {
    clock.advance(10_000);
    const asked = cloud.requests.length;
    expect(await judge(token())).toEqual({ kind: 'invalid', reason: 'rejected' });
    expect(cloud.requests.slice(asked).map(({ lane }) => lane)).toEqual(['node']);
    cloud.reachable = false;
    expect(await judge(token({ claims: { jti: 'another' } }))).toEqual({ kind: 'unknown' });
  });
});

test('no token is said or kept', async () => {
  const text = token();
  const verdict = await judge(text);
  if (verdict.kind === 'account') await authenticator.reject(verdict.token);
  await cutAndRestart();
  await judge(text);
  const kept: string[] = [];
  for await (const [key, value] of store.entries('')) kept.push(key, value.toString('latin1'));
  const [, , signature] = text.split('.');
  expect(kept.join('')).toContain('key-1');
  expect(`${said.join('')}${kept.join('')}`).not.toContain(signature);
});
