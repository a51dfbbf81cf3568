// The manifests of config/, as kubectl apply would take them.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import { waitFor } from './commands.ts';
import type { ControlPlane } from './control-plane.ts';
import { projectRoot } from './project-root.ts';

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: {
    readonly group?: string;
    readonly names?: { readonly plural: string };
    readonly versions?: readonly { readonly name: string }[];
  };
}

/** Runs what the tests start themselves; of a folder it is left out. */
const workloads = 'deployment.yaml';

/** Files and folders below config/, by server-side apply as kubectl would; resolves when CRDs among them are served. */
export async function applyConfig(plane: ControlPlane, ...places: readonly string[]): Promise<void> {
  for (const place of places) {
    const full = path.join(projectRoot(), 'config', place);
    // Kustomizations are for kubectl apply -k.
    const inFolder = (): string[] =>
      readdirSync(full).filter((file) => ![workloads, 'kustomization.yaml'].includes(file));
    const files = place.endsWith('.yaml') ? [full] : inFolder().map((file) => path.join(full, file));
    for (const file of files.sort()) if (file.endsWith('.yaml')) await applyText(plane, readFileSync(file, 'utf8'));
  }
}

export async function applyText(plane: ControlPlane, yaml: string): Promise<void> {
  for (const document of parseAllDocuments(yaml)) {
    const object = document.toJS() as Manifest;
    await plane.request('PATCH', `${pathOf(object)}?fieldManager=test&force=true`, object, {
      contentType: 'application/apply-patch+yaml',
    });
    const { group, names, versions } = object.spec ?? {};
    if (object.kind !== 'CustomResourceDefinition' || names === undefined) continue;
    const served = `/apis/${group}/${versions?.[0]?.name}/${names.plural}`;
    await waitFor(`${served} is served`, async () => (await plane.rawRequest('GET', served)).status === 200, {
      deadlineMs: 120_000,
    });
  }
}

function pathOf({ apiVersion, kind, metadata }: Manifest): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const namespace = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`;
  const plural = kind.toLowerCase().replace(/y$/, 'ie');
  return `${root}${namespace}/${plural}s/${metadata.name}`;
}
