import { podProblem, type Pod } from './readiness.ts';

const metadata = { name: 'holdfast-controllers-1', uid: '1', resourceVersion: '1' };
const pod = (status: NonNullable<Pod['status']>, nodeName?: string): Pod => ({
  metadata,
  ...(nodeName === undefined ? {} : { spec: { nodeName } }),
  status,
});
const waiting = (reason: string, message?: string): NonNullable<Pod['status']> => ({
  containerStatuses: [{ ready: false, state: { waiting: { reason, ...(message === undefined ? {} : { message }) } } }],
});

test('why a pod is not ready is said in the words of the cluster, with what to do', () => {
  expect(podProblem(pod({ containerStatuses: [{ ready: true }] }, 'cp1'))).toBe('');
  expect(podProblem(pod(waiting('ImagePullBackOff'), 'cp1'))).toMatch(
    /on cp1: the image is not on that host.*ctr -n k8s\.io images import/,
  );
  expect(podProblem(pod(waiting('CreateContainerConfigError', 'secret "x" not found'), 'cp1'))).toContain(
    'secret "x" not found',
  );
  const unschedulable = { type: 'PodScheduled', status: 'False', message: '0/3 nodes are available' };
  expect(podProblem(pod({ conditions: [unschedulable] }))).toBe(
    'holdfast-controllers-1 is not scheduled: 0/3 nodes are available',
  );
  const crashed = {
    containerStatuses: [
      { ready: false, state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: { terminated: { exitCode: 1 } } },
    ],
  };
  expect(podProblem(pod(crashed, 'cp1'))).toContain('its last run ended with 1: kubectl -n kube-system logs');
  const terminated = { exitCode: 1, message: 'started\nlisten EADDRINUSE: address already in use 0.0.0.0:10262\n' };
  const withWords = { containerStatuses: [{ ready: false, lastState: { terminated } }] };
  expect(podProblem(pod(withWords, 'cp1'))).toContain(
    'ended with 1 (listen EADDRINUSE: address already in use 0.0.0.0:10262)',
  );
});
