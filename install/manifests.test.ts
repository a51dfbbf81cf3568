import { readFileSync } from 'node:fs';
import path from 'node:path';
import { resourceOf } from './kinds.ts';
import { imagesOf, nameOf, readManifests, withImage } from './manifests.ts';

const config = path.join(__dirname, '..', 'config');
const objects = readManifests((file) => readFileSync(path.join(config, file), 'utf8'));

test('config/ is read whole: a namespace before what is in it, and everything labelled as ours', () => {
  const names = objects.map(nameOf);
  expect(names[0]).toBe('Namespace holdfast-pools');
  expect(names).toContain('Deployment kube-system/holdfast-controllers');
  expect(names).toContain('DaemonSet kube-system/holdfast-tunnel-server');
  expect(new Set(names).size).toBe(names.length);
  for (const object of objects) {
    expect(resourceOf(object).namespaced).toBe(object.metadata.namespace !== undefined);
    expect(object.metadata.labels).toMatchObject({ 'app.kubernetes.io/part-of': 'holdfast' });
  }
});

test('the image is of this version, and another one takes its place everywhere', () => {
  const { version } = JSON.parse(readFileSync(path.join(__dirname, '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  expect(imagesOf(objects)).toEqual([`localhost/holdfast:${version}`]);
  const other = withImage(objects, 'registry.example.com/holdfast:9');
  expect(imagesOf(other)).toEqual(['registry.example.com/holdfast:9']);
  expect(other.map(nameOf)).toEqual(objects.map(nameOf));
});

test('what kustomize would do and this does not is refused, with the file', () => {
  const files: Record<string, string> = {
    'kustomization.yaml': 'resources: [a]',
    'a/kustomization.yaml': 'resources: []\nnamePrefix: x-',
  };
  expect(() => readManifests((file) => files[file] ?? '')).toThrow('config/a/kustomization.yaml: namePrefix');
  files['a/kustomization.yaml'] = 'resources: [b.yaml]';
  files['a/b.yaml'] = 'kind: {';
  expect(() => readManifests((file) => files[file] ?? '')).toThrow('config/a/b.yaml');
});
