// What was read by name, kept for when the cloud is out of reach: objects of which a node may read no collection (PVC,
// PV, VolumeAttachment, CSINode …), and discovery as last seen. Kept as the API server answered, per Accept header.
import { hash } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { LRUCache } from 'lru-cache';
import type { ResourceRequest } from '../kube/request-info.ts';
import { compareResourceVersions } from '../kube/resource-version.ts';
import { wireFor } from '../kube/wires.ts';
import { headerValue } from '../runtime/headers.ts';
import type { ForwardOutcome, Headers, HubRequest, HubResponse, Identity, Store, StoredObject } from './types.ts';
import { askedForm, formFor } from './views/answer-form.ts';
import type { RecordCipher } from './views/view-storage.ts';

/** Of an account: each has copies of its own, and they are counted apart, so that nobody drives out what the node needs. */
export const accountPrefix = 'account-single/';
export const nodePrefix = 'single/';

export interface SingleObjectsSettings {
  /** Of the keys in the store. */
  readonly prefix: typeof nodePrefix | typeof accountPrefix;
  readonly maxBodyBytes: number;
  /** Of discovery and schemas. */
  readonly maxDocumentBytes: number;
  readonly maxCount: number;
}

/** Never kept: what changes by the second, what is a secret in itself, what is answered by other means. */
const neverKept = new Set(['events', 'leases', 'tokenreviews', 'subjectaccessreviews', 'certificatesigningrequests']);

/** Ends the media type in the first line of a record whose body is compressed. */
const compressedMark = '\tgzip';
const compress = promisify(gzip);
const decompress = promisify(gunzip);

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
    if (!info.isResource) return isDiscovery(info.path) ? this.#settings.maxDocumentBytes : 0;
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
      const gone = this.#keysOf(request);
      for (const old of gone) this.#known.delete(old);
      const ops = gone.map((old) => ({ type: 'del', key: old }) as const);
      return ops.length === 0 ? undefined : this.#store.write(ops, 'written');
    }
    if (outcome.statusCode !== 200 || outcome.captured === undefined) return undefined;
    const digest = hash('sha256', outcome.captured, 'base64url');
    if (this.#known.get(key) === digest) return undefined;
    this.#known.set(key, digest);
    return this.#put(request, key, outcome.captured, outcome.headers);
  }

  async #put(request: HubRequest, key: string, body: Buffer, headers: Headers): Promise<void> {
    const contentType = headerValue(headers, 'content-type') ?? 'application/json';
    // A schema of 1.4 MB as it is would pass through the store's buffers several times over, and leave holes of that size in the heap.
    const record = request.info.isResource
      ? Buffer.concat([Buffer.from(`${contentType}\n`), body])
      : Buffer.concat([Buffer.from(`${contentType}${compressedMark}\n`), await compress(body)]);
    const evicted = this.#evicted.splice(0).map((old) => ({ type: 'del', key: old }) as const);
    const value = this.#protected(request, key, record);
    await this.#store.write([{ type: 'put', key, value }, ...evicted], 'written');
  }

  /** Answers with what was last seen; false when nothing was that the client takes. */
  async answer(request: HubRequest, response: HubResponse, extraHeaders: Headers): Promise<boolean> {
    const kept = await this.#kept(request);
    const same = kept.find(({ key }) => key === this.#keyOf(request));
    const accept = headerValue(request.headers, 'accept');
    const found = request.info.isResource
      ? (inForm(kept, accept) ?? same)
      : (same ?? kept.find(({ contentType }) => takes(accept, contentType)));
    if (found === undefined) return false;
    response.head(200, {
      'content-type': found.contentType,
      'content-length': String(found.body.length),
      'cache-control': 'no-cache, private',
      ...extraHeaders,
    });
    response.end(found.body);
    return true;
  }

  /** The object as it was read last, in whatever encoding; undefined when it was not. */
  async object(request: HubRequest): Promise<StoredObject | undefined> {
    return plainObjects(await this.#kept(request))[0];
  }

  /** All that is kept of a path, whatever it was asked for as. */
  async #kept(request: HubRequest): Promise<Kept[]> {
    const kept: Kept[] = [];
    for (const key of this.#keysOf(request)) {
      const value = await this.#store.get(key);
      if (value === undefined) continue;
      const record = this.#revealed(request, key, value);
      const end = record.indexOf(10);
      const type = record.toString('latin1', 0, end);
      const body = record.subarray(end + 1);
      kept.push(
        type.endsWith(compressedMark)
          ? { key, contentType: type.slice(0, -compressedMark.length), body: await decompress(body) }
          : { key, contentType: type, body },
      );
    }
    return kept;
  }

  #keysOf(request: HubRequest): string[] {
    const paths = `${this.#pathOf(request)}#`;
    return [...this.#known.keys()].filter((key) => key.startsWith(paths));
  }

  /** One answer per path and form. The query matters to discovery only (openapi hashes); `resourceVersion=0` does not. */
  #keyOf(request: HubRequest): string {
    return `${this.#pathOf(request)}#${this.#formOf(headerValue(request.headers, 'accept') ?? '')}`;
  }

  #pathOf(request: HubRequest): string {
    const query = request.target.indexOf('?');
    const path = query < 0 ? request.target : request.target.slice(0, query);
    return `${this.#settings.prefix}${ownerOf(request.identity)}${path}`;
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

