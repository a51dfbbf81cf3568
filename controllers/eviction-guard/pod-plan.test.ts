import { fateOf, isKept, stayOf } from './pod-plan.ts';
import { guardedPod } from './objects.testing.ts';

const metadata = guardedPod().metadata;

test.each([
  ['of a Deployment', {}, 'delete'],
  ['of a Job', { controlledBy: 'Job' }, 'delete'],
  ['of a StatefulSet', { controlledBy: 'StatefulSet' }, 'needsFencing'],
  ['of a Deployment with a claim', { hasClaims: true }, 'needsFencing'],
  ['of a DaemonSet', { controlledBy: 'DaemonSet' }, 'ofNode'],
  ['from a file on the node', { isStatic: true, controlledBy: 'Node' }, 'ofNode'],
  ['of nobody', { controlledBy: undefined }, 'bare'],
  ['that has ended', { isOver: true }, 'gone'],
  ['that is being deleted', { metadata: { ...metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }, 'gone'],
  [
    'whose owner wants stock behaviour',
    { metadata: { ...metadata, annotations: { 'holdfast.dev/eviction': 'stock' } } },
    'optedOut',
  ],
])('a pod %s on a dead node', (_, change, fate) => {
  expect(fateOf(guardedPod(change))).toBe(fate);
});

test('every pod that would be evicted is kept on a node that is cut off, also those that nobody would make again', () => {
  expect(isKept(guardedPod())).toBe(true);
  expect(isKept(guardedPod({ controlledBy: undefined }))).toBe(true);
  expect(isKept(guardedPod({ controlledBy: 'StatefulSet' }))).toBe(true);
  expect(isKept(guardedPod({ controlledBy: 'DaemonSet' }))).toBe(false);
  expect(isKept(guardedPod({ isOver: true }))).toBe(false);
});

test.each([
  ['the default in a pool of several', undefined, undefined, 2, 86_400],
  ['nothing in a pool of one', undefined, undefined, 1, undefined],
  ["the pool's, also in a pool of one", undefined, 7200, 1, 7200],
  ["the node's before the pool's", '36h', 7200, 3, 129_600],
  ['no end, which is ten years', '0', undefined, 1, 315_360_000],
  ['a fraction, rounded up', '1500ms', undefined, 3, 2],
])('pods stay: %s', (_, node, pool, size, seconds) => {
  expect(stayOf(node, pool, size, 86_400)).toEqual({ seconds, problem: undefined });
});

test('an annotation that cannot be read is named, and the pool counts', () => {
  expect(stayOf('2d', 7200, 3, 86_400)).toEqual({
    seconds: 7200,
    problem: 'annotation node.openyurt.io/autonomy-duration must be a duration such as 24h, is "2d"',
  });
});
