// Typed requests to the API server: what controllers read and write, each with a bound on time, all within one rate.
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import { parseJson } from '../../kube/json/object-reader.ts';
import { jsonWire } from '../../kube/json/json-wire.ts';
import { delay, type Clock } from '../../runtime/clock.ts';
import { LinkedAbort } from '../../runtime/linked-abort.ts';
import type { Access } from './access.ts';
import { ApiError, ApiUnreachableError, isNotFound } from './errors.ts';
import { JsonLines } from './json-lines.ts';
import type { ApiOutcome, ApiVerb, MachineryMetrics } from './metrics.ts';
import {
  apiVersionOf,
  collectionPath,
  objectPath,
  type ApiObject,
  type Draft,
  type ObjectName,
  type Resource,
} from './resource.ts';
import { TokenBucket, type Rate } from './token-bucket.ts';

export interface ApiParts {
  readonly access: Access;
  readonly clock: Clock;
  readonly metrics: MachineryMetrics;
}

export interface ApiSettings {
  readonly rate: Rate;
  readonly userAgent: string;
}

export interface Selection {
  /** All namespaces when undefined. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export interface ListPage<T> {
  readonly resourceVersion: string;
  /** '' at the last page. */
  readonly continue: string;
  readonly items: readonly T[];
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: ApiObject;
}

/** How the body of a patch is meant. `merge` is RFC 7386, `json` RFC 6902. */
export type PatchType = 'merge' | 'json' | 'strategic';

export interface WriteOptions {
  readonly subresource?: 'status' | 'scale' | 'approval';
}

export interface ApplyOptions extends WriteOptions {
  /** Takes fields over from other managers, as is the default; else 409 (Conflict) when one has another value. */
  readonly force?: boolean;
  /** Everything but the writing: what would come of it. */
  readonly dryRun?: boolean;
}

export interface Preconditions {
  readonly uid?: string;
  readonly resourceVersion?: string;
}

const requestTimeoutMs = 30_000;
/** A watch that says nothing for so long is broken: bookmarks come every minute. */
const watchSilenceMs = 150_000;
/** An object of the API is at most 1.5 MiB in etcd; JSON of it, and the watch event around it. */
const maxObjectBytes = 8 * 2 ** 20;
const metadataOnly = (kind: 'PartialObjectMetadata' | 'PartialObjectMetadataList'): string =>
  `application/json;as=${kind};g=meta.k8s.io;v=v1`;
const patchContentTypes: Readonly<Record<PatchType, string>> = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
};

interface Request {
  readonly verb: ApiVerb;
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
}

/** Every method rejects with ApiError when it is refused, and with ApiUnreachableError when no whole answer comes in 30 s. */
export class Api {
  readonly #parts: ApiParts;
  readonly #settings: ApiSettings;
  readonly #bucket: TokenBucket;

  constructor(parts: ApiParts, settings: ApiSettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#bucket = new TokenBucket(parts.clock, settings.rate);
  }

