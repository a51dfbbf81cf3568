// Objects of the API as they are posted.
import type { ApiClient } from './api-client.ts';

export interface Manifest {
  /** Collection to POST to. */
  path: string;
  body: Readonly<Record<string, unknown>>;
}

/** One after the other, in order. Rejects with ApiStatusError, also for what is there already. */
export async function create(api: ApiClient, manifests: readonly Manifest[]): Promise<void> {
  for (const { path, body } of manifests) await api.request('POST', path, body);
}

export function core(namespace: string, plural: string, kind: string, body: Record<string, unknown>): Manifest {
  return { path: `/api/v1/namespaces/${namespace}/${plural}`, body: { apiVersion: 'v1', kind, ...body } };
}

export function daemonSet(namespace: string, name: string, podSpec: Record<string, unknown>): Manifest {
  const labels = { 'k8s-app': name };
  return {
    path: `/apis/apps/v1/namespaces/${namespace}/daemonsets`,
    body: {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name, namespace, labels },
      spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: podSpec } },
    },
  };
}

/** The service account gets what the ClusterRole allows, in all namespaces. */
export function clusterRoleBinding(name: string, role: string, account: { name: string; namespace: string }): Manifest {
  return {
    path: `${rbac}/clusterrolebindings`,
    body: {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
      subjects: [{ kind: 'ServiceAccount', ...account }],
    },
  };
}

export function clusterRole(name: string, rules: readonly PolicyRule[]): Manifest {
  return {
    path: `${rbac}/clusterroles`,
    body: { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name }, rules },
  };
}

export interface PolicyRule {
  apiGroups: readonly string[];
  resources: readonly string[];
  verbs: readonly string[];
}

const rbac = '/apis/rbac.authorization.k8s.io/v1';
