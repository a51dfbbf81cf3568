import fc from 'fast-check';
import { originalTolerationAnnotation, type GuardedPod, type Toleration } from './objects.ts';
import { guardedPod } from './objects.testing.ts';
import { isShorter, planToleration, type PodPatch } from './tolerations.ts';

/** As the API server would, for a merge patch of these fields. */
function patched(pod: GuardedPod, patch: PodPatch | undefined): GuardedPod {
  if (patch === undefined) return pod;
  const annotations: Record<string, string> = { ...pod.metadata.annotations };
  for (const [key, value] of Object.entries(patch.metadata.annotations))
    if (value === null) delete annotations[key];
    else annotations[key] = value;
  return { ...pod, metadata: { ...pod.metadata, annotations }, tolerations: patch.spec.tolerations };
}
const set = (pod: GuardedPod, seconds: number | undefined): GuardedPod => patched(pod, planToleration(pod, seconds));
const unreachableSeconds = (pod: GuardedPod): (number | undefined)[] =>
  pod.tolerations.filter(({ key }) => key === 'node.kubernetes.io/unreachable').map((each) => each.tolerationSeconds);

test('the unreachable toleration is set, the other one is not, and what the pod had is written down in the same patch', () => {
  expect(planToleration(guardedPod(), 86_400)).toEqual({
    metadata: { uid: 'pod-uid', resourceVersion: '7', annotations: { [originalTolerationAnnotation]: '300' } },
    spec: {
      tolerations: [
        { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
        { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 86_400 },
      ],
    },
  });
});

test('what is so already is not written again, and the note of the original stays what it was', () => {
  const once = set(guardedPod(), 86_400);
  expect(planToleration(once, 86_400)).toBeUndefined();
  const longer = set(once, 200_000);
  expect(unreachableSeconds(longer)).toEqual([200_000]);
  expect(longer.metadata.annotations).toEqual({ [originalTolerationAnnotation]: '300' });
});

test('it is given back as it was, and the note goes', () => {
  const back = set(set(guardedPod(), 86_400), undefined);
  expect(back.tolerations).toEqual(guardedPod().tolerations);
  expect(back.metadata.annotations).toEqual({});
  expect(planToleration(back, undefined)).toBeUndefined();
});

test('a pod that tolerates for longer, or for ever, keeps that', () => {
  const toleration = { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' };
  for (const tolerations of [[{ ...toleration, tolerationSeconds: 100_000 }], [toleration], [{ operator: 'Exists' }]])
    expect(planToleration(guardedPod({ tolerations }), 86_400)).toBeUndefined();
});

test('a pod without one gets one, and afterwards one of no seconds: a toleration cannot be taken away', () => {
  const pod = guardedPod({ tolerations: [{ key: 'gpu', operator: 'Equal', value: 'yes', effect: 'NoSchedule' }] });
  const kept = set(pod, 3600);
  expect(kept.metadata.annotations).toEqual({ [originalTolerationAnnotation]: 'none' });
  expect(unreachableSeconds(kept)).toEqual([3600]);
  expect(unreachableSeconds(set(kept, undefined))).toEqual([0]);
});

test('when the wish becomes shorter than what the pod had, it has that again', () => {
  const tolerations = [
    { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5000 },
  ];
  const kept = set(guardedPod({ tolerations }), 86_400);
  expect(unreachableSeconds(set(kept, 60))).toEqual([5000]);
});

test('a note that no guard wrote changes nothing but itself', () => {
  const pod = guardedPod();
  const odd = { ...pod, metadata: { ...pod.metadata, annotations: { [originalTolerationAnnotation]: 'soon' } } };
  expect(planToleration(odd, 86_400)).toBeUndefined();
  expect(set(odd, undefined)).toEqual({ ...pod, metadata: { ...pod.metadata, annotations: {} } });
});

test('a patch that makes a pod leave earlier is known as such', () => {
  const kept = set(guardedPod(), 86_400);
  expect(isShorter(kept, planToleration(kept, undefined)!)).toBe(true);
  expect(isShorter(kept, planToleration(kept, 90_000)!)).toBe(false);
});

describe('whatever tolerations a pod has', () => {
  const toleration = fc.record(
    {
      key: fc.constantFrom('', 'node.kubernetes.io/unreachable', 'node.kubernetes.io/not-ready', 'gpu'),
      operator: fc.constantFrom('Exists', 'Equal'),
      value: fc.constantFrom('', 'x'),
      effect: fc.constantFrom('', 'NoExecute', 'NoSchedule'),
      tolerationSeconds: fc.integer({ min: 0, max: 10_000 }),
    },
    { requiredKeys: [], noNullPrototype: true },
  ) as fc.Arbitrary<Toleration>;
  const wishes = fc.array(fc.option(fc.integer({ min: 1, max: 20_000 }), { nil: undefined }), {
    minLength: 1,
    maxLength: 6,
  });
  /** For how long it stays on an unreachable node: Kubernetes' own rule, written again. */
  const stays = (pod: GuardedPod): number => {
    const taint = { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' };
    const used = pod.tolerations.filter(
      ({ key, operator, value, effect }) =>
        (!effect || effect === taint.effect) &&
        (operator === 'Exists' ? !key || key === taint.key : key === taint.key && !value),
    );
    if (used.length === 0) return 0;
    return Math.min(...used.map(({ tolerationSeconds }) => tolerationSeconds ?? Infinity));
  };

  test('after any wishes it stays as long as the last one says, never shorter than by itself, and restored it stays as before', () => {
    fc.assert(
      fc.property(fc.array(toleration, { maxLength: 4 }), wishes, (tolerations, some) => {
        const pod = guardedPod({ tolerations });
        let now = pod;
        for (const wish of some) {
          now = set(now, wish);
          expect(planToleration(now, wish)).toBeUndefined();
          expect(stays(now)).toBe(wish === undefined ? stays(pod) : Math.max(wish, stays(pod)));
          // All that Kubernetes lets others change.
          const fixed = (each: Toleration): Toleration => ({ ...each, tolerationSeconds: 0 });
          expect(now.tolerations.slice(0, tolerations.length).map(fixed)).toEqual(tolerations.map(fixed));
        }
        expect(stays(set(now, undefined))).toBe(stays(pod));
      }),
      { numRuns: 1000 },
    );
  });
});
