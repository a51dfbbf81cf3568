// Get and list: from the state now or from an earlier one, whole or page by page.
import type { KubeObject } from '../kube/wire.ts';
import type { ResourceRequest } from '../kube/request-info.ts';
import { ApiError } from './errors.ts';
import { listOptions } from './list-options.ts';
import { metadataOf, text } from '../kube/plain-object.ts';
import { objectKey } from './object-store.ts';
import type { ObjectStore, Snapshot } from './object-store.ts';
import { groupVersionOf, qualifiedResource } from './resource-kinds.ts';
import type { ResourceKind } from './resource-kinds.ts';

/** Throws 404 when there is no such object. */
export function getObject(store: ObjectStore, kind: ResourceKind, namespace: string, name: string): KubeObject {
  const object = store.get(kind, objectKey(namespace, name));
  if (object === undefined) throw new ApiError('NotFound', `${qualifiedResource(kind)} "${name}" not found`);
  return object;
}

/** The list object; its items carry apiVersion and kind no more than the API server's do. */
export function listObjects(store: ObjectStore, kind: ResourceKind, request: ResourceRequest): KubeObject {
  const options = listOptions(kind, request.namespace, request.query, false);
  const page = decodeContinue(options.continue);
  // The watch cache answers version 0 whole: paging is for consistent reads only.
  const limit = options.resourceVersion === 0 && options.continue === '' ? 0 : options.limit;
  const snapshot =
    page === undefined
      ? listSnapshot(store, kind, options.resourceVersion, options.resourceVersionMatch, limit)
      : pageSnapshot(store, kind, page.version);
  const selected = snapshot.objects.filter(options.selects);
  const rest = page === undefined ? selected : selected.filter((object) => keyOf(object) > page.after);
  const items = limit > 0 ? rest.slice(0, limit) : rest;
  const last = items.at(-1);
  const remaining = rest.length - items.length;
  const metadata = {
    resourceVersion: String(snapshot.version),
    ...(remaining > 0 && last !== undefined ? { continue: encodeContinue(snapshot.version, keyOf(last)) } : {}),
    ...(remaining > 0 && !options.hasSelector ? { remainingItemCount: remaining } : {}),
  };
  return {
    kind: `${kind.kind}List`,
    apiVersion: groupVersionOf(kind),
    metadata,
    items: items.map(({ kind: _kind, apiVersion: _apiVersion, ...item }) => item),
  };
}

function keyOf(object: KubeObject): string {
  return objectKey(text(metadataOf(object), 'namespace'), text(metadataOf(object), 'name'));
}

function listSnapshot(
  store: ObjectStore,
  kind: ResourceKind,
  version: number | undefined,
  match: string,
  limit: number,
): Snapshot {
  if (version !== undefined) requireReached(store, version);
  // With a limit and without a match, a version means exactly that version: so paging started in old clients.
  const isExact = match === 'Exact' || (match === '' && limit > 0 && version !== undefined && version > 0);
  return store.snapshot(kind, isExact ? version : undefined);
}

/** Throws 504 for a version from the future, as the watch cache does once it has waited for it in vain. */
export function requireReached(store: ObjectStore, version: number): void {
  if (version > store.version)
    throw new ApiError('Timeout', `Too large resource version: ${version}, current: ${store.version}`, 1);
}

function pageSnapshot(store: ObjectStore, kind: ResourceKind, version: number): Snapshot {
  try {
    return store.snapshot(kind, version);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    throw new ApiError(
      'Expired',
      'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.',
    );
  }
}

function encodeContinue(version: number, after: string): string {
  return Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: version, start: after })).toString('base64url');
}

function decodeContinue(token: string): { version: number; after: string } | undefined {
  if (token === '') return undefined;
  try {
    const { rv, start } = JSON.parse(Buffer.from(token, 'base64url').toString()) as { rv: number; start: string };
    if (Number.isInteger(rv) && typeof start === 'string') return { version: rv, after: start };
  } catch {
    // Not our token: refused below, like one with other fields.
  }
  throw new ApiError('BadRequest', 'continue key is not valid');
}
