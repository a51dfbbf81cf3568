import { createHmac } from 'node:crypto';
import { candidates, isSignedBy, parseKeySet, parseSignedToken } from './jws.ts';
import { keySet, TokenSigner } from './token-signer.testing.ts';

const nowMs = 1_700_000_000_000;

function accepted(token: string, keys: string): boolean {
  const parsed = parseSignedToken(token);
  const set = parseKeySet(keys);
  if (parsed === undefined || set === undefined) throw new Error('not readable');
  return candidates(parsed, set).some((key) => isSignedBy(parsed, key));
}

test.each(['RS256', 'ES256', 'ES384', 'ES512'] as const)('a token signed with %s verifies', (algorithm) => {
  const signer = new TokenSigner('key-1', algorithm);
  expect(accepted(signer.token('kube-proxy', nowMs), keySet(signer))).toBe(true);
});

test('a token of another key with the same key id does not verify', () => {
  const token = new TokenSigner().token('kube-proxy', nowMs);
  expect(accepted(token, keySet(new TokenSigner()))).toBe(false);
});

test('claims changed after signing do not verify', () => {
  const signer = new TokenSigner();
  const [head, , signature] = signer.token('kube-proxy', nowMs).split('.');
  const [, claims] = signer.token('admin', nowMs).split('.');
  expect(accepted(`${head}.${claims}.${signature}`, keySet(signer))).toBe(false);
});

test('a token that names no key is tried with each, as the API server does', () => {
  const [first, second] = [new TokenSigner('a'), new TokenSigner('b')];
  const token = second.token('kube-proxy', nowMs, { header: { kid: undefined } });
  expect(accepted(token, keySet(first, second))).toBe(true);
});

test('a token does not choose its algorithm: none, and the public key as an HMAC secret, do not verify', () => {
  const signer = new TokenSigner('key-1', 'RS256');
  const unsigned = signer.token('kube-proxy', nowMs, { header: { alg: 'none' } });
  expect(accepted(unsigned, keySet(signer))).toBe(false);
  const [head, claims] = signer.token('kube-proxy', nowMs, { header: { alg: 'HS256' } }).split('.');
  const mac = createHmac('sha256', JSON.stringify(signer.jwk)).update(`${head}.${claims}`).digest('base64url');
  expect(accepted(`${head}.${claims}.${mac}`, keySet(signer))).toBe(false);
});

test.each([
  '',
  'opaque',
  'a.b',
  'a.b.c.d',
  'e30.e30.',
  '..',
  `${Buffer.from('[]').toString('base64url')}.e30.AA`,
  'e30.e30.AA',
  'e=0.e30.AA',
])('%j is no signed token', (text) => {
  expect(parseSignedToken(text)).toBeUndefined();
});

test('a token with extensions that must be understood is none', () => {
  const token = new TokenSigner().token('kube-proxy', nowMs, { header: { crit: ['exp'] } });
  expect(parseSignedToken(token)).toBeUndefined();
});

test('of a key set only signing keys of known kinds count', () => {
  const { jwk } = new TokenSigner();
  const others = [
    { ...jwk, use: 'enc' },
    { ...jwk, alg: 'RS256' },
    { kty: 'oct', k: 'AAAA' },
    { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' },
    'no key',
  ];
  expect(parseKeySet(JSON.stringify({ keys: [...others, jwk] }))).toHaveLength(1);
  expect(parseKeySet('{"keys":{}}')).toBeUndefined();
  expect(parseKeySet('<html>')).toBeUndefined();
});
