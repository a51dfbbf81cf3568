// Which kind an object is of, and which kinds Kubernetes itself brings.
import type { KubeObject, TypeMeta } from './wire.ts';

/** Throws TypeError: to encode an object that does not say what it is, is a mistake of the caller. */
export function typeMetaOf(object: KubeObject): TypeMeta {
  const { apiVersion, kind } = object;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string')
    throw new TypeError('object without apiVersion and kind');
  return { apiVersion, kind };
}

/** API groups whose kinds are Go types in kube-apiserver 1.34, so that JSON list items carry no TypeMeta. */
const builtInGroups = new Set([
  '',
  'admissionregistration.k8s.io',
  'apiextensions.k8s.io',
  'apiregistration.k8s.io',
  'apps',
  'authentication.k8s.io',
  'authorization.k8s.io',
  'autoscaling',
  'batch',
  'certificates.k8s.io',
  'coordination.k8s.io',
  'discovery.k8s.io',
  'events.k8s.io',
  'flowcontrol.apiserver.k8s.io',
  'internal.apiserver.k8s.io',
  'networking.k8s.io',
  'node.k8s.io',
  'policy',
  'rbac.authorization.k8s.io',
  'resource.k8s.io',
  'scheduling.k8s.io',
  'storage.k8s.io',
  'storagemigration.k8s.io',
]);

export function isBuiltIn(typeMeta: TypeMeta): boolean {
  const slash = typeMeta.apiVersion.indexOf('/');
  return builtInGroups.has(slash < 0 ? '' : typeMeta.apiVersion.slice(0, slash));
}
