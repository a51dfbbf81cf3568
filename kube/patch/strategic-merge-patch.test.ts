// The answers come from k8s.io/apimachinery's own strategicpatch: kube/schema/generate/patchcases.go.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { PatchError, UnknownKindError } from '../errors.ts';
import type { KubeObject, TypeMeta } from '../wire.ts';
import { applyStrategicMergePatch } from './strategic-merge-patch.ts';

interface PatchCase extends TypeMeta {
  name: string;
  original: KubeObject;
  patch: KubeObject;
  result: KubeObject | null;
}

const cases = JSON.parse(
  gunzipSync(readFileSync(path.join(__dirname, 'strategic-merge-patch.cases.json.gz'))).toString(),
) as PatchCase[];

const named = cases.map((one, at) => [`${at} ${one.kind}: ${one.name}`, one] as const);

test.each(named.filter(([, one]) => one.result !== null))('patches as Go does: %s', (_name, one) => {
  const before = JSON.stringify([one.original, one.patch]);
  expect(applyStrategicMergePatch(one, one.original, one.patch)).toEqual(one.result);
  expect(JSON.stringify([one.original, one.patch])).toBe(before);
});

test.each(named.filter(([, one]) => one.result === null))('refuses as Go does: %s', (_name, one) => {
  expect(() => applyStrategicMergePatch(one, one.original, one.patch)).toThrow(PatchError);
});

test('the cases hold both accepted and refused patches', () => {
  expect(cases.filter((one) => one.result === null).length).toBeGreaterThanOrEqual(5);
  expect(cases.filter((one) => one.result !== null).length).toBeGreaterThan(50);
});

test('a kind without schema has no strategic merge patch', () => {
  expect(() => applyStrategicMergePatch({ apiVersion: 'example.com/v1', kind: 'Thing' }, {}, {})).toThrow(
    UnknownKindError,
  );
});
