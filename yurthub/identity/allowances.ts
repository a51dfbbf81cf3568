// What each service account may read: decided by the API server, with the account's own token, and remembered. A decision
// holds for seconds while the API server can be asked, and until it can be asked again when it cannot. Whoever is denied is
// denied from then on, also without the cloud; the data stays for those who are not.
import { LRUCache } from 'lru-cache';
import { delay, type Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { child, isObject } from '../../kube/plain-object.ts';
import { CloudUnreachableError } from '../errors.ts';
import type { Store, Uplink, UpstreamReply, ViewKey } from '../types.ts';
import type { AccountCredentials, Credential } from '../views/credential.ts';
import type { Authenticator, KnownToken } from './authenticator.ts';
import { LiveTokens } from './live-tokens.ts';
import type { IdentityMetrics } from './metrics.ts';
import { accessReviews, collectionScope, scopeId, scopeOf, type Scope } from './scope.ts';
import type { ServiceAccount } from './service-account.ts';

export type Decision = 'allowed' | 'denied' | 'unknown';

export interface AllowancesParts {
  readonly store: Store;
  readonly uplink: Uplink;
  readonly authenticator: Pick<Authenticator, 'isLive' | 'confirm' | 'reject'>;
  /** Whether views are kept for an account at present. */
  readonly isKeptFor: (account: ServiceAccount) => boolean;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: IdentityMetrics;
}

export interface AllowancesSettings {
  readonly maxCount: number;
  /** A decision that is older is asked for again although its account does not ask, milliseconds. */
  readonly recheckMs: number;
  readonly userAgent: string;
}

interface Allowance {
  readonly allowed: boolean;
  /** When the API server last said so to this process; monotonic, milliseconds. */
  readonly checkedMs: number;
}

const prefix = 'identity/allowed/';
const freshMs = 30_000;
const maxBodyBytes = 64 << 10;
const maxRechecks = 50;
const maxConfirmed = 500;

export class Allowances implements AccountCredentials {
  readonly #parts: AllowancesParts;
  readonly #settings: AllowancesSettings;
  /** By account and scope, as in the store. */
  readonly #allowances: LRUCache<string, Allowance>;
  readonly #evicted: string[] = [];
  readonly #tokens = new LiveTokens();
  /** Hash of a token to when the API server last took it; monotonic, milliseconds. */
  readonly #confirmed = new LRUCache<string, number>({ max: maxConfirmed });
  readonly #asking = new Map<string, Promise<Decision>>();
  readonly #listeners = new Set<() => void>();
  #signal = new AbortController().signal;

  constructor(parts: AllowancesParts, settings: AllowancesSettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#allowances = new LRUCache({
      max: settings.maxCount,
      dispose: (_allowance, key, reason) => {
        if (reason === 'evict') this.#evicted.push(key);
      },
    });
  }

  /** Reads what an earlier process kept. Rejects with StoreReadError. */
  async load(): Promise<void> {
    for await (const [key, value] of this.#parts.store.entries(prefix)) {
      const id = key.slice(prefix.length);
      if (this.#allowances.has(id)) continue;
      this.#allowances.set(id, { allowed: value.toString() === 'allowed', checkedMs: Number.NEGATIVE_INFINITY });
    }
  }

  /** Asks again for what has not been asked for long, until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    const { recheckMs } = this.#settings;
    while (!signal.aborted) {
      await delay(this.#parts.clock, recheckMs * (0.2 + Math.random() * 0.1), signal);
      if (!signal.aborted && this.#online) await this.#recheck(signal);
    }
    await Promise.allSettled(this.#asking.values());
  }

  /** Calls back when an account has been allowed or denied something, or has another token. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** To be called when views are kept for other accounts than before. */
  keptForOthers(): void {
    this.#notify();
  }

  /** Whether the bearer may read this now: asked of the API server, or remembered when it is out of reach. */
  async check(token: KnownToken, scope: Scope): Promise<Decision> {
    const isNew = this.#tokens.add(accountId(token.account), token);
    if (isNew) this.#notify();
    if (!this.#online) return this.recalled(token.account, scope);
    const id = keyOf(token.account, scope);
    const nowMs = this.#parts.clock.monotonicMs();
    const allowance = this.#allowances.get(id);
    const confirmedMs = this.#confirmed.get(token.hash) ?? Number.NEGATIVE_INFINITY;
    if (allowance !== undefined && nowMs - Math.min(allowance.checkedMs, confirmedMs) < freshMs)
      return allowance.allowed ? 'allowed' : 'denied';
    return await this.#ask(token, scope);
  }

  /** What the API server last said. */
  recalled(account: ServiceAccount, scope: Scope): Decision {
    const allowance = this.#allowances.get(keyOf(account, scope));
    return allowance === undefined ? 'unknown' : allowance.allowed ? 'allowed' : 'denied';
  }

  /** The API server has answered a request with this token. Never rejects: what the disk does not take holds all the same. */
  async learn(token: KnownToken, scope: Scope | undefined, statusCode: number): Promise<void> {
    await this.#learn(token, scope, statusCode).catch((error: unknown) =>
      this.#parts.log.warn('a decision of the API server could not be kept', { error: String(error) }),
    );
  }

  credentialFor(key: ViewKey): Credential | undefined {
    const { authenticator } = this.#parts;
    const scope = collectionScope(key);
    const suffix = `/${scopeId(scope)}`;
    let newest: KnownToken | undefined;
    for (const [id, { allowed }] of this.#allowances.entries()) {
      if (!allowed || !id.endsWith(suffix)) continue;
      const token = this.#tokens.newest(id.slice(0, -suffix.length), (live) => authenticator.isLive(live));
      if (token === undefined || !this.#parts.isKeptFor(token.account)) continue;
      if (newest === undefined || token.issuedMs > newest.issuedMs) newest = token;
    }
    return newest === undefined ? undefined : this.#credential(newest, scope);
  }

  // -------------------------------------------------------------------------------------------------------------

  async #learn(token: KnownToken, scope: Scope | undefined, statusCode: number): Promise<void> {
    if (statusCode === 401) {
      this.#tokens.remove(accountId(token.account), token);
      this.#confirmed.delete(token.hash);
      await this.#parts.authenticator.reject(token);
      this.#notify();
      return;
    }
    // Only what comes from behind authentication and authorization tells of them.
    if (statusCode !== 403 && statusCode !== 200 && statusCode !== 201) return;
    this.#confirmed.set(token.hash, this.#parts.clock.monotonicMs());
    // Both take effect at once; only the disk is waited for.
    await Promise.all([
      scope === undefined || statusCode === 201 ? undefined : this.#decide(token, scope, statusCode === 200),
      this.#parts.authenticator.confirm(token),
    ]);
  }

  #credential(token: KnownToken, scope: Scope): Credential {
    const { authenticator, isKeptFor } = this.#parts;
    return {
      lane: 'bearer',
      token: token.text,
      isGood: () =>
        authenticator.isLive(token) && isKeptFor(token.account) && this.recalled(token.account, scope) === 'allowed',
      answered: (statusCode) => void this.learn(token, scope, statusCode),
    };
  }

  async #ask(token: KnownToken, scope: Scope): Promise<Decision> {
    const id = `${token.hash} ${scopeId(scope)}`;
    let asking = this.#asking.get(id);
    if (asking === undefined) {
      asking = this.#review(token, scope).finally(() => this.#asking.delete(id));
      this.#asking.set(id, asking);
    }
    return await asking;
  }

  async #review(token: KnownToken, scope: Scope): Promise<Decision> {
    const { uplink, metrics, log } = this.#parts;
    const { userAgent } = this.#settings;
    const headers = {
      accept: 'application/json',
      'content-type': 'application/json',
      'user-agent': userAgent,
      authorization: `Bearer ${token.text}`,
    };
    const target = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
    let replies: UpstreamReply[];
    try {
      replies = await Promise.all(
        accessReviews(scope).map((review) =>
          uplink.fetch(
            {
              method: 'POST',
              target,
              headers,
              body: Buffer.from(JSON.stringify(review)),
              lane: 'bearer',
              signal: this.#signal,
            },
            { maxBodyBytes },
          ),
        ),
      );
    } catch (error) {
      metrics.accessReviews.inc({ outcome: 'failed' });
      if (error instanceof CloudUnreachableError) return this.recalled(token.account, scope);
      throw error;
    }
    const rejection = replies.find(({ statusCode }) => statusCode === 401);
    if (rejection !== undefined) {
      metrics.accessReviews.inc({ outcome: 'denied' });
      await this.learn(token, undefined, 401);
      return 'denied';
    }
    const answers = replies.map(allowedIn);
    if (answers.includes(undefined)) {
      metrics.accessReviews.inc({ outcome: 'failed' });
      log.info('the API server does not say what a service account may read; its requests pass through', {
        account: token.account.username,
        status: replies.map(({ statusCode }) => statusCode).join(),
      });
      return 'unknown';
    }
    const allowed = answers.every((answer) => answer === true);
    metrics.accessReviews.inc({ outcome: allowed ? 'allowed' : 'denied' });
    await this.learn(token, scope, allowed ? 200 : 403);
    return allowed ? 'allowed' : 'denied';
  }

  async #decide(token: KnownToken, scope: Scope, allowed: boolean): Promise<void> {
    const { store, log, clock } = this.#parts;
    const id = keyOf(token.account, scope);
    const before = this.#allowances.get(id);
    this.#allowances.set(id, { allowed, checkedMs: clock.monotonicMs() });
    if (before?.allowed === allowed) return;
    if (before?.allowed === true)
      log.info('a service account may no longer read what was kept for it', {
        account: token.account.username,
        resource: scope.resource,
      });
    this.#notify();
    const evicted = this.#evicted.splice(0).map((old) => ({ type: 'del', key: `${prefix}${old}` }) as const);
    const value = Buffer.from(allowed ? 'allowed' : 'denied');
    await store.write([{ type: 'put', key: `${prefix}${id}`, value }, ...evicted], 'written');
  }

  async #recheck(signal: AbortSignal): Promise<void> {
    const { authenticator, clock, isKeptFor } = this.#parts;
    const dueMs = clock.monotonicMs() - this.#settings.recheckMs;
    const due = [...this.#allowances.entries()].filter(([, { allowed, checkedMs }]) => allowed && checkedMs <= dueMs);
    let left = maxRechecks;
    for (const [id] of due) {
      const slash = id.lastIndexOf('/');
      const token = this.#tokens.newest(id.slice(0, slash), (live) => authenticator.isLive(live));
      if (token === undefined || !isKeptFor(token.account)) continue;
      if (left === 0 || signal.aborted || !this.#online) return;
      left -= 1;
      await this.#ask(token, scopeOf(id.slice(slash + 1))).catch(() => undefined); // counted; asked again next time
    }
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }

  get #online(): boolean {
    return this.#parts.uplink.cloud.reachable;
  }
}

function accountId({ username, uid }: ServiceAccount): string {
  return `${encodeURIComponent(username)},${encodeURIComponent(uid)}`;
}

function keyOf(account: ServiceAccount, scope: Scope): string {
  return `${accountId(account)}/${scopeId(scope)}`;
}

/** Undefined when the API server did not say. */
function allowedIn({ statusCode, body }: UpstreamReply): boolean | undefined {
  if (statusCode !== 201 && statusCode !== 200) return undefined;
  const review: unknown = JSON.parse(body.toString());
  const allowed = isObject(review) ? child(review, 'status')['allowed'] : undefined;
  return typeof allowed === 'boolean' ? allowed : undefined;
}
