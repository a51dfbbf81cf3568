// From a request to the operation that answers it.
import type { Clock } from '../runtime/clock.ts';
import { requestInfo } from '../kube/request-info.ts';
import type { ResourceRequest } from '../kube/request-info.ts';
import type { KubeObject } from '../kube/wire.ts';
import type { Authenticator } from './authentication.ts';
import { discoveryDocument } from './discovery.ts';
import { ApiError } from './errors.ts';
import type { ApiAnswer, ApiCall } from './listener.ts';
import { list, metadataOf, text } from '../kube/plain-object.ts';
import type { ObjectStore } from './object-store.ts';
import { getObject, listObjects } from './reads.ts';
import { groupVersionOf, resourceKinds, reviewKinds } from './resource-kinds.ts';
import type { ResourceKind } from './resource-kinds.ts';
import { answerReview, issueToken } from './reviews.ts';
import { tableOf } from '../kube/tables.ts';
import { startWatch } from './watch-stream.ts';
import type { WatchEvent } from './watch-stream.ts';
import type { Writes } from './writes.ts';

export interface RouteParts {
  readonly store: ObjectStore;
  readonly writes: Writes;
  readonly authenticator: Authenticator;
  readonly clock: Clock;
}

/** The API server closes watches that name no time after 30 to 60 minutes. */
const defaultTimeoutSeconds = 1800;

const versionDocument = {
  major: '1',
  minor: '34',
  gitVersion: 'v1.34.4+holdfast.embedded',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: '',
  platform: 'linux/amd64',
};

export class ApiRoutes {
  readonly #parts: RouteParts;
  readonly #bookmarkIntervalMs: number;

  constructor(parts: RouteParts, { bookmarkIntervalMs }: { readonly bookmarkIntervalMs: number }) {
    this.#parts = parts;
    this.#bookmarkIntervalMs = bookmarkIntervalMs;
  }

