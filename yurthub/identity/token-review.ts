// Asks the API server whose a token is, with the node's own credential (every node may: its kubelet does).
import { child, isObject, text } from '../../kube/plain-object.ts';
import type { Uplink } from '../types.ts';

export interface ReviewedToken {
  readonly authenticated: boolean;
  readonly username: string;
  /** Those of the token that the API server takes. */
  readonly audiences: readonly string[];
}

const maxBodyBytes = 64 << 10;

/** Undefined when the API server does not say. Rejects with CloudUnreachableError. */
export async function reviewToken(
  uplink: Pick<Uplink, 'fetch'>,
  token: string,
  userAgent: string,
  signal: AbortSignal,
): Promise<ReviewedToken | undefined> {
  const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } };
  const reply = await uplink.fetch(
    {
      method: 'POST',
      target: '/apis/authentication.k8s.io/v1/tokenreviews',
      headers: { accept: 'application/json', 'content-type': 'application/json', 'user-agent': userAgent },
      body: Buffer.from(JSON.stringify(review)),
      lane: 'node',
      signal,
    },
    { maxBodyBytes },
  );
  if (reply.statusCode !== 201 && reply.statusCode !== 200) return undefined;
  const answer: unknown = JSON.parse(reply.body.toString());
  if (!isObject(answer)) return undefined;
  const status = child(answer, 'status');
  const audiences: unknown[] = Array.isArray(status['audiences']) ? status['audiences'] : [];
  return {
    authenticated: status['authenticated'] === true,
    username: text(child(status, 'user'), 'username'),
    audiences: audiences.filter((audience): audience is string => typeof audience === 'string'),
  };
}
