// The manifests of config/ as objects: what `kubectl kustomize config` gives, by reading the same files. Of kustomize only what those
// files use is known, and everything else is refused, so that the two cannot differ in silence.
import { parseYaml, parseYamlDocuments } from '../runtime/yaml.ts';
import { InstallError } from './errors.ts';
import { kindOrder } from './kinds.ts';

/** An object that is to be applied. */
export interface ClusterObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** By which everything of ours is found, whatever version it came with. */
export const ownLabel = { key: 'app.kubernetes.io/part-of', value: 'holdfast' } as const;

interface Kustomization {
  readonly resources?: readonly string[];
  readonly labels?: readonly { readonly pairs: Readonly<Record<string, string>> }[];
}

const knownKeys = new Set(['apiVersion', 'kind', 'resources', 'labels', 'sortOptions']);

/**
 * All objects, kinds before what is of them. `read` gives the text of a file below config/ and throws when there is none; `folder` is
 * config/ itself, or one in it with a slash behind its name. Throws InstallError (ERR_INSTALL_MANIFEST), which names the file.
 */
export function readManifests(read: (file: string) => string, folder = ''): ClusterObject[] {
  return folderObjects(folder, read).sort(
    (a, b) => kindOrder(a.kind) - kindOrder(b.kind) || compare(nameOf(a), nameOf(b)),
  );
}

function folderObjects(folder: string, read: (file: string) => string): ClusterObject[] {
  const file = `${folder}kustomization.yaml`;
  const kustomization = attempt(file, () => parseYaml(read(file))) as Kustomization;
  for (const key of Object.keys(kustomization))
    if (!knownKeys.has(key))
      throw new InstallError('ERR_INSTALL_MANIFEST', `config/${file}: ${key} is not known here: use kubectl apply -k`);
  const labels = Object.assign({}, ...(kustomization.labels ?? []).map(({ pairs }) => pairs)) as Record<string, string>;
  const objects = (kustomization.resources ?? []).flatMap((resource) =>
    resource.endsWith('.yaml')
      ? (attempt(`${folder}${resource}`, () => parseYamlDocuments(read(`${folder}${resource}`))) as ClusterObject[])
      : folderObjects(`${folder}${resource}/`, read),
  );
  if (Object.keys(labels).length === 0) return objects;
  return objects.map((object) => ({
    ...object,
    metadata: { ...object.metadata, labels: { ...object.metadata.labels, ...labels } },
  }));
}

function attempt<T>(file: string, task: () => T): T {
  try {
    return task();
  } catch (error) {
    if (error instanceof InstallError) throw error;
    throw new InstallError('ERR_INSTALL_MANIFEST', `config/${file}: ${(error as Error).message}`, { cause: error });
  }
}

/** KIND NAMESPACE/NAME, for people and as a key. */
export function nameOf({ kind, metadata: { namespace, name } }: Pick<ClusterObject, 'kind' | 'metadata'>): string {
  return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

interface Container {
  readonly image?: string;
}

/** The same objects with another image in all containers of ours. */
export function withImage(objects: readonly ClusterObject[], image: string): ClusterObject[] {
  return objects.map((object) => {
    const template = podTemplate(object);
    if (template === undefined) return object;
    const { spec } = object as unknown as { spec: { template: { spec: object } } };
    const containers = template.containers.map((container) => ({ ...container, image }));
    return {
      ...object,
      spec: { ...spec, template: { ...spec.template, spec: { ...spec.template.spec, containers } } },
    };
  });
}

/** The images that are asked for, each once. */
export function imagesOf(objects: readonly ClusterObject[]): string[] {
  return [
    ...new Set(objects.flatMap((object) => podTemplate(object)?.containers.map(({ image = '' }) => image) ?? [])),
  ];
}

function podTemplate(object: ClusterObject): { containers: readonly Container[] } | undefined {
  const { spec } = object as { spec?: { template?: { spec?: { containers?: readonly Container[] } } } };
  const containers = spec?.template?.spec?.containers;
  return containers === undefined ? undefined : { containers };
}