  /** Throws ApiError for what is refused. */
  answer(call: ApiCall): ApiAnswer {
    const info = requestInfo(call.method, call.target);
    if (!info.isResource) return nonResource(info.path);
    const kind = findKind(resourceKinds, info);
    if (kind !== undefined && (info.namespace === '' || kind.namespaced)) return this.#resource(kind, info, call);
    // A namespace is both a resource and where others live: /api/v1/namespaces/x parses with its own name as namespace.
    if (kind?.resource === 'namespaces') return this.#resource(kind, { ...info, namespace: '' }, call);
    const review = findKind(reviewKinds, info);
    if (review !== undefined && info.verb === 'create')
      return { code: 201, object: answerReview(this.#parts.authenticator, review, call.user, call.body) };
    throw notFound();
  }

  #resource(kind: ResourceKind, info: ResourceRequest, call: ApiCall): ApiAnswer {
    const { store, writes } = this.#parts;
    if (info.subresource === 'token' && kind.resource === 'serviceaccounts' && info.verb === 'create') {
      getObject(store, kind, info.namespace, info.name);
      return { code: 201, object: issueToken(this.#parts, info.namespace, info.name, call.body) };
    }
    const isStatus = info.subresource === 'status' && kind.statusSubresource && info.name !== '';
    if (info.subresource !== '' && !isStatus) throw notFound();
    // A single object of a namespaced kind without a namespace is no path of the API.
    if (kind.namespaced && info.namespace === '' && (info.name !== '' || info.verb === 'create')) throw notFound();

    switch (info.verb) {
      case 'get':
        return this.#object(kind, call, 200, getObject(store, kind, info.namespace, info.name));
      case 'list':
        return this.#list(kind, info, call);
      case 'watch':
        return this.#watch(kind, info, call);
      case 'create':
        if (info.name !== '')
          throw new ApiError('MethodNotAllowed', 'the server does not allow this method on the requested resource');
        return this.#object(kind, call, 201, writes.create(kind, info.namespace, call.body));
      case 'update':
        return this.#object(kind, call, 200, writes.update(kind, info, call.body));
      case 'patch':
        return this.#object(kind, call, 200, writes.patch(kind, info, call.contentType, call.body));
      case 'delete': {
        const { object, isGone } = writes.delete(kind, info.namespace, info.name, call.body);
        return { code: 200, object: isGone && kind.resource !== 'pods' ? deleted(kind, object) : object };
      }
      case 'deletecollection': {
        const items = writes.deleteCollection(kind, info, call.body);
        const metadata = { resourceVersion: String(store.version) };
        return { code: 200, object: { kind: `${kind.kind}List`, apiVersion: groupVersionOf(kind), metadata, items } };
      }
    }
  }

  #object(kind: ResourceKind, call: ApiCall, code: number, object: KubeObject): ApiAnswer {
    if (!call.accepted.asTable) return { code, object };
    const metadata = { resourceVersion: text(metadataOf(object), 'resourceVersion') };
    return { code, object: this.#table(kind, call, [object], metadata, true) };
  }

  #list(kind: ResourceKind, info: ResourceRequest, call: ApiCall): ApiAnswer {
    const object = listObjects(this.#parts.store, kind, info);
    if (!call.accepted.asTable) return { code: 200, object };
    return { code: 200, object: this.#table(kind, call, list(object, 'items'), metadataOf(object), true) };
  }

  #watch(kind: ResourceKind, info: ResourceRequest, call: ApiCall): ApiAnswer {
    const pending: WatchEvent[] = [];
    let isStarted = false;
    let isOver = false;
    let deliver: (event: WatchEvent) => void = (event) => void pending.push(event);
    let finish = (): void => void (isOver = true);
    // Started before the head is sent, so that a query that is refused is refused with a Status and not in the stream.
    const stop = startWatch(
      this.#parts,
      { bookmarkIntervalMs: this.#bookmarkIntervalMs, defaultTimeoutSeconds },
      kind,
      info,
      { send: (event) => deliver(event), end: () => finish() },
    );
    return {
      watch: (stream) => {
        deliver = (event) => {
          stream.send(this.#watchDocument(kind, call, event, !isStarted));
          isStarted = true;
        };
        finish = () => stream.end();
        stream.onClose(stop);
        for (const event of pending) deliver(event);
        if (isOver) finish();
      },
    };
  }

  #watchDocument(kind: ResourceKind, call: ApiCall, { type, object }: WatchEvent, isFirst: boolean): KubeObject {
    if (!call.accepted.asTable || type === 'ERROR') return { type, object };
    const metadata = { resourceVersion: text(metadataOf(object), 'resourceVersion') };
    return { type, object: this.#table(kind, call, type === 'BOOKMARK' ? [] : [object], metadata, isFirst) };
  }

  #table(
    kind: ResourceKind,
    call: ApiCall,
    objects: KubeObject[],
    metadata: KubeObject,
    withColumns: boolean,
  ): KubeObject {
    const includeObject = new URLSearchParams(call.target.split('?')[1] ?? '').get('includeObject') ?? 'Metadata';
    return tableOf(kind.kind, objects, metadata, { nowMs: this.#parts.clock.wallMs(), includeObject, withColumns });
  }
}

function findKind(kinds: readonly ResourceKind[], info: ResourceRequest): ResourceKind | undefined {
  return kinds.find(
    (kind) => kind.resource === info.resource && kind.group === info.group && kind.version === info.version,
  );
}

function nonResource(path: string): ApiAnswer {
  if (path === '/version') return { code: 200, object: versionDocument };
  if (['/healthz', '/livez', '/readyz'].includes(path)) return { code: 200, text: 'ok' };
  const document = discoveryDocument(path, resourceKinds, reviewKinds);
  if (document === undefined) throw notFound();
  return { code: 200, object: document };
}

function deleted(kind: ResourceKind, object: KubeObject): KubeObject {
  const { name, uid } = metadataOf(object);
  const group = kind.group === '' ? {} : { group: kind.group };
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { name, ...group, kind: kind.resource, uid },
  };
}

function notFound(): ApiError {
  return new ApiError('NotFound', 'the server could not find the requested resource');
}
