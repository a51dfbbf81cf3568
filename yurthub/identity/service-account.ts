// Who a service account token says its bearer is, and for how long, by the rules of kube-apiserver
// (k8s.io/kubernetes/pkg/serviceaccount: claims.go, jwt.go). Pure; whether the claims are genuine is not judged here.
import { child, text } from '../../kube/plain-object.ts';
import type { KubeObject } from '../../kube/wire.ts';

/** An object that a token is bound to: the token ends with it. */
export interface BoundObject {
  readonly name: string;
  readonly uid: string;
}

export interface ServiceAccount {
  /** `system:serviceaccount:NAMESPACE:NAME` */
  readonly username: string;
  readonly namespace: string;
  readonly name: string;
  /** An account that was deleted and made again is another one. */
  readonly uid: string;
  readonly groups: readonly string[];
}

export interface TokenClaims {
  readonly account: ServiceAccount;
  readonly audiences: readonly string[];
  readonly pod: BoundObject | undefined;
  readonly node: BoundObject | undefined;
  readonly notBeforeMs: number;
  readonly issuedMs: number;
  readonly expiresMs: number;
}

/**
 * Undefined for claims that are not those of a bound service account token: audiences and an expiry are part of every
 * one. Tokens from Secrets (no audience, no expiry) end with their Secret, which only the API server can look up.
 */
export function readClaims(claims: KubeObject): TokenClaims | undefined {
  const kubernetes = child(claims, 'kubernetes.io');
  const namespace = text(kubernetes, 'namespace');
  const account = boundObject(kubernetes, 'serviceaccount');
  const audiences = audiencesOf(claims['aud']);
  const [exp, nbf, iat] = [claims['exp'], claims['nbf'], claims['iat']];
  if (namespace === '' || account === undefined || audiences.length === 0 || typeof exp !== 'number') return undefined;
  const username = `system:serviceaccount:${namespace}:${account.name}`;
  if (text(claims, 'sub') !== username || 'secret' in kubernetes) return undefined;
  const issuedMs = typeof iat === 'number' ? iat * 1_000 : 0;
  return {
    account: {
      username,
      namespace,
      name: account.name,
      uid: account.uid,
      groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
    },
    audiences,
    pod: boundObject(kubernetes, 'pod'),
    node: boundObject(kubernetes, 'node'),
    notBeforeMs: typeof nbf === 'number' ? nbf * 1_000 : issuedMs,
    issuedMs,
    expiresMs: exp * 1_000,
  };
}

/** What go-jose forgives between two clocks, and kube-apiserver with it. */
const leewayMs = 60_000;

export type Timeliness = 'valid' | 'expired' | 'not_yet_valid';

/** `graceMs`: what is forgiven beyond that, either way. */
export function timeliness(
  { notBeforeMs, expiresMs }: Pick<TokenClaims, 'notBeforeMs' | 'expiresMs'>,
  nowMs: number,
  graceMs: number,
): Timeliness {
  if (nowMs > expiresMs + leewayMs + graceMs) return 'expired';
  return nowMs < notBeforeMs - leewayMs - graceMs ? 'not_yet_valid' : 'valid';
}

function boundObject(kubernetes: KubeObject, field: string): BoundObject | undefined {
  const object = child(kubernetes, field);
  const [name, uid] = [text(object, 'name'), text(object, 'uid')];
  return name === '' || uid === '' ? undefined : { name, uid };
}

/** RFC 7519 allows one as a text. */
function audiencesOf(aud: unknown): string[] {
  const list: unknown[] = Array.isArray(aud) ? aud : [aud];
  return list.filter((audience): audience is string => typeof audience === 'string' && audience !== '');
}
