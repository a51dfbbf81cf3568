import { progressOf } from './progress.ts';
import type { Workload, WorkloadKind } from './types.ts';

const nowMs = Date.parse('2026-11-21T12:00:00Z');
const options = { nowMs, poolDeadlineSeconds: 600, readyNodes: undefined };

function workload(kind: WorkloadKind, spec: object, status: object, started = '2026-11-21T11:55:00Z'): Workload {
  const annotations = { 'holdfast.dev/rollout-started': started };
  return {
    kind,
    metadata: { name: 'w', generation: 2, annotations },
    spec: { ...spec },
    status: { observedGeneration: 2, ...status },
  };
}
const done = { replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2 };

test.each([
  ['all new and available', { replicas: 2 }, done, true],
  ['its controller has not seen it', { replicas: 2 }, { ...done, observedGeneration: 1 }, false],
  ['old pods are still there', { replicas: 2 }, { ...done, replicas: 3 }, false],
  ['a new one is missing', { replicas: 2 }, { ...done, updatedReplicas: 1 }, false],
  ['one is not available', { replicas: 2 }, { ...done, availableReplicas: 1 }, false],
  ['scaled to none', { replicas: 0 }, {}, true],
  ['replicas left to the default of one', {}, { replicas: 1, updatedReplicas: 1, availableReplicas: 1 }, true],
])('Deployment, %s', (_, spec, status, complete) => {
  expect(progressOf(workload('Deployment', spec, status), options).complete).toBe(complete);
});

test.each([
  ['all new and available', { replicas: 2 }, done, true],
  ['one is still old', { replicas: 2 }, { ...done, updatedReplicas: 1 }, false],
  [
    'one stays old by its partition',
    { replicas: 2, updateStrategy: { rollingUpdate: { partition: 1 } } },
    { ...done, updatedReplicas: 1 },
    true,
  ],
  [
    'pods change when they are deleted',
    { replicas: 2, updateStrategy: { type: 'OnDelete' } },
    { ...done, updatedReplicas: 0 },
    true,
  ],
  ['not all made yet', { replicas: 2 }, { ...done, replicas: 1 }, false],
])('StatefulSet, %s', (_, spec, status, complete) => {
  expect(progressOf(workload('StatefulSet', spec, status), options).complete).toBe(complete);
});

const onAll = { desiredNumberScheduled: 3, updatedNumberScheduled: 3, numberReady: 3, numberAvailable: 3 };
test.each([
  ['all new and available', onAll, 3, true],
  ['one node is not done', { ...onAll, updatedNumberScheduled: 2, numberAvailable: 2 }, 3, false],
  ['the one that is not done is not ready', { ...onAll, updatedNumberScheduled: 2, numberAvailable: 2 }, 2, true],
  ['nodes that are not ready are not counted by Kubernetes either', { ...onAll, numberAvailable: 2 }, 5, false],
  ['nobody has counted the nodes', { ...onAll, numberAvailable: 2 }, undefined, false],
  ['no node', {}, 0, true],
])('DaemonSet, %s', (_, status, readyNodes, complete) => {
  expect(progressOf(workload('DaemonSet', {}, status), { ...options, readyNodes }).complete).toBe(complete);
});

test('a pool fails when its time is over, or when its Deployment says so', () => {
  const unfinished = { ...done, availableReplicas: 0 };
  const conditions = [{ type: 'Progressing', reason: 'ProgressDeadlineExceeded', message: 'has timed out' }];
  const failure = (status: object, started?: string): string | undefined =>
    progressOf(workload('Deployment', { replicas: 2 }, status, started), options).failure;
  expect(failure(unfinished)).toBeUndefined();
  expect(failure(unfinished, '2026-11-21T11:50:00Z')).toBe('not complete 600 s after it got the template');
  expect(failure({ ...unfinished, conditions })).toBe('has timed out');
  expect(failure({ ...unfinished, conditions, observedGeneration: 1 })).toBeUndefined();
  expect(failure(done, '2026-11-21T11:50:00Z')).toBeUndefined();
});
