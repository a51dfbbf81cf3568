import { collectionOf, shownBy, sliceType, wires } from './filter-fixture.ts';
import { localPod, LocalPods } from './local-pods.ts';
import { StandInEndpointsFilter } from './stand-in-endpoints.ts';
import { StandIns, standInLabel } from './stand-ins.ts';

const podType = { apiVersion: 'v1', kind: 'Pod' };
let standIns: StandIns;
let localPods: LocalPods;
let filter: StandInEndpointsFilter;
beforeEach(() => {
  standIns = new StandIns();
  localPods = new LocalPods();
  filter = new StandInEndpointsFilter('edge1', { standIns: () => standIns, pods: localPods });
});

const statusOf = (ip: string, ready: boolean): Record<string, unknown> => ({
  phase: 'Running',
  podIP: ip,
  podIPs: [{ ip }, { ip: 'fd00::5' }],
  conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
});
const ports = [
  { name: 'dns', containerPort: 53, protocol: 'UDP' },
  { name: 'dns-tcp', containerPort: 53 },
  { containerPort: 8080 },
];
interface Shape {
  readonly ip?: string;
  readonly ready?: boolean;
  readonly label?: string | undefined;
  readonly deletionTimestamp?: string;
  readonly namespace?: string;
}
function pod(name: string, shape: Shape = {}, wire: (typeof wires)[number] = wires[0]): string[] {
  const { ip = '10.244.1.7', ready = true, namespace = 'kube-system', deletionTimestamp } = shape;
  const label = 'label' in shape ? shape.label : 'kube-dns';
  const object = {
    metadata: {
      name,
      namespace,
      uid: `uid-of-${name}`,
      labels: { app: 'dns', ...(label === undefined ? {} : { [standInLabel]: label }) },
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    },
    spec: { containers: [{ name: 'coredns', image: 'coredns', ports }] },
    status: statusOf(ip, ready),
  };
  return standIns.put(wire, namespace, name, wire.encode(podType, object));
}
const slice = (change: Record<string, unknown> = {}): Record<string, unknown> => ({
  metadata: { name: 'kube-dns-1', namespace: 'kube-system', labels: { 'kubernetes.io/service-name': 'kube-dns' } },
  addressType: 'IPv4',
  endpoints: [{ addresses: ['10.244.0.2'], nodeName: 'cp1', conditions: { ready: true } }],
  ports: [{ name: 'dns', port: 53, protocol: 'UDP' }],
  ...change,
});
const shown = (object = slice()): unknown => shownBy(filter, sliceType, object, collectionOf(sliceType));
const addresses = (object = slice()): unknown => {
  const result = shown(object);
  if (typeof result !== 'object') return result;
  return (result as { endpoints: { addresses: string[] }[] }).endpoints.flatMap((endpoint) => endpoint.addresses);
};

test('a ready pod of this node answers in place of all others, at the ports that the Service has', () => {
  pod('dns-a');
  expect(shown()).toMatchObject({
    metadata: slice()['metadata'],
    endpoints: [
      {
        addresses: ['10.244.1.7'],
        conditions: { ready: true, serving: true, terminating: false },
        nodeName: 'edge1',
        targetRef: { kind: 'Pod', namespace: 'kube-system', name: 'dns-a', uid: 'uid-of-dns-a' },
      },
    ],
    ports: [{ name: 'dns', port: 53, protocol: 'UDP' }],
  });
});

test('with no pod elsewhere, the ports are those that the pod names', () => {
  pod('dns-a');
  expect(shown(slice({ endpoints: null, ports: [] }))).toMatchObject({
    ports: [
      { name: 'dns', port: 53, protocol: 'UDP' },
      { name: 'dns-tcp', port: 53, protocol: 'TCP' },
    ],
  });
});

test.each<[string, Shape]>([
  ['is not ready', { ready: false }],
  ['is about to end', { deletionTimestamp: '2026-01-01T00:00:00Z' }],
  ['says nothing', { label: undefined }],
  ['names no Service', { label: '' }],
  ['names another Service', { label: 'other' }],
  ['is of another namespace', { namespace: 'shop' }],
])('the cloud’s endpoints stay where the pod %s', (_why, shape) => {
  pod('dns-a', shape);
  expect(shown()).toBe('as it is');
});

test('two that are ready answer both, as during an update', () => {
  pod('dns-a');
  pod('dns-b', { ip: '10.244.1.8' });
  expect(addresses()).toEqual(['10.244.1.7', '10.244.1.8']);
});

test('a slice of IPv6 addresses gets the pod’s IPv6 address', () => {
  pod('dns-a');
  expect(addresses(slice({ addressType: 'IPv6', endpoints: [] }))).toEqual(['fd00::5']);
});

test('what the kubelet said while the cloud was out of reach counts more than what the cloud has', () => {
  pod('dns-a', { ip: '10.244.1.2', ready: false });
  localPods.set(localPod('uid-of-dns-a', statusOf('10.244.1.9', true)));
  expect(addresses()).toEqual(['10.244.1.9']);
  localPods.set(localPod('uid-of-dns-a', statusOf('10.244.1.9', false)));
  expect(addresses()).toBe('as it is');
});

test.each(wires)('which Services are answered otherwise is said once, in $encoding', (wire) => {
  expect(pod('dns-a', {}, wire)).toEqual(['kube-dns']);
  expect(pod('dns-a', {}, wire)).toEqual([]);
  expect(pod('web', { label: undefined }, wire)).toEqual([]);
  expect(new Set(pod('dns-a', { ready: false }, wire))).toEqual(new Set(['kube-dns']));
  expect(standIns.services()).toEqual(['kube-dns']);
  expect(standIns.remove('kube-system', 'dns-a')).toEqual(['kube-dns']);
  expect(standIns.remove('kube-system', 'dns-a')).toEqual([]);
  expect(standIns.empty).toBe(true);
});
