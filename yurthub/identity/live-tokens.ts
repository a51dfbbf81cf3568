// The tokens that service accounts on this node have shown lately: with them the hub asks the API server in their name.
// In memory only.
import { LRUCache } from 'lru-cache';
import type { KnownToken } from './authenticator.ts';

const maxAccounts = 200;
/** Pods of one account have a token each, and get new ones before the old ones expire. */
const maxTokensEach = 4;

export class LiveTokens {
  readonly #tokens = new LRUCache<string, readonly KnownToken[]>({ max: maxAccounts });

  /** True when it was not known before. */
  add(accountId: string, token: KnownToken): boolean {
    const known = this.#tokens.get(accountId) ?? [];
    if (known.some(({ hash }) => hash === token.hash)) return false;
    const newestFirst = [...known, token].toSorted((a, b) => b.issuedMs - a.issuedMs);
    this.#tokens.set(accountId, newestFirst.slice(0, maxTokensEach));
    return true;
  }

  remove(accountId: string, token: KnownToken): void {
    const left = (this.#tokens.peek(accountId) ?? []).filter(({ hash }) => hash !== token.hash);
    if (left.length === 0) this.#tokens.delete(accountId);
    else this.#tokens.set(accountId, left);
  }

  newest(accountId: string, isLive: (token: KnownToken) => boolean): KnownToken | undefined {
    return this.#tokens.peek(accountId)?.find(isLive);
  }
}
