// For tests: makes service account tokens as kube-apiserver does, and the key set that goes with them.
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';

export interface TokenChanges {
  readonly header?: Readonly<Record<string, unknown>>;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly kubernetes?: Readonly<Record<string, unknown>>;
}

type Algorithm = 'RS256' | 'ES256' | 'ES384' | 'ES512';
const curves = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' } as const;
const digests = { RS256: 'sha256', ES256: 'sha256', ES384: 'sha384', ES512: 'sha512' } as const;

export class TokenSigner {
  static readonly issuer = 'https://kubernetes.default.svc.cluster.local';
  readonly keyId: string;
  readonly #algorithm: Algorithm;
  readonly #keys: { publicKey: KeyObject; privateKey: KeyObject };

  constructor(keyId = 'key-1', algorithm: Algorithm = 'ES256') {
    this.keyId = keyId;
    this.#algorithm = algorithm;
    this.#keys =
      algorithm === 'RS256'
        ? generateKeyPairSync('rsa', { modulusLength: 2_048 })
        : generateKeyPairSync('ec', { namedCurve: curves[algorithm] });
  }

  get jwk(): object {
    const { publicKey } = this.#keys;
    return { ...publicKey.export({ format: 'jwk' }), use: 'sig', kid: this.keyId, alg: this.#algorithm };
  }

  /** Of kube-system/NAME, valid from a minute before `nowMs` for an hour. */
  token(name: string, nowMs: number, changes: TokenChanges = {}): string {
    const seconds = Math.floor(nowMs / 1_000);
    const claims = {
      iss: TokenSigner.issuer,
      aud: [TokenSigner.issuer],
      sub: `system:serviceaccount:kube-system:${name}`,
      iat: seconds - 60,
      nbf: seconds - 60,
      exp: seconds + 3_540,
      'kubernetes.io': {
        namespace: 'kube-system',
        serviceaccount: { name, uid: `uid-of-${name}` },
        ...changes.kubernetes,
      },
      ...changes.claims,
    };
    const head = encode({ alg: this.#algorithm, kid: this.keyId, ...changes.header });
    const signed = `${head}.${encode(claims)}`;
    const key = { key: this.#keys.privateKey, dsaEncoding: 'ieee-p1363' } as const;
    return `${signed}.${sign(digests[this.#algorithm], Buffer.from(signed), key).toString('base64url')}`;
  }
}

export function keySet(...signers: readonly TokenSigner[]): string {
  return JSON.stringify({ keys: signers.map(({ jwk }) => jwk) });
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
