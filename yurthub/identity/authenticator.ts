// From a bearer token to a service account: by signature and claims, with the cloud or without. Online it tells only who
// would be served from what is kept; whether the token is still good is the API server's decision, which every first use
// asks for. Offline the decision is made here.
import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../runtime/clock.ts';
import type { Store, Uplink } from '../types.ts';
import { CloudUnreachableError } from '../errors.ts';
import type { IssuerKeys } from './issuer-keys.ts';
import { candidates, isSignedBy, parseSignedToken, type SignedToken } from './jws.ts';
import type { IdentityMetrics, TokenCheckOutcome } from './metrics.ts';
import { RevokedTokens } from './revoked-tokens.ts';
import { readClaims, timeliness, type BoundObject, type TokenClaims } from './service-account.ts';
import { reviewToken } from './token-review.ts';

/** A token whose signature, issuer and audience are good. */
export interface KnownToken extends TokenClaims {
  readonly text: string;
  readonly hash: string;
}

/**
 * `invalid`: the API server would say 401. `unknown`: not for us to judge (another issuer, a key that we do not have),
 * only the API server can.
 */
export type Verdict =
  | { readonly kind: 'account'; readonly token: KnownToken }
  | { readonly kind: 'invalid'; readonly reason: TokenCheckOutcome }
  | { readonly kind: 'unknown' };

/** What the node itself knows of a pod that a token is bound to: `unknown` where it keeps no complete list of its pods. */
export type PodLookup = (namespace: string, name: string) => Promise<{ readonly uid: string } | 'absent' | 'unknown'>;

export interface AuthenticatorParts {
  readonly issuer: IssuerKeys;
  readonly store: Store;
  readonly uplink: Uplink;
  readonly pods: PodLookup;
  readonly clock: Clock;
  readonly metrics: IdentityMetrics;
}

export interface AuthenticatorSettings {
  readonly nodeName: string;
  /** How long after its expiry, or before its beginning by the node's clock, a token is taken without the cloud, milliseconds. */
  readonly offlineGraceMs: number;
  readonly userAgent: string;
}

const maxTokens = 500;
const maxRevoked = 500;
/** A token that only the API server could verify is asked about again after this. */
const reviewedMs = 60_000;

export class Authenticator {
  readonly #parts: AuthenticatorParts;
  readonly #settings: AuthenticatorSettings;
  readonly #revoked: RevokedTokens;
  readonly #verdicts = new LRUCache<string, Verdict>({ max: maxTokens });

