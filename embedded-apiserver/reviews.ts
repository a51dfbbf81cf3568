// Requests that are answered and not stored: tokens for service accounts, and reviews. Everyone who is known may do
// everything here, unless a test says otherwise.
import { randomUUID } from 'node:crypto';
import type { Clock } from '../runtime/clock.ts';
import type { KubeObject } from '../kube/wire.ts';
import type { Authenticator, User } from './authentication.ts';
import { child, text } from '../kube/plain-object.ts';
import type { ResourceKind } from './resource-kinds.ts';

/** The answered TokenRequest of `serviceaccounts/NAME/token`; the token authenticates from now on. */
export function issueToken(
  { authenticator, clock }: { authenticator: Authenticator; clock: Clock },
  namespace: string,
  serviceAccount: string,
  body: KubeObject,
): KubeObject {
  const seconds = child(body, 'spec')['expirationSeconds'];
  const expirationSeconds = typeof seconds === 'number' ? seconds : 3600;
  const token = `embedded.${randomUUID()}.${randomUUID()}`;
  authenticator.addToken(token, {
    name: `system:serviceaccount:${namespace}:${serviceAccount}`,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
  });
  return {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { name: serviceAccount, namespace },
    spec: { ...child(body, 'spec'), expirationSeconds },
    status: { token, expirationTimestamp: new Date(clock.wallMs() + expirationSeconds * 1000).toISOString() },
  };
}

/** The answered review: who a token is, who asks, or whether something is allowed. */
export function answerReview(
  authenticator: Authenticator,
  kind: ResourceKind,
  user: User,
  body: KubeObject,
): KubeObject {
  const metadata = { creationTimestamp: null };
  switch (kind.kind) {
    case 'TokenReview': {
      const holder = authenticator.byToken(text(child(body, 'spec'), 'token'));
      const status =
        holder === undefined
          ? { authenticated: false, error: 'unknown token' }
          : { authenticated: true, user: { username: holder.name, groups: holder.groups } };
      return { ...body, metadata, status };
    }
    case 'SelfSubjectReview':
      return { ...body, metadata, status: { userInfo: { username: user.name, groups: user.groups } } };
    default:
      return { ...body, metadata, status: { allowed: true, reason: 'the embedded API server allows everything' } };
  }
}
