// Who a client of the CONNECT proxy is, and whether it may reach a node: the API server decides both, by TokenReview and
// SubjectAccessReview on nodes/proxy. Decisions are kept for seconds. Nothing is allowed while it cannot be asked.
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { RefusedError } from '../tunnel/refusal.ts';
import type { KubeApi } from '../tunnel/kube-api.ts';

export interface ClientIdentity {
  readonly user: string;
  readonly uid?: string | undefined;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>> | undefined;
}

interface TokenReviewStatus {
  readonly authenticated?: boolean;
  readonly user?: { username?: string; uid?: string; groups?: string[]; extra?: Record<string, string[]> };
}

interface AccessReviewStatus {
  readonly allowed?: boolean;
  readonly denied?: boolean;
}

/** A right that is taken away ends within that time, and so does one that is given. */
const allowedMs = 10_000;
const deniedMs = 5_000;
const maxEntries = 5_000;

export class Authorizer {
  readonly #api: KubeApi;
  readonly #identities = new LRUCache<string, { identity: ClientIdentity | undefined }>({ max: maxEntries });
  readonly #decisions = new LRUCache<string, { allowed: boolean }>({ max: maxEntries });

  constructor({ api }: { api: KubeApi }) {
    this.#api = api;
  }

  /** The holder of a bearer token. Throws RefusedError (unauthenticated, unavailable). */
  async identify(token: string, signal: AbortSignal): Promise<ClientIdentity> {
    // Only the hash is kept: a dump of this process's memory must not be a list of tokens.
    const key = createHash('sha256').update(token).digest('base64');
    let kept = this.#identities.get(key);
    if (kept === undefined) {
      const { status } = (await this.#ask(
        '/apis/authentication.k8s.io/v1/tokenreviews',
        { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } },
        signal,
      )) as { status: TokenReviewStatus };
      const { username = '', uid, groups = [], extra } = status.user ?? {};
      const isKnown = status.authenticated === true && username !== '';
      kept = { identity: isKnown ? { user: username, uid, groups, extra } : undefined };
      this.#identities.set(key, kept, { ttl: isKnown ? allowedMs : deniedMs });
    }
    if (kept.identity === undefined) throw new RefusedError('unauthenticated', 'the token is not valid');
    return kept.identity;
  }

  /** Throws RefusedError (policy, unavailable) unless the client may `get` nodes/proxy of this node. */
  async authorize({ user, uid, groups, extra }: ClientIdentity, node: string, signal: AbortSignal): Promise<void> {
    const key = JSON.stringify([node, user, uid, groups, extra]);
    let kept = this.#decisions.get(key);
    if (kept === undefined) {
      const { status } = (await this.#ask(
        '/apis/authorization.k8s.io/v1/subjectaccessreviews',
        {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SubjectAccessReview',
          spec: {
            user,
            groups,
            ...(uid === undefined ? {} : { uid }),
            ...(extra === undefined ? {} : { extra }),
            resourceAttributes: { verb: 'get', resource: 'nodes', subresource: 'proxy', name: node },
          },
        },
        signal,
      )) as { status: AccessReviewStatus };
      kept = { allowed: status.allowed === true && status.denied !== true };
      this.#decisions.set(key, kept, { ttl: kept.allowed ? allowedMs : deniedMs });
    }
    if (!kept.allowed) throw new RefusedError('policy', `${user} may not get nodes/proxy of ${node}`);
  }

  async #ask(path: string, review: unknown, signal: AbortSignal): Promise<unknown> {
    try {
      return await this.#api.request('POST', path, review, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw new RefusedError('unavailable', 'the API server cannot be asked for the rights of this client', error);
    }
  }
}
