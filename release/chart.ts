// The Helm chart, made of the objects of config/: the same manifests with a few values in them, so that there is one source. Rendered with
// the values as they come it gives exactly what `kubectl apply -k config` applies.
import type { ClusterObject } from '../install/manifests.ts';

export interface ChartFile {
  /** In the chart's folder. */
  readonly path: string;
  readonly content: string;
}

/** What can be chosen, its default and where it stands: the text there is exactly the default. */
interface Value {
  /** Of one part: NAME, or GROUP.NAME. */
  readonly key: string;
  readonly doc: string;
  /** In the object, or undefined where it has no place. */
  readonly at: (object: ClusterObject) => readonly (string | number)[] | undefined;
}

const values: readonly Value[] = [
  {
    key: 'image',
    doc: 'Import it on the control-plane hosts, or push it to a registry of yours and name it here.',
    at: ({ kind }) => (isWorkload(kind) ? ['spec', 'template', 'spec', 'containers', 0, 'image'] : undefined),
  },
  {
    key: 'imagePullPolicy',
    doc: 'IfNotPresent, Always or Never.',
    at: ({ kind }) => (isWorkload(kind) ? ['spec', 'template', 'spec', 'containers', 0, 'imagePullPolicy'] : undefined),
  },
  {
    key: 'controllers.replicas',
    doc: 'One of them leads.',
    at: ({ kind }) => (kind === 'Deployment' ? ['spec', 'replicas'] : undefined),
  },
  {
    key: 'tunnelServer.settings',
    doc: 'tunnel-server.yaml: holdfast tunnel-server --help lists every setting.',
    at: ({ kind, metadata }) =>
      kind === 'ConfigMap' && metadata.name === 'holdfast-tunnel-server' ? ['data', 'tunnel-server.yaml'] : undefined,
  },
  {
    key: 'tunnelServer.kubeconfig',
    doc: 'The API server on the same host; another port than 6443 has to be written here.',
    at: ({ kind, metadata }) =>
      kind === 'ConfigMap' && metadata.name === 'holdfast-tunnel-server' ? ['data', 'kubeconfig'] : undefined,
  },
];

const isWorkload = (kind: string): boolean => kind === 'Deployment' || kind === 'DaemonSet';

/** `stringify`: to YAML. Throws TypeError when a value has no place, or not the same default in all its places. */
export function chartFiles(
  objects: readonly ClusterObject[],
  version: string,
  stringify: (value: unknown) => string,
): ChartFile[] {
  const defaults = new Map<string, unknown>();
  const files = objects.map((object): ChartFile => {
    const copy = structuredClone(object);
    for (const { key, at } of values) {
      const place = at(object);
      if (place === undefined) continue;
      const found = replaceAt(copy, place, marker(key));
      if (defaults.has(key) && defaults.get(key) !== found)
        throw new TypeError(`chart: ${key} has different defaults in different objects`);
      defaults.set(key, found);
    }
    const { kind, metadata } = object;
    const folder = kind === 'CustomResourceDefinition' ? 'crds' : 'templates';
    return {
      path: `${folder}/${kind.toLowerCase()}-${metadata.name.replaceAll(/[^a-z0-9.-]/g, '-')}${metadata.namespace === undefined ? '' : `-${metadata.namespace}`}.yaml`,
      // What stands in crds/ is not a template.
      content: folder === 'crds' ? stringify(copy) : template(stringify(copy)),
    };
  });
  const missing = values.find(({ key }) => !defaults.has(key));
  if (missing !== undefined) throw new TypeError(`chart: ${missing.key} has no place in config/`);
  return [
    {
      path: 'Chart.yaml',
      content: stringify({
        apiVersion: 'v2',
        name: 'holdfast',
        description: 'Keeps Kubernetes nodes working where the network does not: controllers, tunnel server, rights.',
        type: 'application',
        version,
        appVersion: version,
      }),
    },
    { path: 'values.yaml', content: valuesText(defaults, stringify) },
    { path: 'templates/NOTES.txt', content: notes },
    ...files.sort((a, b) => (a.path < b.path ? -1 : 1)),
  ];
}

const notes = `The tunnel server waits for its certificate: run holdfast install once, which makes it and leaves everything else as it is.
`;

const marker = (key: string): string => `@@value:${key}@@`;

/** JSON is YAML, on one line and with no quoting to get wrong. What looks like a template in the objects is none. */
function template(yaml: string): string {
  return yaml
    .replaceAll('{{', '{{ "{{" }}')
    .replaceAll(/["']?@@value:([A-Za-z.]+)@@["']?/g, (_, key: string) => `{{ .Values.${key} | toJson }}`);
}

function replaceAt(object: unknown, place: readonly (string | number)[], value: string): unknown {
  let holder = object as Record<string | number, unknown>;
  for (const step of place.slice(0, -1)) holder = holder[step] as Record<string | number, unknown>;
  const last = place.at(-1) ?? '';
  const found = holder[last];
  if (found === undefined) throw new TypeError(`chart: there is nothing at ${place.join('.')}`);
  holder[last] = value;
  return found;
}

function valuesText(defaults: ReadonlyMap<string, unknown>, stringify: (value: unknown) => string): string {
  const lines: string[] = ['# The defaults are what config/ of the release says.'];
  const groups = new Set<string>();
  for (const { key, doc } of values) {
    const [first = '', second] = key.split('.');
    const indent = second === undefined ? '' : '  ';
    if (second !== undefined && !groups.has(first)) lines.push(`${first}:`);
    groups.add(first);
    lines.push(`${indent}# ${doc}`);
    const text = stringify({ [second ?? first]: defaults.get(key) }).trimEnd();
    lines.push(...text.split('\n').map((line) => `${indent}${line}`));
  }
  return `${lines.join('\n')}\n`;
}
