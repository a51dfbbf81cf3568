import { AnnotatedServices } from './annotated-services.ts';
import { endpointsType, serviceType, shownBy, sliceType, wires } from './filter-fixture.ts';
import { NodePools } from './pools.ts';
import { ServiceTopologyFilter, topologyAnnotation } from './service-topology.ts';

const [jsonWire] = wires;
let services: AnnotatedServices;
let pools: NodePools;
let filter: ServiceTopologyFilter;
beforeEach(() => {
  services = new AnnotatedServices();
  pools = new NodePools();
  pools.set('shop', ['edge1', 'edge2']);
  pools.set('depot', ['edge3']);
  filter = new ServiceTopologyFilter('edge1', services, pools);
});

function annotate(value: string, wire: (typeof wires)[number] = jsonWire): boolean {
  const service = { metadata: { name: 'web', namespace: 'shop', annotations: { [topologyAnnotation]: value } } };
  return services.put(wire, 'shop', 'web', wire.encode(serviceType, service));
}
/** Endpoints by node; a node with `!` has one that is not ready. */
const slice = (...nodes: string[]): Record<string, unknown> => ({
  metadata: { name: 'web-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  endpoints: nodes.map((node) => ({
    addresses: ['10.1.1.1'],
    nodeName: node.replace('!', ''),
    conditions: { ready: !node.endsWith('!') },
  })),
  ports: [{ name: 'http', port: 80 }],
});
function nodesShown(object: Record<string, unknown>): unknown {
  const shown = shownBy(filter, sliceType, object);
  if (typeof shown !== 'object') return shown;
  return (shown['endpoints'] as { nodeName: string }[]).map(({ nodeName }) => nodeName);
}

test.each([
  ['kubernetes.io/hostname', ['edge1']],
  ['openyurt.io/nodepool', ['edge1', 'edge2']],
  ['kubernetes.io/zone', ['edge1', 'edge2']],
  ['*', 'as it is'],
  ['something/else', 'as it is'],
  ['', 'as it is'],
])('with %j a slice is trimmed to %j', (value, expected) => {
  annotate(value);
  expect(nodesShown(slice('edge1', 'edge2', 'edge3'))).toEqual(expected);
});

test.each([
  [['edge1', 'edge2', 'edge3'], ['edge1']],
  [['edge2', 'edge3'], ['edge2']],
  [
    ['edge1!', 'edge2', 'edge3'],
    ['edge1', 'edge2'],
  ],
  [['edge3'], 'as it is'],
])('keys are tried in order, and only ready endpoints count: of %j %j', (nodes, expected) => {
  annotate('kubernetes.io/hostname, openyurt.io/nodepool, *');
  expect(nodesShown(slice(...nodes))).toEqual(expected);
});

test('with nobody near, nobody is asked, and who is near and not ready yet is still known', () => {
  annotate('openyurt.io/nodepool');
  expect(nodesShown(slice('edge3'))).toEqual([]);
  expect(nodesShown(slice('edge2!', 'edge3'))).toEqual(['edge2']);
});

test('a node of no pool is a pool by itself', () => {
  annotate('openyurt.io/nodepool');
  filter = new ServiceTopologyFilter('edge9', services, pools);
  expect(nodesShown(slice('edge1', 'edge8', 'edge9'))).toEqual(['edge9']);
});

test('Services that do not ask, or are of another namespace, are left alone', () => {
  annotate('kubernetes.io/hostname');
  const metadata = { name: 'web-1', namespace: 'other', labels: { 'kubernetes.io/service-name': 'web' } };
  expect(nodesShown({ ...slice('edge3'), metadata })).toBe('as it is');
  services.remove('shop', 'web');
  expect(nodesShown(slice('edge3'))).toBe('as it is');
});

test('Endpoints are trimmed likewise, and empty subsets go', () => {
  annotate('openyurt.io/nodepool');
  const at = (nodeName: string): object => ({ ip: '10.1.1.1', nodeName });
  const ports = [{ name: 'http', port: 80, protocol: 'TCP' }];
  const endpoints = {
    metadata: { name: 'web', namespace: 'shop' },
    subsets: [
      { addresses: [at('edge2'), at('edge3')], notReadyAddresses: [at('edge3')], ports },
      { addresses: [at('edge3')], ports },
    ],
  };
  const shown = shownBy(filter, endpointsType, endpoints) as { subsets: object[] };
  expect(shown.subsets).toHaveLength(1);
  expect(shown.subsets).toMatchObject([{ addresses: [at('edge2')], ports }]);
  expect(shown.subsets[0]).not.toHaveProperty('notReadyAddresses');
});

test.each(wires)('what a Service asks for is read in $encoding, and a change of mind is noticed once', (wire) => {
  expect(annotate('kubernetes.io/hostname', wire)).toBe(true);
  expect(annotate(' kubernetes.io/hostname ', wire)).toBe(false);
  expect(services.reachesOf('shop', 'web')).toEqual(['node']);
  expect(services.names()).toEqual(['web']);
  expect(annotate('', wire)).toBe(true);
  expect(services.reachesOf('shop', 'web')).toBeUndefined();
});
