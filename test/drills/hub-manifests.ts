// What an operator applies for the hubs of a cluster: config/rbac/node.yaml, and for which service accounts they keep views.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import { core } from '../cluster/manifest.ts';
import type { Manifest } from '../cluster/manifest.ts';
import { projectRoot } from '../cluster/project-root.ts';

interface RbacObject extends Record<string, unknown> {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
}

/** `serviceAccounts`: beside the default ones, as NAMESPACE:NAME. */
export function hubManifests(serviceAccounts: readonly string[]): Manifest[] {
  const text = readFileSync(path.join(projectRoot(), 'config', 'rbac', 'node.yaml'), 'utf8');
  const objects = parseAllDocuments(text).map((document) => document.toJS() as RbacObject);
  return [
    ...objects.map((body) => ({ path: collectionOf(body), body })),
    core('kube-system', 'configmaps', 'ConfigMap', {
      metadata: { name: 'holdfast-node' },
      data: { serviceAccounts: serviceAccounts.join(' ') },
    }),
  ];
}

function collectionOf({ apiVersion, kind, metadata }: RbacObject): string {
  const namespace = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`;
  return `/apis/${apiVersion}${namespace}/${kind.toLowerCase()}s`;
}
