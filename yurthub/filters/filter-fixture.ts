// For tests of filters: one object through a filter, in both encodings, and collections as clients ask for them.
import { jsonWire } from '../../kube/json/json-wire.ts';
import { protobufWire } from '../../kube/protobuf/protobuf-wire.ts';
import type { KubeObject, TypeMeta } from '../../kube/wire.ts';
import type { Collection, Filter } from '../views/presenter.ts';

export const wires = [jsonWire, protobufWire] as const;

export const sliceType = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' };
export const endpointsType = { apiVersion: 'v1', kind: 'Endpoints' };
export const configMapType = { apiVersion: 'v1', kind: 'ConfigMap' };
export const serviceType = { apiVersion: 'v1', kind: 'Service' };

const resources: Readonly<Record<string, string>> = {
  EndpointSlice: 'endpointslices',
  Endpoints: 'endpoints',
  ConfigMap: 'configmaps',
  Service: 'services',
};

export function collectionOf(typeMeta: TypeMeta, restriction: Partial<Collection> = {}): Collection {
  const [group = '', version = ''] = typeMeta.apiVersion.includes('/') ? typeMeta.apiVersion.split('/') : ['', 'v1'];
  return {
    group,
    version,
    resource: resources[typeMeta.kind] ?? '',
    namespace: '',
    labelSelector: '',
    fieldSelector: '',
    ...restriction,
  };
}

/**
 * How the filter shows an object: the same in every encoding, or the test fails. 'as it is' when the very same bytes come
 * back, undefined when it is hidden.
 */
export function shownBy(
  filter: Filter,
  typeMeta: TypeMeta,
  object: KubeObject,
  collection = collectionOf(typeMeta),
): KubeObject | 'as it is' | undefined {
  const results = wires.map((wire) => {
    const bytes = wire.encode(typeMeta, object);
    const shown = filter.apply(wire, bytes, collection);
    if (shown === undefined) return undefined;
    return shown === bytes ? 'as it is' : wire.decode(typeMeta, shown);
  });
  // Go's types write some fields that JSON may leave out, and empty lists as null: what is in JSON has to be in protobuf.
  if (typeof results[0] === 'object') expect(withEmptyLists(results[1])).toMatchObject(results[0]);
  else expect(results[1]).toBe(results[0]);
  return results[0];
}

function withEmptyLists(object: unknown): unknown {
  return JSON.parse(JSON.stringify(object), (_key, value: unknown) => value ?? []) as unknown;
}
