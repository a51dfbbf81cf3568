// Names for views: one string that is the same for the same collection, and the upstream path that it stands for.
import type { ResourceRequest } from '../../kube/request-info.ts';
import type { Encoding } from '../../kube/wire.ts';
import type { ViewKey } from '../types.ts';

export function viewKeyOf(info: ResourceRequest, encoding: Encoding): ViewKey {
  return {
    group: info.group,
    version: info.version,
    resource: info.resource,
    namespace: info.namespace,
    labelSelector: info.query.get('labelSelector') ?? '',
    // A list of one named object, as the API server reads /pods/NAME?watch=true.
    fieldSelector: info.name === '' ? (info.query.get('fieldSelector') ?? '') : `metadata.name=${info.name}`,
    encoding,
  };
}

/** A text that names the view in keys of the store and in logs: every part escaped, so that none can run into the next. */
export function viewId(key: ViewKey): string {
  const parts = [
    key.encoding,
    key.group,
    key.version,
    key.resource,
    key.namespace,
    key.labelSelector,
    key.fieldSelector,
    ...(key.forAccounts === true ? ['accounts'] : []),
  ];
  return parts.map((part) => encodeURIComponent(part)).join(',');
}

/** The path of the collection at the API server, without a query. */
export function collectionPath(key: ViewKey): string {
  const root = key.group === '' ? `/api/${key.version}` : `/apis/${key.group}/${key.version}`;
  const namespace = key.namespace === '' ? '' : `/namespaces/${encodeURIComponent(key.namespace)}`;
  return `${root}${namespace}/${key.resource}`;
}

/** Path and query of an upstream list or watch: the view's selectors plus `extra`. */
export function upstreamTarget(key: ViewKey, extra: Readonly<Record<string, string>>): string {
  const query = new URLSearchParams();
  if (key.labelSelector !== '') query.set('labelSelector', key.labelSelector);
  if (key.fieldSelector !== '') query.set('fieldSelector', key.fieldSelector);
  for (const [name, value] of Object.entries(extra)) query.set(name, value);
  return `${collectionPath(key)}?${query.toString()}`;
}

/** How members of one view are named: no namespace or name of Kubernetes holds a slash. */
export function memberKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}
