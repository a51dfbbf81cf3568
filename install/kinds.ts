// The kinds of objects in config/, where the API serves them, and in which order they are made.
import type { Resource } from '../controllers/machinery/resource.ts';
import { InstallError } from './errors.ts';

const rbac = 'rbac.authorization.k8s.io';
const admission = 'admissionregistration.k8s.io';
const kind = (
  group: string,
  version: string,
  resource: string,
  name: string,
  namespaced: boolean,
): readonly [string, Resource] => [name, { group, version, resource, kind: name, namespaced }];

/** In the order in which they are made: names and kinds, rights, settings, and then who uses them. Taken away last to first. */
const ordered: readonly (readonly [string, Resource])[] = [
  kind('', 'v1', 'namespaces', 'Namespace', false),
  kind('apiextensions.k8s.io', 'v1', 'customresourcedefinitions', 'CustomResourceDefinition', false),
  kind('', 'v1', 'serviceaccounts', 'ServiceAccount', true),
  kind(rbac, 'v1', 'clusterroles', 'ClusterRole', false),
  kind(rbac, 'v1', 'roles', 'Role', true),
  kind(rbac, 'v1', 'clusterrolebindings', 'ClusterRoleBinding', false),
  kind(rbac, 'v1', 'rolebindings', 'RoleBinding', true),
  kind('', 'v1', 'configmaps', 'ConfigMap', true),
  kind('', 'v1', 'secrets', 'Secret', true),
  kind('networking.k8s.io', 'v1', 'networkpolicies', 'NetworkPolicy', true),
  kind('policy', 'v1', 'poddisruptionbudgets', 'PodDisruptionBudget', true),
  kind(admission, 'v1', 'validatingadmissionpolicies', 'ValidatingAdmissionPolicy', false),
  kind(admission, 'v1', 'validatingadmissionpolicybindings', 'ValidatingAdmissionPolicyBinding', false),
  kind('apps', 'v1', 'daemonsets', 'DaemonSet', true),
  kind('apps', 'v1', 'deployments', 'Deployment', true),
];
const byKind = new Map(ordered);

/** Every kind that we install, in the order in which they are made. */
export const installedKinds: readonly Resource[] = ordered.map(([, resource]) => resource);

export function kindOrder(name: string): number {
  return ordered.findIndex(([known]) => known === name);
}

/** Throws InstallError (ERR_INSTALL_MANIFEST) for a kind that config/ has no business with. */
export function resourceOf({ apiVersion, kind: name }: { apiVersion: string; kind: string }): Resource {
  const resource = byKind.get(name);
  const served =
    resource === undefined ? '' : `${resource.group === '' ? '' : `${resource.group}/`}${resource.version}`;
  if (resource === undefined || served !== apiVersion)
    throw new InstallError('ERR_INSTALL_MANIFEST', `config/: ${apiVersion} ${name} is not a kind that is installed`);
  return resource;
}
