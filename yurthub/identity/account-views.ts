// The views as one service account may see them: what it is not allowed is not there. It shares the node's view of a
// collection where there is one, else the view that service accounts have in common.
import { failure } from '../../kube/status.ts';
import { wireFor } from '../../kube/wires.ts';
import type { StoredObject, UpstreamReply, ViewKey } from '../types.ts';
import type { FirstListClient } from '../views/first-list.ts';
import type { Acquired, MayRead, ObjectName, ReadableViews, ShownObject, ViewSet } from '../views/view-set.ts';
import type { Allowances } from './allowances.ts';
import type { KnownToken } from './authenticator.ts';
import type { IdentityMetrics } from './metrics.ts';
import { collectionScope } from './scope.ts';

export class AccountViews implements ReadableViews {
  readonly #views: ViewSet;
  readonly #allowances: Allowances;
  readonly #metrics: IdentityMetrics;
  readonly #token: KnownToken;
  readonly #mayRead: MayRead;

  constructor(
    parts: { readonly views: ViewSet; readonly allowances: Allowances; readonly metrics: IdentityMetrics },
    token: KnownToken,
  ) {
    this.#views = parts.views;
    this.#allowances = parts.allowances;
    this.#metrics = parts.metrics;
    this.#token = token;
    this.#mayRead = (key) => parts.allowances.recalled(token.account, collectionScope(key)) === 'allowed';
  }

  get cloudReachable(): boolean {
    return this.#views.cloudReachable;
  }

  async acquire(
    key: ViewKey,
    startAt: string,
    signal: AbortSignal,
    firstListClient?: FirstListClient,
  ): Promise<Acquired> {
    const decision = await this.#allowances.check(this.#token, collectionScope(key));
    if (decision !== 'allowed') {
      // The API server says so itself, in its own words.
      if (this.cloudReachable) return { kind: 'unkept' };
      // Part of what it may read whole it may read as well.
      if (decision === 'unknown') return await this.#views.wider(key, this.#mayRead);
      this.#metrics.refusals.inc({ code: '403' });
      return { kind: 'refused', reply: forbidden(this.#token.account.username, key) };
    }
    if (this.#views.has(key)) {
      const acquired = await this.#views.acquire(key, startAt, signal, undefined, this.#mayRead);
      // What the node is refused, or has not got, says nothing about the account.
      if (acquired.kind === 'view') return acquired;
    }
    const shared = { ...key, forAccounts: true } as const;
    return await this.#views.acquire(shared, startAt, signal, firstListClient, this.#mayRead);
  }

  async lastKnown(key: ViewKey): Promise<Acquired> {
    const decision = this.#allowances.recalled(this.#token.account, collectionScope(key));
    if (decision === 'denied') {
      this.#metrics.refusals.inc({ code: '403' });
      return { kind: 'refused', reply: forbidden(this.#token.account.username, key) };
    }
    if (decision !== 'allowed') return await this.#views.wider(key, this.#mayRead);
    if (this.#views.has(key)) {
      const known = await this.#views.lastKnown(key, this.#mayRead);
      if (known.kind === 'view') return known;
    }
    return await this.#views.lastKnown({ ...key, forAccounts: true }, this.#mayRead);
  }

  /** Never live: a GET is asked of the API server while it can be reached, which decides on it. */
  async shown(request: ObjectName): Promise<ShownObject | undefined> {
    const shown = await this.#views.shown(request, this.#mayRead);
    return shown === undefined ? undefined : { ...shown, live: false };
  }

  async absentAt(request: ObjectName): Promise<string | undefined> {
    return await this.#views.absentAt(request, this.#mayRead);
  }

  speaksFor(request: ObjectName): boolean {
    return this.#views.speaksFor(request, this.#mayRead);
  }

  wouldHold(request: ObjectName, object: StoredObject): boolean {
    return this.#views.wouldHold(request, object, this.#mayRead);
  }
}

/** As the API server last answered, in its form. */
function forbidden(username: string, { group, resource, namespace }: ViewKey): UpstreamReply {
  const where = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  const kind = group === '' ? resource : `${resource}.${group}`;
  const { code, status } = failure(
    'Forbidden',
    `${kind} is forbidden: User "${username}" cannot list and watch resource "${resource}" in API group "${group}" ${where} (as the API server last said; it is out of reach)`,
  );
  const wire = wireFor('json');
  return { statusCode: code, headers: { 'content-type': wire.contentType }, body: wire.body(status) };
}
