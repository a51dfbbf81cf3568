import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import { readManifests, type ClusterObject } from '../install/manifests.ts';
import { chartFiles } from './chart.ts';

const config = path.join(__dirname, '..', 'config');
const objects = readManifests((file) => readFileSync(path.join(config, file), 'utf8'));
const chart = chartFiles(objects, '1.2.3', (value) => stringify(value, { aliasDuplicateObjects: false, lineWidth: 0 }));
const content = (file: string): string => chart.find((candidate) => candidate.path === file)?.content ?? '';

/** As helm does it, for the two forms of action that the chart has; anything else is refused. */
function render(template: string, values: Record<string, unknown>): string {
  return template.replaceAll(/\{\{(.*?)\}\}/gs, (action, inside: string) => {
    if (action === '{{ "{{" }}') return '{{';
    const [, key] = /^ \.Values\.([A-Za-z.]+) \| toJson $/.exec(inside) ?? [];
    if (key === undefined) throw new Error(`not an action of this chart: ${action}`);
    const value = key.split('.').reduce<unknown>((at, part) => (at as Record<string, unknown>)[part], values);
    return JSON.stringify(value);
  });
}

function rendered(values: Record<string, unknown>): ClusterObject[] {
  return chart
    .filter((file) => /^(crds|templates)\/.*\.yaml$/.test(file.path))
    .map((file) => parse(file.path.startsWith('crds/') ? file.content : render(file.content, values)) as ClusterObject);
}

const key = ({ kind, metadata }: ClusterObject): string => `${kind} ${metadata.namespace} ${metadata.name}`;
const sorted = (list: readonly ClusterObject[]): ClusterObject[] =>
  [...list].sort((a, b) => (key(a) < key(b) ? -1 : 1));

test('the chart with its own values is what kubectl apply -k applies, object by object', () => {
  expect(sorted(rendered(parse(content('values.yaml')) as Record<string, unknown>))).toEqual(sorted(objects));
});

test('each value reaches its place', () => {
  const values = {
    image: 'registry.example.com/holdfast:9',
    imagePullPolicy: 'Always',
    controllers: { replicas: 3 },
    tunnelServer: { settings: 'a: "{{ b }}"\n', kubeconfig: '{}' },
  };
  const find = (kind: string, name: string): ClusterObject =>
    rendered(values).find((object) => object.kind === kind && object.metadata.name === name)!;
  const container = { image: values.image, imagePullPolicy: 'Always' };
  const template = { spec: { containers: [container] } };
  expect(find('Deployment', 'holdfast-controllers')).toMatchObject({ spec: { replicas: 3, template } });
  expect(find('DaemonSet', 'holdfast-tunnel-server')).toMatchObject({ spec: { template } });
  expect(find('ConfigMap', 'holdfast-tunnel-server')).toMatchObject({
    data: { 'tunnel-server.yaml': 'a: "{{ b }}"\n', kubeconfig: '{}' },
  });
});

test('a value whose place is gone stops the release', () => {
  const without = objects.filter(({ kind }) => kind !== 'Deployment');
  expect(() => chartFiles(without, '1', stringify)).toThrow('controllers.replicas has no place');
});