  /** Undefined when there is none. */
  async get<T extends ApiObject>(resource: Resource, name: ObjectName, signal: AbortSignal): Promise<T | undefined> {
    try {
      return await this.#call<T>({ verb: 'get', method: 'GET', path: objectPath(resource, name) }, signal);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /**
   * Without `limit` the whole collection. Of each object only what `keep` gives is held: a page of Nodes is megabytes, most of it
   * images, and never in memory as a whole.
   */
  async listPage<T>(
    resource: Resource,
    selection: Selection,
    page: { readonly limit?: number; readonly continue?: string; readonly metadataOnly?: boolean },
    keep: (object: ApiObject) => T,
    signal: AbortSignal,
  ): Promise<ListPage<T>> {
    const query = queryOf({ ...selectors(selection), limit: page.limit?.toString(), continue: page.continue });
    const path = `${collectionPath(resource, selection.namespace)}${query}`;
    const accept = page.metadataOnly === true ? { accept: metadataOnly('PartialObjectMetadataList') } : {};
    const request: Request = { verb: 'list', method: 'GET', path, ...accept };
    return await this.#answered(request, (response) => itemsOf(response, keep), signal);
  }

  /** Every object of a collection, read in pages. For one look; who wants to know of changes takes an informer. */
  async list<T extends ApiObject>(resource: Resource, selection: Selection, signal: AbortSignal): Promise<T[]> {
    const items: T[] = [];
    let next = '';
    do {
      const page: ListPage<T> = await this.listPage<T>(
        resource,
        selection,
        { limit: 500, ...(next === '' ? {} : { continue: next }) },
        (object) => object as T,
        signal,
      );
      items.push(...page.items);
      next = page.continue;
    } while (next !== '');
    return items;
  }

  /** 409 (AlreadyExists) when there is one of that name. */
  create<T extends ApiObject>(resource: Resource, object: Draft, signal: AbortSignal): Promise<T> {
    const path = collectionPath(resource, object.metadata.namespace);
    return this.#call<T>({ verb: 'create', method: 'POST', path, body: object }, signal);
  }

  /** The whole object; 409 (Conflict) unless it still has the version that `object` carries. */
  replace<T extends ApiObject>(
    resource: Resource,
    object: T,
    signal: AbortSignal,
    { subresource }: WriteOptions = {},
  ): Promise<T> {
    const path = objectPath(resource, object.metadata, subresource);
    const body = { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object };
    return this.#call<T>({ verb: 'update', method: 'PUT', path, body }, signal);
  }

  /** With `metadata.uid` or `metadata.resourceVersion` in a merge patch: 409 (Conflict) when they are others by now. */
  patch<T extends ApiObject>(
    resource: Resource,
    name: ObjectName,
    type: PatchType,
    body: unknown,
    signal: AbortSignal,
    { subresource }: WriteOptions = {},
  ): Promise<T> {
    const path = objectPath(resource, name, subresource);
    return this.#call<T>({ verb: 'patch', method: 'PATCH', path, body, contentType: patchContentTypes[type] }, signal);
  }

  /**
   * Server-side apply: makes the object or makes it so, and owns exactly the fields that `object` carries; fields that
   * `manager` owned before and that are missing now are removed. With `metadata.uid` and `metadata.resourceVersion`: 409
   * (Conflict) when they are others by now.
   */
  apply<T extends ApiObject>(
    resource: Resource,
    object: Draft & { readonly metadata: { readonly name: string } },
    manager: string,
    signal: AbortSignal,
    { subresource, force = true, dryRun = false }: ApplyOptions = {},
  ): Promise<T> {
    const query = queryOf({ fieldManager: manager, force: String(force), ...(dryRun ? { dryRun: 'All' } : {}) });
    const path = `${objectPath(resource, object.metadata, subresource)}${query}`;
    return this.#call<T>(
      { verb: 'patch', method: 'PATCH', path, body: object, contentType: 'application/apply-patch+yaml' },
      signal,
    );
  }

  /** False when there is none. 409 (Conflict) when the preconditions do not hold. */
  async remove(
    resource: Resource,
    name: ObjectName,
    preconditions: Preconditions,
    signal: AbortSignal,
  ): Promise<boolean> {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background', preconditions };
    try {
      await this.#call<unknown>({ verb: 'delete', method: 'DELETE', path: objectPath(resource, name), body }, signal);
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  /** What is no object: /version for one. */
  read<T>(path: string, signal: AbortSignal): Promise<T> {
    return this.#call<T>({ verb: 'get', method: 'GET', path }, signal);
  }

  /** Any other request, as the API server's documentation has it: reviews for one. */
  post<T>(path: string, body: unknown, signal: AbortSignal): Promise<T> {
    return this.#call<T>({ verb: 'create', method: 'POST', path, body }, signal);
  }

  /** Events after `resourceVersion`, until the API server ends the watch after `timeoutSeconds`. */
  async *watch(
    resource: Resource,
    selection: Selection,
    from: { readonly resourceVersion: string; readonly timeoutSeconds: number; readonly metadataOnly?: boolean },
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent> {
    const query = queryOf({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: from.resourceVersion,
      timeoutSeconds: from.timeoutSeconds.toString(),
      ...selectors(selection),
    });
    const path = `${collectionPath(resource, selection.namespace)}${query}`;
    const accept = from.metadataOnly === true ? { accept: metadataOnly('PartialObjectMetadata') } : {};
    const request: Request = { verb: 'watch', method: 'GET', path, ...accept };
    const response = await this.#counted(request, () => this.#open(request, watchSilenceMs, signal));
    const lines = new JsonLines(maxObjectBytes);
    try {
      for await (const chunk of response) yield* lines.push(chunk as Buffer) as WatchEvent[];
    } catch (error) {
      throw unreachable(request, error, signal);
    } finally {
      response.destroy();
    }
  }

  /** Text as it comes, until the API server ends it: the log of a container that is followed. */
  async *text(path: string, signal: AbortSignal): AsyncGenerator<string> {
    const request: Request = { verb: 'get', method: 'GET', path, accept: '*/*' };
    const response = await this.#counted(request, () => this.#open(request, watchSilenceMs, signal));
    const decoder = new TextDecoder();
    try {
      for await (const chunk of response) yield decoder.decode(chunk as Buffer, { stream: true });
    } catch (error) {
      throw unreachable(request, error, signal);
    } finally {
      response.destroy();
    }
  }

  #call<T>(request: Request, signal: AbortSignal): Promise<T> {
    return this.#answered(request, async (response) => parseBody(request, await bodyOf(response)) as T, signal);
  }

  /** What `read` makes of the answer's body. */
  async #answered<T>(
    request: Request,
    read: (response: IncomingMessage) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { clock } = this.#parts;
    const waitMs = this.#bucket.take();
    if (waitMs > 0) await delay(clock, waitMs, signal);
    signal.throwIfAborted();
    using deadline = new LinkedAbort(signal);
    const timer = clock.after(requestTimeoutMs, () =>
      deadline.abort(new ApiUnreachableError(`${describe(request)}: no answer within ${requestTimeoutMs} ms`)),
    );
    try {
      return await this.#counted(request, async () => {
        const response = await this.#open(request, requestTimeoutMs, deadline.signal);
        return await read(response).catch((error: unknown) => {
          throw unreachable(request, error, deadline.signal);
        });
      });
    } finally {
      timer.cancel();
    }
  }

