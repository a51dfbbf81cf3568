// Typed requests to the API server: what controllers read and write, each with a bound on time, all within one rate.
import type { IncomingMessage } from 'node:http';
import { parseJson } from '../../kube/json/object-reader.ts';
import { jsonWire } from '../../kube/json/json-wire.ts';
import { isNotFound } from './errors.ts';
import { JsonLines } from './json-lines.ts';
import {
  apiVersionOf,
  collectionPath,
  objectPath,
  type ApiObject,
  type Draft,
  type ObjectName,
  type Resource,
} from './resource.ts';
import { Transport, unreachable, type ApiRequest, type TransportParts, type TransportSettings } from './transport.ts';

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

/** Every method rejects with ApiError when it is refused, and with ApiUnreachableError when no whole answer comes in 30 s. */
export class Api {
  readonly #transport: Transport;

  constructor(parts: TransportParts, settings: TransportSettings) {
    this.#transport = new Transport(parts, settings);
  }

  /** Undefined when there is none. */
  async get<T extends ApiObject>(resource: Resource, name: ObjectName, signal: AbortSignal): Promise<T | undefined> {
    try {
      return await this.#transport.json<T>({ verb: 'get', method: 'GET', path: objectPath(resource, name) }, signal);
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
    const request: ApiRequest = { verb: 'list', method: 'GET', path, ...accept };
    return await this.#transport.answered(request, (response) => itemsOf(response, keep), signal);
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
    return this.#transport.json<T>({ verb: 'create', method: 'POST', path, body: object }, signal);
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
    return this.#transport.json<T>({ verb: 'update', method: 'PUT', path, body }, signal);
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
    return this.#transport.json<T>(
      { verb: 'patch', method: 'PATCH', path, body, contentType: patchContentTypes[type] },
      signal,
    );
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
    return this.#transport.json<T>(
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
      await this.#transport.json<unknown>(
        { verb: 'delete', method: 'DELETE', path: objectPath(resource, name), body },
        signal,
      );
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  /** What is no object: /version for one. */
  read<T>(path: string, signal: AbortSignal): Promise<T> {
    return this.#transport.json<T>({ verb: 'get', method: 'GET', path }, signal);
  }

  /** Any other request, as the API server's documentation has it: reviews for one. */
  post<T>(path: string, body: unknown, signal: AbortSignal): Promise<T> {
    return this.#transport.json<T>({ verb: 'create', method: 'POST', path, body }, signal);
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
    const request: ApiRequest = { verb: 'watch', method: 'GET', path, ...accept };
    const response = await this.#transport.stream(request, watchSilenceMs, signal);
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
    const request: ApiRequest = { verb: 'get', method: 'GET', path, accept: '*/*' };
    const response = await this.#transport.stream(request, watchSilenceMs, signal);
    const decoder = new TextDecoder();
    try {
      for await (const chunk of response) yield decoder.decode(chunk as Buffer, { stream: true });
    } catch (error) {
      throw unreachable(request, error, signal);
    } finally {
      response.destroy();
    }
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

/** Rejects with WireError for what is no list. */
async function itemsOf<T>(response: IncomingMessage, keep: (object: ApiObject) => T): Promise<ListPage<T>> {
  const items: T[] = [];
  const scanner = jsonWire.listScanner({ maxItemBytes: maxObjectBytes });
  for await (const chunk of response)
    for (const { bytes } of scanner.push(chunk as Buffer)) items.push(keep(parseJson(bytes.toString()) as ApiObject));
  const { resourceVersion, continue: next } = scanner.end();
  return { resourceVersion, continue: next, items };
}
