// Objects and collections as controllers know them: just enough of a shape for metadata, and where the API serves a kind.
// Each controller declares the fields that it reads; what the API server sends beside them is dropped when it arrives.

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
  readonly name: string;
  /** Absent for cluster-scoped objects. */
  readonly namespace?: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation?: number;
  /** RFC 3339, as all times in objects. */
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
}

export interface ApiObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}

/** Of an object that is to be made or applied: what the API server fills in is absent. */
export interface Draft {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Partial<Omit<ObjectMeta, 'name'>> & { readonly name?: string; readonly generateName?: string };
  readonly [field: string]: unknown;
}

/** A kind and where it is served. */
export interface Resource {
  /** '' for the core group. */
  readonly group: string;
  readonly version: string;
  /** Plural, as in paths. */
  readonly resource: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

export interface ObjectName {
  /** Absent for cluster-scoped objects. */
  readonly namespace?: string | undefined;
  readonly name: string;
}

export function apiVersionOf({ group, version }: Resource): string {
  return group === '' ? version : `${group}/${version}`;
}

/** Of all namespaces when `namespace` is undefined. */
export function collectionPath(resource: Resource, namespace: string | undefined): string {
  const root = resource.group === '' ? '/api' : `/apis/${resource.group}`;
  const within = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${root}/${resource.version}${within}/${resource.resource}`;
}

/** Throws TypeError when a namespace is missing or too much: that is always a mistake of the caller. */
export function objectPath(resource: Resource, { namespace, name }: ObjectName, subresource?: string): string {
  if (resource.namespaced !== (namespace !== undefined))
    throw new TypeError(
      `${resource.resource} ${name}: ${resource.namespaced ? 'needs a namespace' : 'has no namespace'}`,
    );
  const path = `${collectionPath(resource, namespace)}/${encodeURIComponent(name)}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

/** `NAMESPACE/NAME`, or `NAME` for cluster-scoped objects: the key of caches and queues. */
export function keyOf({ namespace, name }: ObjectName): string {
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;
}

export function nameOfKey(key: string): ObjectName {
  const slash = key.indexOf('/');
  return slash === -1 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** An object as it came, without what no controller reads: it makes half of many objects. */
export function withoutManagedFields<T extends ApiObject>(object: ApiObject): T {
  const { managedFields: _managedFields, ...metadata } = object.metadata as ObjectMeta & { managedFields?: unknown };
  const { 'kubectl.kubernetes.io/last-applied-configuration': applied, ...annotations } = metadata.annotations ?? {};
  return { ...object, metadata: applied === undefined ? metadata : { ...metadata, annotations } } as T;
}
