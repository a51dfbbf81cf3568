import { preflight, type NodeFacts } from './preflight.ts';

const well: NodeFacts = {
  isRoot: true,
  architecture: 'x64',
  freeBytes: 1e12,
  hasIp: true,
  busyPorts: [],
  archive: { version: '1.2.3', architecture: 'x64', damaged: [] },
  otherDistributions: [],
  hasSystemd: true,
  isControlPlane: false,
  kubelet: {
    server: 'https://192.0.2.1:6443',
    nodeName: 'edge-1',
    certificateFile: '/var/lib/kubelet/pki/current.pem',
  },
  kubeletUnit: { loaded: true, active: true },
  usedKubeconfig: '/etc/kubernetes/kubelet.conf',
  node: { ready: true, kubeletVersion: 'v1.34.4' },
  mayReadKeys: true,
  kubeProxyPods: 1,
  strayFiles: [],
};

function verdicts(facts: Partial<NodeFacts>): string[] {
  return preflight({ ...well, ...facts })
    .filter(({ verdict }) => verdict !== 'ok')
    .map(({ name, verdict }) => `${name} ${verdict}`);
}

test('a worker of kubeadm that is well may be converted', () => {
  expect(verdicts({})).toEqual([]);
});

test.each<[what: string, facts: Partial<NodeFacts>, verdict: string]>([
  ['who is not root', { isRoot: false }, 'root refused'],
  ['a checkout', { archive: undefined }, 'archive refused'],
  ['an archive for another machine', { architecture: 'arm64' }, 'archive refused'],
  ['a damaged archive', { archive: { version: '1', architecture: 'x64', damaged: ['lib/node'] } }, 'archive refused'],
  [
    'a node of k3s',
    { otherDistributions: [{ name: 'k3s', file: '/var/lib/rancher/k3s/agent' }] },
    'distribution refused',
  ],
  ['a machine without systemd', { hasSystemd: false }, 'systemd refused'],
  ['a control-plane node', { isControlPlane: true }, 'role refused'],
  ['a machine that has not joined', { kubelet: { problem: 'kubelet.conf is not there' } }, 'kubelet.conf refused'],
  ['a kubelet that does not run', { kubeletUnit: { loaded: true, active: false } }, 'kubelet refused'],
  ['a kubelet with another kubeconfig', { usedKubeconfig: '/root/kubeconfig' }, 'kubelet refused'],
  ['a node that is not Ready', { node: { ready: false, kubeletVersion: 'v1.34.4' } }, 'cloud refused'],
  ['a cloud out of reach', { node: { problem: 'no route' } }, 'cloud refused'],
  ['an old kubelet', { node: { ready: true, kubeletVersion: 'v1.29.1' } }, 'version refused'],
  ['a kubelet that was not drilled', { node: { ready: true, kubeletVersion: 'v1.33.9' } }, 'version warning'],
  ['a cluster without the rights', { mayReadKeys: false }, 'rights warning'],
  ['a port that is taken', { busyPorts: [10261] }, 'ports refused'],
  ['a full disk', { freeBytes: 1e8 }, 'disk refused'],
  ['a machine without ip', { hasIp: false }, 'ip refused'],
  ['something else than kube-proxy', { kubeProxyPods: 0 }, 'kube-proxy warning'],
  ['a hub that was set up by hand', { strayFiles: ['/etc/holdfast/node.yaml'] }, 'leftovers refused'],
])('%s', (_what, facts, verdict) => {
  expect(verdicts(facts)).toEqual([verdict]);
});

test('whatever is not well comes with what to do', () => {
  const all = preflight({
    ...well,
    isRoot: false,
    archive: undefined,
    hasSystemd: false,
    hasIp: false,
    mayReadKeys: false,
  });
  for (const { name, verdict, fix } of all) expect([name, verdict === 'ok' || fix.length > 10]).toEqual([name, true]);
});
