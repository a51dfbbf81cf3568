// What was read by name, kept for when the cloud is out of reach: objects of which a node may read no collection (PVC,
// PV, VolumeAttachment, CSINode …), and discovery as last seen. Kept as the API server answered, per Accept header.
import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { ResourceRequest } from '../kube/request-info.ts';
import { headerValue } from '../runtime/headers.ts';
import type { ForwardOutcome, Headers, HubRequest, HubResponse, Identity, Store } from './types.ts';
import type { RecordCipher } from './views/view-storage.ts';

/** Of an account: each has copies of its own, and they are counted apart, so that nobody drives out what the node needs. */
export const accountPrefix = 'account-single/';
export const nodePrefix = 'single/';

export interface SingleObjectsSettings {
  /** Of the keys in the store. */
  readonly prefix: typeof nodePrefix | typeof accountPrefix;
  readonly maxBodyBytes: number;
  readonly maxCount: number;
}

/** Never kept: what changes by the second, what is a secret in itself, what is answered by other means. */
const neverKept = new Set(['events', 'leases', 'tokenreviews', 'subjectaccessreviews', 'certificatesigningrequests']);

export class SingleObjects {
  readonly #store: Store;
  readonly #cipher: RecordCipher;
  readonly #settings: SingleObjectsSettings;
  /** Key of each kept answer to the hash of its body: an unchanged answer is not written again. */
  readonly #known: LRUCache<string, string>;
  readonly #evicted: string[] = [];
  /** Clients use a handful of Accept headers; the bound is for the one that does not. */
  readonly #forms = new LRUCache<string, string>({ max: 100 });

  constructor(store: Store, cipher: RecordCipher, settings: SingleObjectsSettings) {
    this.#store = store;
    this.#cipher = cipher;
    this.#settings = settings;
    this.#known = new LRUCache({
      max: settings.maxCount,
      dispose: (_hash, key, reason) => {
        if (reason === 'evict') this.#evicted.push(key);
      },
    });
  }

  /** Reads which answers the store holds. */
  async load(): Promise<void> {
    for await (const key of this.#store.keys(this.#settings.prefix)) this.#known.set(key, '');
  }

  /** How many bytes of an answer have to be captured to keep it; 0 when it is not to be kept. */
  captureBytes(request: HubRequest): number {
    if (request.method !== 'GET') return 0;
    const { info } = request;
    if (!info.isResource) return isDiscovery(info.path) ? this.#settings.maxBodyBytes : 0;
    return info.verb === 'get' && info.subresource === '' && !neverKept.has(info.resource)
      ? this.#settings.maxBodyBytes
      : 0;
  }

  /**
   * Takes note of what the API server answered; undefined when the store need not hear of it. A 404 is known absence; a
   * 403 says nothing (facts: the graph lags).
   */
  keep(request: HubRequest, outcome: ForwardOutcome): Promise<void> | undefined {
    const key = this.#keyOf(request);
    if (outcome.statusCode === 404 && request.info.isResource) {
      return this.#known.delete(key) ? this.#store.write([{ type: 'del', key }], 'written') : undefined;
    }
    if (outcome.statusCode !== 200 || outcome.captured === undefined) return undefined;
    const digest = hash('sha256', outcome.captured, 'base64url');
    if (this.#known.get(key) === digest) return undefined;
    this.#known.set(key, digest);
    return this.#put(request, key, outcome.captured, outcome.headers);
  }

  async #put(request: HubRequest, key: string, body: Buffer, headers: Headers): Promise<void> {
    const contentType = headerValue(headers, 'content-type') ?? 'application/json';
    const record = Buffer.concat([Buffer.from(`${contentType}\n`), body]);
    const evicted = this.#evicted.splice(0).map((old) => ({ type: 'del', key: old }) as const);
    const value = this.#protected(request, key, record);
    await this.#store.write([{ type: 'put', key, value }, ...evicted], 'written');
  }

  /** Answers with what was last seen; false when nothing was. */
  async answer(request: HubRequest, response: HubResponse, extraHeaders: Headers): Promise<boolean> {
    const key = this.#keyOf(request);
    if (!this.#known.has(key)) return false;
    const value = await this.#store.get(key);
    if (value === undefined) return false;
    const record = this.#revealed(request, key, value);
    const end = record.indexOf(10);
    const body = record.subarray(end + 1);
    response.head(200, {
      'content-type': record.toString('latin1', 0, end),
      'content-length': String(body.length),
      'cache-control': 'no-cache, private',
      ...extraHeaders,
    });
    response.end(body);
    return true;
  }

  /** One answer per path and form. The query matters to discovery only (openapi hashes); `resourceVersion=0` does not. */
  #keyOf(request: HubRequest): string {
    const query = request.target.indexOf('?');
    const path = query < 0 ? request.target : request.target.slice(0, query);
    return `${this.#settings.prefix}${ownerOf(request.identity)}${path}#${this.#formOf(headerValue(request.headers, 'accept') ?? '')}`;
  }

  #formOf(accept: string): string {
    let form = this.#forms.get(accept);
    if (form === undefined) {
      form = hash('sha256', accept, 'base64url').slice(0, 12);
      this.#forms.set(accept, form);
    }
    return form;
  }

  #protected(request: HubRequest, key: string, record: Buffer): Buffer {
    return request.info.isResource ? this.#cipher.protect(resourceOf(request.info), key, record) : record;
  }

  #revealed(request: HubRequest, key: string, record: Buffer): Buffer {
    return request.info.isResource ? this.#cipher.reveal(resourceOf(request.info), key, record) : record;
  }
}

function resourceOf(info: ResourceRequest): { group: string; resource: string } {
  return { group: info.group, resource: info.resource };
}

/** A path begins with a slash, so that no owner runs into it. */
function ownerOf(identity: Identity): string {
  if (identity.kind === 'node') return '';
  if (identity.account === undefined) throw new TypeError('nothing is kept for an unknown bearer');
  return `${encodeURIComponent(identity.account.username)},${encodeURIComponent(identity.account.uid)}`;
}

function isDiscovery(path: string): boolean {
  return path === '/version' || /^\/(api|apis|openapi)(\/|$)/.test(path);
}