  constructor(parts: AuthenticatorParts, settings: AuthenticatorSettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#revoked = new RevokedTokens(parts.store, { maxCount: maxRevoked });
    parts.issuer.onChange(() => this.#verdicts.clear());
  }

  /** Reads what an earlier process kept. Rejects with StoreReadError. */
  async load(): Promise<void> {
    await Promise.all([this.#parts.issuer.load(), this.#revoked.load()]);
  }

  async authenticate(text: string, signal: AbortSignal): Promise<Verdict> {
    const id = hash('sha256', text, 'base64url');
    let verdict = this.#verdicts.get(id);
    if (verdict === undefined) {
      verdict = await this.#verify(text, id, signal);
      this.#parts.metrics.tokenChecks.inc({ outcome: outcomeOf(verdict) });
      if (verdict.kind !== 'unknown') this.#verdicts.set(id, verdict, this.#bound(verdict));
    }
    return verdict.kind === 'account' ? await this.#atPresent(verdict.token, verdict) : verdict;
  }

  isRejected({ hash: id }: KnownToken): boolean {
    return this.#revoked.has(id);
  }

  /** True while the API server takes the token, as far as that is known: for requests of our own in its bearer's name. */
  isLive({ hash: id, expiresMs }: KnownToken): boolean {
    return !this.#revoked.has(id) && this.#parts.clock.wallMs() < expiresMs;
  }

  /** The API server has answered 401 to it. */
  async reject(token: KnownToken): Promise<void> {
    await this.#revoked.add(token.hash);
  }

  /** The API server has answered something else. */
  async confirm(token: KnownToken): Promise<void> {
    if (this.#revoked.has(token.hash)) await this.#revoked.remove(token.hash);
  }

  // -------------------------------------------------------------------------------------------------------------

  async #verify(text: string, id: string, signal: AbortSignal): Promise<Verdict> {
    const { issuer } = this.#parts;
    const parsed = parseSignedToken(text);
    if (parsed === undefined) return { kind: 'unknown' };
    const claims = readClaims(parsed.claims);
    if (issuer.current === undefined) return await this.#review(text, id, claims, signal);
    if (parsed.claims['iss'] !== issuer.current.issuer) return { kind: 'unknown' };
    if (!this.#hasKeyFor(parsed) && this.#online) await issuer.refresh();
    if (!this.#hasKeyFor(parsed)) return { kind: 'unknown' };
    const { keys, audiences } = issuer.current;
    if (!candidates(parsed, keys).some((key) => isSignedBy(parsed, key)))
      return { kind: 'invalid', reason: 'signature' };
    if (claims === undefined) return { kind: 'invalid', reason: 'claims' };
    if (claims.audiences.some((audience) => audiences.includes(audience)))
      return { kind: 'account', token: { ...claims, text, hash: id } };
    // The API server may take more audiences than its own name; it does not publish which.
    if (!this.#online) return { kind: 'invalid', reason: 'audience' };
    return await this.#review(text, id, claims, signal);
  }

  #hasKeyFor(token: SignedToken): boolean {
    return candidates(token, this.#parts.issuer.current?.keys ?? []).length > 0;
  }

  async #review(text: string, id: string, claims: TokenClaims | undefined, signal: AbortSignal): Promise<Verdict> {
    const { issuer, uplink } = this.#parts;
    if (claims === undefined || !this.#online) return { kind: 'unknown' };
    const review = await reviewToken(uplink, text, this.#settings.userAgent, signal).catch((error: unknown) => {
      if (error instanceof CloudUnreachableError) return undefined;
      throw error;
    });
    if (review === undefined) return { kind: 'unknown' };
    if (!review.authenticated || review.username !== claims.account.username)
      return { kind: 'invalid', reason: 'rejected' };
    if (issuer.current === undefined) void issuer.refresh(text);
    else await issuer.addAudiences(review.audiences);
    return { kind: 'account', token: { ...claims, text, hash: id } };
  }

  /** What else has to hold, now. */
  async #atPresent(token: KnownToken, verdict: Verdict): Promise<Verdict> {
    const online = this.#online;
    const time = timeliness(token, this.#nowMs(), online ? 0 : this.#settings.offlineGraceMs);
    if (time !== 'valid') return this.#no(time);
    if (online) return verdict;
    if (this.#revoked.has(token.hash)) return this.#no('revoked');
    return (await this.#isBoundHere(token)) ? verdict : this.#no('unbound');
  }

  /** A token ends with its pod. And nobody on this node has one that was given to a pod of another. */
  async #isBoundHere({ account, pod, node }: KnownToken): Promise<boolean> {
    if (node !== undefined && node.name !== this.#settings.nodeName) return false;
    return pod === undefined || (await this.#isPodHere(account.namespace, pod));
  }

  async #isPodHere(namespace: string, { name, uid }: BoundObject): Promise<boolean> {
    const found = await this.#parts.pods(namespace, name);
    return found === 'unknown' || (found !== 'absent' && found.uid === uid);
  }

  #no(reason: TokenCheckOutcome): Verdict {
    this.#parts.metrics.tokenChecks.inc({ outcome: reason });
    return { kind: 'invalid', reason };
  }

  /** A token that was verified by its signature stays so; what the API server said holds for a while. */
  #bound(verdict: Verdict): { ttl?: number } {
    const byKey = this.#parts.issuer.current !== undefined;
    return byKey && !(verdict.kind === 'invalid' && verdict.reason === 'rejected') ? {} : { ttl: reviewedMs };
  }

  /** A node without a clock of its own may be years back after a power cut; never earlier than what it has seen. */
  #nowMs(): number {
    return Math.max(this.#parts.clock.wallMs(), this.#parts.issuer.current?.seenMs ?? 0);
  }

  get #online(): boolean {
    return this.#parts.uplink.cloud.reachable;
  }
}

function outcomeOf(verdict: Verdict): TokenCheckOutcome {
  if (verdict.kind === 'invalid') return verdict.reason;
  return verdict.kind === 'account' ? 'valid' : 'unknown';
}
