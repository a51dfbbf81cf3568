// What may be allowed to an identity: one collection with its selectors, to list and to watch; or one object by name.
// Also how the API server is asked about it. Pure.
import type { ResourceRequest } from '../../kube/request-info.ts';
import type { ViewKey } from '../types.ts';

export interface Scope {
  /** `collection`: list and watch. */
  readonly kind: 'collection' | 'object';
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly namespace: string;
  /** '' for collections. */
  readonly name: string;
  readonly labelSelector: string;
  readonly fieldSelector: string;
}

export function collectionScope(key: ViewKey): Scope {
  const { group, version, resource, namespace, labelSelector, fieldSelector } = key;
  return { kind: 'collection', group, version, resource, namespace, name: '', labelSelector, fieldSelector };
}

export function objectScope(info: ResourceRequest): Scope {
  const { group, version, resource, namespace, name } = info;
  return { kind: 'object', group, version, resource, namespace, name, labelSelector: '', fieldSelector: '' };
}

/** One text for one scope, every part escaped, so that none can run into the next. */
export function scopeId(scope: Scope): string {
  const { kind, group, version, resource, namespace, name, labelSelector, fieldSelector } = scope;
  return [kind, group, version, resource, namespace, name, labelSelector, fieldSelector]
    .map((part) => encodeURIComponent(part))
    .join(',');
}

/** Throws TypeError for what `scopeId` did not make. */
export function scopeOf(id: string): Scope {
  const parts = id.split(',').map((part) => decodeURIComponent(part));
  const [kind, group, version, resource, namespace, name, labelSelector, fieldSelector] = parts;
  if ((kind !== 'collection' && kind !== 'object') || fieldSelector === undefined || parts.length !== 8)
    throw new TypeError(`${id} is no scope`);
  return { kind, group, version, resource, namespace, name, labelSelector, fieldSelector } as Scope;
}

/** SelfSubjectAccessReviews, all of which have to be allowed. A field selector for one name is that name, to RBAC as well. */
export function accessReviews(scope: Scope): object[] {
  const { kind, group, version, resource, namespace, labelSelector, fieldSelector } = scope;
  const name = kind === 'object' ? scope.name : nameIn(fieldSelector);
  const attributes = {
    group,
    version,
    resource,
    ...(namespace === '' ? {} : { namespace }),
    ...(name === '' ? {} : { name }),
    // The API server takes these apart by itself; one older than 1.31 does not know them, and judges without.
    ...(labelSelector === '' ? {} : { labelSelector: { rawSelector: labelSelector } }),
    ...(fieldSelector === '' ? {} : { fieldSelector: { rawSelector: fieldSelector } }),
  };
  return (kind === 'object' ? ['get'] : ['list', 'watch']).map((verb) => ({
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { verb, ...attributes } },
  }));
}

/** Where it is written otherwise it is not found, and the question is a wider one: never more is allowed than was asked for. */
function nameIn(fieldSelector: string): string {
  for (const term of fieldSelector.split(',')) {
    const name = /^metadata\.name==?([^=!\\]+)$/.exec(term)?.[1];
    if (name !== undefined) return name;
  }
  return '';
}
