import { nodePod, podName, podState, type NodePod } from './node-pod.ts';

const status = (state: object, phase = 'Running'): Pick<NodePod, 'status'> => ({
  status: { phase, containerStatuses: [{ state }] },
});

test('the pod runs on its node whatever the scheduler would say, without a token, and with no more rights than files and chroot ask for', () => {
  const { spec } = nodePod({
    node: 'a1',
    image: 'localhost/holdfast:1',
    args: ['convert', '--timeout', '90'],
  }) as unknown as {
    spec: Record<string, unknown> & { containers: [{ securityContext: object; args: string[] }] };
  };
  expect(spec).toMatchObject({ nodeName: 'a1', restartPolicy: 'Never', automountServiceAccountToken: false });
  expect(spec).toMatchObject({ hostPID: true, hostNetwork: true });
  expect(spec.containers[0].args).toEqual(['on-host', 'convert', '--timeout', '90']);
  expect(spec.containers[0].securityContext).toMatchObject({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'], add: ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'SYS_CHROOT'] },
  });
  expect(spec.containers[0].securityContext).not.toHaveProperty('privileged');
});

test('names of pods are names of pods, and differ as those of their nodes do', () => {
  const long = `${'a'.repeat(63)}.`.repeat(3);
  expect(podName('a1')).toBe('holdfast-on-a1');
  const names = [`${long}${'b'.repeat(60)}`, `${long}${'c'.repeat(60)}`].map(podName);
  expect(new Set(names).size).toBe(2);
  for (const name of names) {
    expect(name.length).toBeLessThanOrEqual(253);
    expect(name).toMatch(/^[a-z0-9.-]*[a-z0-9]$/);
  }
});

test.each([
  ['nothing is known yet', {}, { kind: 'waiting', lasting: false }],
  [
    'its image is being had',
    status({ waiting: { reason: 'ContainerCreating' } }, 'Pending'),
    { kind: 'waiting', lasting: false },
  ],
  [
    'its image cannot be had',
    status({ waiting: { reason: 'ImagePullBackOff', message: 'no route' } }, 'Pending'),
    { kind: 'waiting', lasting: true, why: 'ImagePullBackOff: no route' },
  ],
  ['it runs', status({ running: {} }), { kind: 'running' }],
  [
    'it has ended',
    status({ terminated: { exitCode: 3, reason: 'Error', message: 'refused' } }, 'Failed'),
    { kind: 'ended', exitCode: 3, message: 'refused' },
  ],
  [
    'its program could not be started',
    status({ terminated: { exitCode: 128, reason: 'StartError', message: 'exec format error' } }, 'Failed'),
    { kind: 'ended', exitCode: undefined, message: 'exec format error' },
  ],
  [
    'the kubelet did not let it in',
    { status: { phase: 'Failed', reason: 'OutOfpods', message: 'too many' } },
    { kind: 'ended', exitCode: undefined, message: 'OutOfpods: too many' },
  ],
])('%s', (_, pod, expected) => {
  expect(podState(pod)).toMatchObject(expected);
});
