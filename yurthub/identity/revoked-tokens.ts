// Tokens that the API server has rejected although they verify (their pod, Node or service account is gone): they stay
// rejected without the cloud. Only hashes are kept.
import { LRUCache } from 'lru-cache';
import type { Store } from '../types.ts';

const prefix = 'identity/revoked/';

export class RevokedTokens {
  readonly #store: Store;
  readonly #hashes: LRUCache<string, true>;
  readonly #evicted: string[] = [];

  constructor(store: Store, settings: { readonly maxCount: number }) {
    this.#store = store;
    this.#hashes = new LRUCache({
      max: settings.maxCount,
      dispose: (_value, hash, reason) => {
        if (reason === 'evict') this.#evicted.push(hash);
      },
    });
  }

  async load(): Promise<void> {
    for await (const key of this.#store.keys(prefix)) this.#hashes.set(key.slice(prefix.length), true);
  }

  has(hash: string): boolean {
    return this.#hashes.has(hash);
  }

  /** May reject with StoreWriteError; in this process the token is rejected all the same. */
  async add(hash: string): Promise<void> {
    if (this.#hashes.has(hash)) return;
    this.#hashes.set(hash, true);
    const evicted = this.#evicted.splice(0).map((old) => ({ type: 'del', key: `${prefix}${old}` }) as const);
    await this.#store.write([{ type: 'put', key: `${prefix}${hash}`, value: Buffer.of(1) }, ...evicted], 'written');
  }

  /** The API server takes it after all. */
  async remove(hash: string): Promise<void> {
    if (this.#hashes.delete(hash)) await this.#store.write([{ type: 'del', key: `${prefix}${hash}` }], 'written');
  }
}
