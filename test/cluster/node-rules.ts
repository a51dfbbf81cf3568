// config/rbac/node.yaml as it is posted: what the hubs of a cluster may read beyond what Kubernetes lets nodes read.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { Manifest } from './manifest.ts';
import { projectRoot } from './project-root.ts';

interface Rule extends Record<string, unknown> {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
}

/** In the order of the file: a namespace before what is in it. */
export function nodeRules(): Manifest[] {
  const text = readFileSync(path.join(projectRoot(), 'config', 'rbac', 'node.yaml'), 'utf8');
  const rules = parseAllDocuments(text).map((document) => document.toJS() as Rule);
  return rules.map((body) => ({ path: collectionOf(body), body }));
}

function collectionOf({ apiVersion, kind, metadata }: Rule): string {
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const namespace = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`;
  return `${group}${namespace}/${kind.toLowerCase()}s`;
}
