import { commandWords, startOrder, Unit } from './unit-file.ts';

const kubelet = '[Service]\nExecStart=/usr/bin/kubelet\nRestart=always\nRestartSec=10\n';
const kubeadm = `[Service]
# A comment=that is none
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/b --kubeconfig=/k"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/missing
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_KUBEADM_ARGS $UNSET --x=\${UNSET}
`;
const read = (file: string): string | undefined =>
  file === '/var/lib/kubelet/kubeadm-flags.env' ? 'KUBELET_KUBEADM_ARGS="--node-ip=1.2.3.4 --a=b"\n' : undefined;

test("kubeadm's drop-in gives the kubelet's command line", () => {
  const unit = new Unit([kubelet, kubeadm]);
  expect(unit.all('ExecStart')).toHaveLength(1);
  expect(commandWords(unit.last('ExecStart'), unit.environment(read))).toEqual([
    '/usr/bin/kubelet',
    '--bootstrap-kubeconfig=/b',
    '--kubeconfig=/k',
    '--node-ip=1.2.3.4',
    '--a=b',
    '--x=',
  ]);
  expect(unit.duration('RestartSec', 1)).toBe(10_000);
});

test('a later drop-in replaces a variable of an earlier one', () => {
  const unit = new Unit([kubelet, kubeadm, '[Service]\nEnvironment="KUBELET_KUBECONFIG_ARGS=--kubeconfig=/other"\n']);
  expect(unit.environment(read)['KUBELET_KUBECONFIG_ARGS']).toBe('--kubeconfig=/other');
});

test('a missing environment file without a dash is an error', () => {
  expect(() => new Unit(['EnvironmentFile=/missing']).environment(read)).toThrow('there is no /missing');
});

test('units start after those that they name, and before those', () => {
  const units = new Map([
    ['a.service', new Unit(['After=network.target z.service'])],
    ['m.service', new Unit(['Before=a.service'])],
    ['z.service', new Unit([''])],
  ]);
  expect(startOrder(units)).toEqual(['z.service', 'm.service', 'a.service']);
});
