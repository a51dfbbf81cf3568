import { jsonWire } from '../../kube/json/json-wire.ts';
import { protobufWire } from '../../kube/protobuf/protobuf-wire.ts';
import { ImagePullPolicyFilter, keepPullPolicyAnnotation, withLocalImages } from './image-pull-policy.ts';

const pod = (
  annotations: Record<string, string> = {},
): { metadata: object; spec: { containers: object[]; initContainers: object[]; restartPolicy: string } } => ({
  metadata: { name: 'web', annotations },
  spec: {
    restartPolicy: 'Always',
    initContainers: [{ name: 'init', imagePullPolicy: 'Always' }],
    containers: [
      { name: 'a', imagePullPolicy: 'Always' },
      { name: 'b', imagePullPolicy: 'Never' },
    ],
  },
});

test('Always becomes IfNotPresent in every container, and nothing else changes', () => {
  const changed = pod();
  expect(withLocalImages(changed)).toBe(true);
  expect(changed.spec).toEqual({
    restartPolicy: 'Always',
    initContainers: [{ name: 'init', imagePullPolicy: 'IfNotPresent' }],
    containers: [
      { name: 'a', imagePullPolicy: 'IfNotPresent' },
      { name: 'b', imagePullPolicy: 'Never' },
    ],
  });
});

test('a pod whose annotation says so keeps its policy', () => {
  const kept = pod({ [keepPullPolicyAnnotation]: 'true' });
  expect(withLocalImages(kept)).toBe(false);
  expect(kept).toEqual(pod({ [keepPullPolicyAnnotation]: 'true' }));
});

test('a pod without Always is reported as unchanged', () => {
  expect(
    withLocalImages({ metadata: {}, spec: { containers: [{ name: 'a', imagePullPolicy: 'IfNotPresent' }] } }),
  ).toBe(false);
});

test.each([jsonWire, protobufWire])('shows the changed pod only while cut off ($encoding)', (wire) => {
  const typeMeta = { apiVersion: 'v1', kind: 'Pod' };
  const bytes = wire.encode(typeMeta, { ...typeMeta, ...pod() });
  let cutOff = false;
  const filter = new ImagePullPolicyFilter(() => cutOff);
  expect(filter.apply(wire, bytes)).toBe(bytes);
  cutOff = true;
  const shown = wire.decode(typeMeta, filter.apply(wire, bytes));
  expect(shown).toMatchObject({ spec: { initContainers: [{ imagePullPolicy: 'IfNotPresent' }] } });
});
