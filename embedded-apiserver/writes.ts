// Create, update, patch and delete, with the rules that clients depend on: optimistic concurrency, status apart from
// the rest, names that are generated, deletion that waits for a kubelet or a finalizer.
import { randomBytes, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../runtime/clock.ts';
import type { KubeObject } from '../kube/wire.ts';
import type { ResourceRequest } from '../kube/request-info.ts';
import { ApiError } from './errors.ts';
import { listOptions } from './list-options.ts';
import { child, metadataOf, text } from '../kube/plain-object.ts';
import { objectKey } from './object-store.ts';
import type { ObjectStore } from './object-store.ts';
import { applyPatch } from './patching.ts';
import { getObject } from './reads.ts';
import { groupVersionOf, qualifiedResource } from './resource-kinds.ts';
import type { ResourceKind } from './resource-kinds.ts';

export class Writes {
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #namespaces: ResourceKind;

  constructor({ store, clock, namespaces }: { store: ObjectStore; clock: Clock; namespaces: ResourceKind }) {
    this.#store = store;
    this.#clock = clock;
    this.#namespaces = namespaces;
  }

  /** The object as stored. Throws 400, 404 (no such namespace), 409 AlreadyExists. */
  create(kind: ResourceKind, namespace: string, body: KubeObject): KubeObject {
    requireKind(kind, body);
    if (kind.namespaced && this.#store.get(this.#namespaces, objectKey('', namespace)) === undefined)
      throw new ApiError('NotFound', `namespaces "${namespace}" not found`);
    const given = metadataOf(body);
    const name = text(given, 'name') || generatedName(text(given, 'generateName'));
    if (name === '')
      throw new ApiError(
        'Invalid',
        `${kind.kind} "" is invalid: metadata.name: Required value: name or generateName is required`,
      );
    requireNamespace(kind, namespace, given);
    const key = objectKey(namespace, name);
    if (this.#store.get(kind, key) !== undefined)
      throw new ApiError('AlreadyExists', `${qualifiedResource(kind)} "${name}" already exists`);
    const object = {
      ...body,
      kind: kind.kind,
      apiVersion: groupVersionOf(kind),
      metadata: {
        ...given,
        name,
        ...(kind.namespaced ? { namespace } : {}),
        uid: randomUUID(),
        creationTimestamp: this.#now(),
        ...(kind.statusSubresource ? { generation: 1 } : {}),
      },
    };
    return this.#store.write(kind, key, withDefaults(kind, object));
  }

  /** Replaces an object, or its status alone. Throws 404, 409 Conflict. */
  update(kind: ResourceKind, request: ResourceRequest, body: KubeObject): KubeObject {
    requireKind(kind, body);
    requireNamespace(kind, request.namespace, metadataOf(body));
    if (text(metadataOf(body), 'name') !== request.name)
      throw new ApiError('BadRequest', 'the name of the object does not match the name on the URL');
    const current = getObject(this.#store, kind, request.namespace, request.name);
    return this.#replace(kind, request, current, body);
  }

  /** Throws 404, 409 Conflict, 415 for a patch type that is not known, 400 for a patch that does not fit. */
  patch(kind: ResourceKind, request: ResourceRequest, contentType: string, patch: KubeObject): KubeObject {
    const current = getObject(this.#store, kind, request.namespace, request.name);
    return this.#replace(kind, request, current, applyPatch(kind, contentType, current, patch));
  }

  /** The object that remains (with deletionTimestamp), or the one that is gone. Throws 404, 409 on preconditions. */
  delete(
    kind: ResourceKind,
    namespace: string,
    name: string,
    options: KubeObject,
  ): { object: KubeObject; isGone: boolean } {
    const current = getObject(this.#store, kind, namespace, name);
    const preconditions = child(options, 'preconditions');
    for (const field of ['uid', 'resourceVersion'])
      if (text(preconditions, field) !== '' && text(preconditions, field) !== text(metadataOf(current), field))
        throw conflict(
          kind,
          name,
          `Precondition failed: ${field} in precondition: ${text(preconditions, field)}, ${field} in object meta: ${text(metadataOf(current), field)}`,
        );

    const grace = gracePeriodSeconds(kind, current, options);
    const finalizers = metadataOf(current)['finalizers'];
    const isHeld = Array.isArray(finalizers) && finalizers.length > 0;
    const key = objectKey(namespace, name);
    if (grace === 0 && !isHeld) return { object: this.#store.write(kind, key, undefined), isGone: true };
    if (text(metadataOf(current), 'deletionTimestamp') !== '') return { object: current, isGone: false };
    const deletionTimestamp = new Date(this.#clock.wallMs() + grace * 1000).toISOString().replace(/\.\d+/, '');
    const metadata = { ...metadataOf(current), deletionTimestamp, deletionGracePeriodSeconds: grace };
    return { object: this.#store.write(kind, key, { ...current, metadata }), isGone: false };
  }

  /** Deletes what the selectors choose; the objects as they were. */
  deleteCollection(kind: ResourceKind, request: ResourceRequest, options: KubeObject): KubeObject[] {
    const { selects } = listOptions(kind, request.namespace, request.query, false);
    const chosen = this.#store.snapshot(kind).objects.filter(selects);
    for (const object of chosen)
      this.delete(kind, text(metadataOf(object), 'namespace'), text(metadataOf(object), 'name'), options);
    return chosen;
  }

  #replace(kind: ResourceKind, request: ResourceRequest, current: KubeObject, wanted: KubeObject): KubeObject {
    const old = metadataOf(current);
    const given = metadataOf(wanted);
    const version = text(given, 'resourceVersion');
    if (version !== '' && version !== text(old, 'resourceVersion')) {
      throw conflict(
        kind,
        request.name,
        'the object has been modified; please apply your changes to the latest version and try again',
      );
    }
    if (text(given, 'uid') !== '' && text(given, 'uid') !== text(old, 'uid'))
      throw conflict(
        kind,
        request.name,
        `Precondition failed: UID in precondition: ${text(given, 'uid')}, UID in object meta: ${text(old, 'uid')}`,
      );
    const metadata: KubeObject = { ...given };
    // Clients cannot change these, whatever they send.
    for (const field of [
      'name',
      'namespace',
      'uid',
      'resourceVersion',
      'creationTimestamp',
      'deletionTimestamp',
      'deletionGracePeriodSeconds',
      'generation',
    ]) {
      if (field in old) metadata[field] = old[field];
      else delete metadata[field];
    }
    const next: KubeObject =
      request.subresource === 'status'
        ? { ...current, metadata, status: wanted['status'] }
        : { ...wanted, kind: kind.kind, apiVersion: groupVersionOf(kind), metadata };
    if (request.subresource !== 'status' && kind.statusSubresource) {
      if ('status' in current) next['status'] = current['status'];
      else delete next['status'];
    }
    if (next['status'] === undefined) delete next['status'];
    // As in etcd: a write that changes nothing makes no version and no event.
    if (isDeepStrictEqual(next, current)) return current;
    if (kind.statusSubresource && !isDeepStrictEqual(next['spec'], current['spec']))
      metadata['generation'] = Number(old['generation'] ?? 0) + 1;

    const key = objectKey(request.namespace, request.name);
    const finalizers = metadata['finalizers'];
    const isReleased =
      text(metadata, 'deletionTimestamp') !== '' &&
      Array.isArray(old['finalizers']) &&
      !(Array.isArray(finalizers) && finalizers.length > 0) &&
      Number(metadata['deletionGracePeriodSeconds'] ?? 0) === 0;
    const stored = this.#store.write(kind, key, next);
    return isReleased ? this.#store.write(kind, key, undefined) : stored;
  }

  #now(): string {
    return new Date(this.#clock.wallMs()).toISOString().replace(/\.\d+/, '');
  }
}

function conflict(kind: ResourceKind, name: string, why: string): ApiError {
  return new ApiError('Conflict', `Operation cannot be fulfilled on ${qualifiedResource(kind)} "${name}": ${why}`);
}

function requireKind(kind: ResourceKind, body: KubeObject): void {
  const expected = `${groupVersionOf(kind)}, Kind=${kind.kind}`;
  // client-go leaves both out of typed objects now and then; the API server takes the path's kind for them.
  const apiVersion = text(body, 'apiVersion') || groupVersionOf(kind);
  const given = `${apiVersion}, Kind=${text(body, 'kind') || kind.kind}`;
  if (given !== expected)
    throw new ApiError(
      'BadRequest',
      `the object provided is unrecognized (must be of type ${kind.kind}): got ${given}`,
    );
}

function requireNamespace(kind: ResourceKind, namespace: string, metadata: KubeObject): void {
  const given = text(metadata, 'namespace');
  if (kind.namespaced && given !== '' && given !== namespace)
    throw new ApiError(
      'BadRequest',
      'the namespace of the provided object does not match the namespace sent on the request',
    );
}

/** The base and five characters, as the API server appends them; '' without a base. */
function generatedName(base: string): string {
  const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
  const suffix = [...randomBytes(5)].map((byte) => alphabet[byte % alphabet.length]).join('');
  return base === '' ? '' : base + suffix;
}

function withDefaults(kind: ResourceKind, object: KubeObject): KubeObject {
  if (kind.resource === 'namespaces') return { ...object, status: { phase: 'Active', ...child(object, 'status') } };
  if (kind.resource !== 'pods') return object;
  const spec = {
    restartPolicy: 'Always',
    schedulerName: 'default-scheduler',
    serviceAccountName: 'default',
    terminationGracePeriodSeconds: 30,
    ...child(object, 'spec'),
  };
  return { ...object, spec, status: { phase: 'Pending', ...child(object, 'status') } };
}

/** A pod on a node stays until its kubelet deletes it with a period of 0; everything else goes at once. */
function gracePeriodSeconds(kind: ResourceKind, object: KubeObject, options: KubeObject): number {
  if (kind.resource !== 'pods' || text(child(object, 'spec'), 'nodeName') === '') return 0;
  const asked = options['gracePeriodSeconds'];
  const fallback = child(object, 'spec')['terminationGracePeriodSeconds'];
  return typeof asked === 'number' ? asked : typeof fallback === 'number' ? fallback : 30;
}
