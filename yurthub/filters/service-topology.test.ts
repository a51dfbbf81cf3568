import { AnnotatedServices } from './annotated-services.ts';
import { collectionOf, endpointsType, serviceType, shownBy, sliceType, wires } from './filter-fixture.ts';
import { NodePools } from './pools.ts';
import { ServiceTopologyFilter, superEdgeTopologyAnnotation, topologyAnnotation } from './service-topology.ts';

const [jsonWire] = wires;
let services: AnnotatedServices;
let pools: NodePools;
let filter: ServiceTopologyFilter;
let changed: string[];
const onNode = (nodeName: string): ServiceTopologyFilter =>
  new ServiceTopologyFilter(nodeName, {
    services: () => services,
    pools: () => pools,
    onChange: (service) => changed.push(service),
  });
beforeEach(() => {
  services = new AnnotatedServices();
  pools = new NodePools();
  pools.set('shop', ['edge1', 'edge2']);
  pools.set('depot', ['edge3']);
  changed = [];
  filter = onNode('edge1');
});

function annotate(value: string, wire: (typeof wires)[number] = jsonWire, key = topologyAnnotation): boolean {
  const service = { metadata: { name: 'web', namespace: 'shop', annotations: { [key]: value } } };
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
function nodesShown(object: Record<string, unknown>, collection = collectionOf(sliceType)): unknown {
  const shown = shownBy(filter, sliceType, object, collection);
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
  ['["site"]', ['edge1', 'edge2']],
  ['["kubernetes.io/hostname"]', ['edge1']],
  ['["site","*"]', ['edge1', 'edge2']],
  ['["*"]', 'as it is'],
  ['[]', 'as it is'],
  ['[7]', 'as it is'],
  ['site', 'as it is'],
])("with %j in SuperEdge's annotation a slice is trimmed to %j", (value, expected) => {
  for (const wire of wires) {
    annotate(value, wire, superEdgeTopologyAnnotation);
    expect(nodesShown(slice('edge1', 'edge2', 'edge3'))).toEqual(expected);
  }
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
  filter = onNode('edge9');
  expect(nodesShown(slice('edge1', 'edge8', 'edge9'))).toEqual(['edge9']);
});

test('Services that do not ask, or are of another namespace, are left alone', () => {
  annotate('kubernetes.io/hostname');
  const metadata = { name: 'web-1', namespace: 'other', labels: { 'kubernetes.io/service-name': 'web' } };
  expect(nodesShown({ ...slice('edge3'), metadata })).toBe('as it is');
  services.remove('shop', 'web');
  expect(nodesShown(slice('edge3'))).toBe('as it is');
});

describe('a Service of several slices', () => {
  const view = collectionOf(sliceType);
  const first = (...nodes: string[]): unknown => nodesShown(slice(...nodes), view);
  const another = (...nodes: string[]): Record<string, unknown> => ({
    ...slice(...nodes),
    metadata: { name: 'web-2', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
  });
  const second = (...nodes: string[]): unknown => nodesShown(another(...nodes), view);
  beforeEach(() => annotate('kubernetes.io/hostname, openyurt.io/nodepool, *'));

  test('reaches as far as it has to by all of them, and has the others looked at again', () => {
    expect(first('edge3', 'edge4')).toBe('as it is');
    expect(changed).toEqual([]);
    expect(second('edge2', 'edge5')).toEqual(['edge2']);
    expect(changed).toEqual(['web']);
    expect(first('edge3', 'edge4')).toEqual([]);
    expect(changed).toEqual(['web']);
  });

  test('reaches farther again when what was near is gone', () => {
    first('edge3');
    second('edge1');
    expect(first('edge3')).toEqual([]);
    changed = [];
    filter.gone(view, 'shop', 'web-2');
    expect(changed).toEqual(['web']);
    expect(first('edge3')).toBe('as it is');
  });

  test('of IPv6 addresses decides apart', () => {
    first('edge1');
    expect(nodesShown({ ...another('edge3'), addressType: 'IPv6' }, view)).toBe('as it is');
  });

  test('two views decide apart: one of them may be held up, and they would never agree', () => {
    first('edge1');
    const other = collectionOf(sliceType);
    expect(nodesShown(slice('edge3'), other)).toBe('as it is');
    expect(first('edge1', 'edge3')).toEqual(['edge1']);
    expect(changed).toEqual([]);
  });

  test('hears of no slice that is none of its own', () => {
    first('edge1');
    filter.gone(view, 'other', 'web-1');
    filter.gone(collectionOf(sliceType), 'shop', 'web-1');
    expect(changed).toEqual([]);
  });
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