interface Kept {
  readonly key: string;
  readonly contentType: string;
  readonly body: Buffer;
}

/** The whole objects among what is kept of one object, the newest first. */
function plainObjects(kept: readonly Kept[]): StoredObject[] {
  return kept
    .filter(({ contentType }) => /^application\/(json|vnd\.kubernetes\.protobuf)$/.test(contentType))
    .map(({ contentType, body }) => {
      const wire = wireFor(contentType.includes('protobuf') ? 'protobuf' : 'json');
      return { wire, ...wire.scanObject(body) };
    })
    .filter(({ typeMeta }) => !typeMeta.apiVersion.startsWith('meta.k8s.io/'))
    .toSorted((a, b) => compareResourceVersions(b.item.resourceVersion, a.item.resourceVersion));
}

/** The newest kept object in the form that a client takes; undefined when it cannot be had. */
function inForm(kept: readonly Kept[], accept: string | undefined): Pick<Kept, 'contentType' | 'body'> | undefined {
  const [newest] = plainObjects(kept);
  const asked = askedForm(accept, 'get');
  // Columns with ages in them are made for lists that are kept; here the plain form has to do.
  if (newest === undefined || asked === undefined || asked.form === 'table') return undefined;
  const form = formFor(newest, asked, { includeObject: 'Metadata', nowMs: () => 0 });
  return form === undefined ? undefined : { contentType: form.wire.contentType, body: form.body(newest.item.bytes) };
}

/** Whether an Accept header takes a document of this type, with the same `as`, `g` and `v` if it has some. */
function takes(accept: string | undefined, contentType: string): boolean {
  const given = mediaRange(contentType);
  if (accept === undefined || accept === '') return given.form === '';
  return accept.split(',').some((clause) => {
    const { type, form } = mediaRange(clause);
    return form === given.form && (type === given.type || type === '*/*' || type === 'application/*');
  });
}

function mediaRange(text: string): { type: string; form: string } {
  const [type = '', ...params] = text.split(';').map((part) => part.trim());
  const form = params.filter((param) => /^(as|g|v)=/.test(param)).toSorted();
  return { type, form: form.join(';') };
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

/** Not all that begins with /api: the old forms /api/v1/watch/… and /api/v1/proxy/… have objects in them. */
function isDiscovery(path: string): boolean {
  return /^\/(version|api(\/[^/]+)?|apis(\/[^/]+){0,2}|openapi\/v[23](\/.*)?)\/?$/.test(path);
}
