// Requests with a token: whose they are, and what they may be answered from. Those of service accounts that views are
// kept for are served like the node's, as far as the account is allowed; all others are passed through, and without the
// cloud refused.
import { failure, type StatusError } from '../../kube/status.ts';
import { headerValue } from '../../runtime/headers.ts';
import type { RequestInfo } from '../../kube/request-info.ts';
import type { HubRequest, Uplink } from '../types.ts';
import { viewKeyOf } from '../views/view-key.ts';
import type { ReadableViews, ViewSet } from '../views/view-set.ts';
import { AccountRequest } from './account-request.ts';
import { AccountViews } from './account-views.ts';
import type { Allowances } from './allowances.ts';
import type { Authenticator, KnownToken } from './authenticator.ts';
import type { IdentityMetrics } from './metrics.ts';
import { collectionScope, objectScope, type Scope } from './scope.ts';
import type { ServiceAccount } from './service-account.ts';

export interface AccountsParts {
  readonly authenticator: Authenticator;
  readonly allowances: Allowances;
  readonly views: ViewSet;
  readonly isKeptFor: (account: ServiceAccount) => boolean;
  readonly uplink: Pick<Uplink, 'cloud'>;
  readonly metrics: IdentityMetrics;
}

/** A request of an account that views are kept for; to be disposed when it has been answered. */
export interface Admitted extends Disposable {
  readonly kind: 'account';
  readonly request: HubRequest;
  readonly views: ReadableViews;
  /** Whether what the account read by name may be shown to it again. */
  mayRecall(): boolean;
  /** The API server has answered the request. */
  answered(statusCode: number): Promise<void>;
}

export type Admission =
  | Admitted
  /** A matter between the client and the API server. */
  | { readonly kind: 'stranger' }
  | { readonly kind: 'refused'; readonly error: StatusError };

const stranger: Admission = { kind: 'stranger' };

export class Accounts {
  readonly #parts: AccountsParts;
  readonly #open = new Map<AccountRequest, { readonly token: KnownToken; readonly scope: Scope }>();

  constructor(parts: AccountsParts) {
    this.#parts = parts;
    parts.allowances.onChange(() => this.#endDenied());
  }

  async admit(request: HubRequest): Promise<Admission> {
    const { authenticator, allowances, isKeptFor, uplink, metrics } = this.#parts;
    const online = uplink.cloud.reachable;
    // The API server decides, and nothing of it is kept.
    if (online && request.method !== 'GET') return stranger;
    const text = /^bearer +(\S+) *$/i.exec(headerValue(request.headers, 'authorization') ?? '')?.[1] ?? '';
    const verdict = await authenticator.authenticate(text, request.signal);
    if (verdict.kind === 'invalid' && !online) {
      metrics.refusals.inc({ code: '401' });
      return { kind: 'refused', error: failure('Unauthorized', 'Unauthorized') };
    }
    if (verdict.kind !== 'account' || !isKeptFor(verdict.token.account)) return stranger;
    const { token } = verdict;
    const scopes = scopesOf(request.info);
    if (!online && scopes.object !== undefined && allowances.recalled(token.account, scopes.object) === 'denied') {
      metrics.refusals.inc({ code: '403' });
      return { kind: 'refused', error: forbidden(token.account, scopes.object) };
    }
    return this.#admitted(request, token, scopes);
  }

  #admitted(inner: HubRequest, token: KnownToken, { object, collection }: Scopes): Admitted {
    const { allowances, views, metrics } = this.#parts;
    const { account } = token;
    const request = new AccountRequest(inner, { kind: 'bearer', account });
    if (collection !== undefined) this.#open.set(request, { token, scope: collection });
    return {
      kind: 'account',
      request,
      views: new AccountViews({ views, allowances, metrics }, token),
      mayRecall: () => object === undefined || allowances.recalled(account, object) === 'allowed',
      answered: async (statusCode) => {
        // That a list succeeded does not tell of watches: it is no leave for the view.
        const scope = object ?? (statusCode === 200 ? undefined : collection);
        await allowances.learn(token, scope, statusCode);
      },
      [Symbol.dispose]: () => {
        this.#open.delete(request);
        request[Symbol.dispose]();
      },
    };
  }

  #endDenied(): void {
    const { authenticator, allowances, isKeptFor } = this.#parts;
    for (const [request, { token, scope }] of this.#open) {
      const isDenied = allowances.recalled(token.account, scope) === 'denied';
      if (isDenied || authenticator.isRejected(token) || !isKeptFor(token.account)) request.end();
    }
  }
}

interface Scopes {
  readonly object: Scope | undefined;
  readonly collection: Scope | undefined;
}

/** What a request is allowed or denied by; neither for subresources and what is no resource. */
function scopesOf(info: RequestInfo): Scopes {
  const none = { object: undefined, collection: undefined };
  if (!info.isResource || info.subresource !== '') return none;
  if (info.verb === 'get') return { ...none, object: objectScope(info) };
  if (info.verb !== 'list' && info.verb !== 'watch') return none;
  return { ...none, collection: collectionScope(viewKeyOf(info, 'json')) };
}

function forbidden({ username }: ServiceAccount, { resource, name }: Scope): StatusError {
  return failure(
    'Forbidden',
    `${resource} "${name}" is forbidden: User "${username}" cannot get it (as the API server last said; it is out of reach)`,
  );
}
