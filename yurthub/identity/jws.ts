// Signed tokens (RFC 7515, compact form) and the keys that sign them (RFC 7517), as far as service account tokens go. Pure.
import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { isObject } from '../../kube/plain-object.ts';
import type { KubeObject } from '../../kube/wire.ts';

export interface SignedToken {
  readonly algorithm: string;
  /** '' when the token names none. */
  readonly keyId: string;
  /** Not to be trusted before `isSignedBy` has said so. */
  readonly claims: KubeObject;
  readonly signed: Buffer;
  readonly signature: Buffer;
}

/** A key and the one algorithm that it may be used with: a token does not choose how it is verified. */
export interface VerificationKey {
  readonly keyId: string;
  readonly algorithm: Algorithm;
  readonly key: KeyObject;
}

type Algorithm = 'RS256' | 'ES256' | 'ES384' | 'ES512';

/** The algorithms of kube-apiserver's own and external signers. */
const digests: Readonly<Record<Algorithm, string>> = {
  RS256: 'sha256',
  ES256: 'sha256',
  ES384: 'sha384',
  ES512: 'sha512',
};
const curveAlgorithms: Readonly<Record<string, Algorithm>> = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512' };

/** Undefined for what is no signed token in compact form. */
export function parseSignedToken(text: string): SignedToken | undefined {
  const parts = text.split('.');
  const [head = '', payload = '', signature = ''] = parts;
  if (parts.length !== 3 || !parts.every((part) => /^[A-Za-z0-9_-]+$/.test(part))) return undefined;
  const header = parseJson(head);
  const claims = parseJson(payload);
  // Extensions that must be understood (crit) are not.
  if (header === undefined || claims === undefined || 'crit' in header) return undefined;
  const { alg, kid = '' } = header;
  if (typeof alg !== 'string' || typeof kid !== 'string') return undefined;
  return {
    algorithm: alg,
    keyId: kid,
    claims,
    signed: Buffer.from(`${head}.${payload}`, 'latin1'),
    signature: Buffer.from(signature, 'base64url'),
  };
}

/** Undefined for what is no key set. Keys of other kinds, or for other uses, are left out. */
export function parseKeySet(text: string): VerificationKey[] | undefined {
  const keys = jsonObject(text)?.['keys'];
  if (!Array.isArray(keys)) return undefined;
  return keys.filter(isObject).flatMap((jwk) => {
    const algorithm = algorithmOf(jwk);
    if (algorithm === undefined || (jwk['use'] !== undefined && jwk['use'] !== 'sig')) return [];
    try {
      const key = createPublicKey({ key: jwk, format: 'jwk' });
      return [{ keyId: typeof jwk['kid'] === 'string' ? jwk['kid'] : '', algorithm, key }];
    } catch {
      return []; // a key that cannot be read verifies nothing
    }
  });
}

/** Keys that may have signed a token: those of its key id, or all when it names none, as kube-apiserver looks them up. */
export function candidates(token: SignedToken, keys: readonly VerificationKey[]): VerificationKey[] {
  return keys.filter(({ keyId }) => token.keyId === '' || keyId === token.keyId);
}

export function isSignedBy(token: SignedToken, { algorithm, key }: VerificationKey): boolean {
  if (token.algorithm !== algorithm) return false;
  return verify(digests[algorithm], token.signed, { key, dsaEncoding: 'ieee-p1363' }, token.signature);
}

function algorithmOf(jwk: KubeObject): Algorithm | undefined {
  const algorithm =
    jwk['kty'] === 'RSA' ? 'RS256' : jwk['kty'] === 'EC' ? curveAlgorithms[String(jwk['crv'])] : undefined;
  return jwk['alg'] === undefined || jwk['alg'] === algorithm ? algorithm : undefined;
}

function parseJson(part: string): KubeObject | undefined {
  return jsonObject(Buffer.from(part, 'base64url').toString());
}

function jsonObject(text: string): KubeObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