  async #counted<T>(request: Request, action: () => Promise<T>): Promise<T> {
    let outcome: ApiOutcome = 'ok';
    try {
      return await action();
    } catch (error) {
      outcome = outcomeOf(error);
      throw error;
    } finally {
      this.#parts.metrics.apiRequests.inc({ verb: request.verb, outcome });
    }
  }

  /** A response with a good status; another is read and thrown. */
  async #open(request: Request, silenceMs: number, signal: AbortSignal): Promise<IncomingMessage> {
    const { server, agent, tls, headers } = await this.#parts.access.connection();
    signal.throwIfAborted();
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = https.request(
        `${server.replace(/\/$/, '')}${request.path}`,
        {
          method: request.method,
          agent,
          signal,
          timeout: silenceMs,
          ...tls,
          headers: {
            'user-agent': this.#settings.userAgent,
            accept: request.accept ?? 'application/json',
            // The length as well: Node.js gives a DELETE none, and its body would be the beginning of the next request.
            ...(body === undefined
              ? {}
              : {
                  'content-type': request.contentType ?? 'application/json',
                  'content-length': Buffer.byteLength(body).toString(),
                }),
            ...headers,
          },
        },
        resolve,
      );
      // Also while the body is read: the response is then destroyed with the error.
      sent.on('timeout', () => sent.destroy(new Error(`nothing for ${silenceMs} ms`)));
      sent.on('error', (error) => reject(unreachable(request, error, signal)));
      sent.end(body);
    });
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    const text = await bodyOf(response).catch(() => '');
    throw refusal(request, status, text, response.headers['retry-after']);
  }
}

function selectors({ labelSelector, fieldSelector }: Selection): Record<string, string | undefined> {
  return { labelSelector, fieldSelector };
}

function queryOf(parameters: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters))
    if (value !== undefined && value !== '') query.set(name, value);
  return query.size === 0 ? '' : `?${query.toString()}`;
}

function describe({ method, path }: Request): string {
  return `${method} ${path.split('?')[0]}`;
}

/** What the caller did not ask for by aborting. */
function unreachable(request: Request, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof ApiUnreachableError) return error;
  return new ApiUnreachableError(`${describe(request)}: ${(error as Error).message}`, error);
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** Rejects with WireError for what is no list. */
async function itemsOf<T>(response: IncomingMessage, keep: (object: ApiObject) => T): Promise<ListPage<T>> {
  const items: T[] = [];
  const scanner = jsonWire.listScanner({ maxItemBytes: maxObjectBytes });
  for await (const chunk of response)
    for (const { bytes } of scanner.push(chunk as Buffer)) items.push(keep(parseJson(bytes.toString()) as ApiObject));
  const { resourceVersion, continue: next } = scanner.end();
  return { resourceVersion, continue: next, items };
}

function parseBody(request: Request, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ApiUnreachableError(`${describe(request)}: the answer is no JSON`, error);
  }
}

function refusal(request: Request, status: number, text: string, retryAfter: string | undefined): ApiError {
  let message = '';
  let reason = '';
  try {
    ({ message = '', reason = '' } = JSON.parse(text) as { message?: string; reason?: string });
  } catch {
    // A load balancer's page, not a Status: the code says enough.
  }
  const seconds = Number(retryAfter);
  const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined;
  return new ApiError(`${describe(request)}: ${status} ${message}`.trim(), status, reason, retryAfterMs);
}

function outcomeOf(error: unknown): ApiOutcome {
  if (!(error instanceof ApiError)) return 'unreachable';
  if (error.status === 409) return 'conflict';
  return error.status < 500 ? 'refused' : 'failed';
}
