// Services that are shown otherwise: load balancers of the cloud, node ports of other pools.
import { discardAnnotation, LoadBalancerFilter } from './load-balancers.ts';
import { serviceType, shownBy } from './filter-fixture.ts';
import { listenAnnotation, listens, NodePortFilter } from './node-ports.ts';
import { NodePools } from './pools.ts';

const service = (type: string, annotations: Record<string, string>): Record<string, unknown> => ({
  metadata: { name: 'web', namespace: 'shop', annotations },
  spec: {
    type,
    clusterIP: '10.96.0.7',
    externalTrafficPolicy: 'Local',
    healthCheckNodePort: 30100,
    ports: [{ name: 'http', port: 80, protocol: 'TCP', nodePort: 30080, targetPort: 8080 }],
  },
  status: { loadBalancer: { ingress: [{ ip: '203.0.113.7' }] } },
});

test('a load balancer that is the cloud’s by its annotation is hidden; others, and other Services, are not', () => {
  const filter = new LoadBalancerFilter();
  expect(shownBy(filter, serviceType, service('LoadBalancer', { [discardAnnotation]: 'true' }))).toBeUndefined();
  expect(shownBy(filter, serviceType, service('LoadBalancer', {}))).toBe('as it is');
  expect(shownBy(filter, serviceType, service('LoadBalancer', { [discardAnnotation]: 'false' }))).toBe('as it is');
  expect(shownBy(filter, serviceType, service('ClusterIP', { [discardAnnotation]: 'true' }))).toBe('as it is');
});

test.each([
  ['shop', true],
  ['depot,shop', true],
  ['depot', false],
  ['-shop', false],
  ['*', true],
  ['-shop, *', false],
  ['-depot, *', true],
  ['shop,-shop', true],
  ['-shop,shop', false],
  ['', false],
])('of pools %j, shop listens: %s', (annotation, expected) => {
  expect(
    listens(
      annotation.split(',').map((entry) => entry.trim()),
      'shop',
    ),
  ).toBe(expected);
});

describe('node ports', () => {
  const pools = new NodePools();
  pools.set('shop', ['edge1']);
  pools.set('depot', ['edge2']);

  test.each(['NodePort', 'LoadBalancer'])('of another pool are closed: the %s is a ClusterIP here', (type) => {
    const filter = new NodePortFilter('edge1', () => pools);
    const shown = shownBy(filter, serviceType, service(type, { [listenAnnotation]: 'depot' }));
    expect(shown).toMatchObject({
      spec: { type: 'ClusterIP', clusterIP: '10.96.0.7', ports: [{ name: 'http', port: 80 }] },
      status: { loadBalancer: {} },
    });
    expect(JSON.stringify(shown)).not.toMatch(/nodePort|externalTrafficPolicy|healthCheckNodePort|203\.0\.113\.7/);
  });

  test('of this pool stay, as do those that do not say, and those on a node of no pool', () => {
    const ours = service('NodePort', { [listenAnnotation]: 'shop' });
    expect(shownBy(new NodePortFilter('edge1', () => pools), serviceType, ours)).toBe('as it is');
    expect(shownBy(new NodePortFilter('edge1', () => pools), serviceType, service('NodePort', {}))).toBe('as it is');
    const depots = service('NodePort', { [listenAnnotation]: 'depot' });
    expect(shownBy(new NodePortFilter('edge9', () => pools), serviceType, depots)).toBe('as it is');
    const inside = service('ClusterIP', { [listenAnnotation]: 'depot' });
    expect(shownBy(new NodePortFilter('edge1', () => pools), serviceType, inside)).toBe('as it is');
  });
});

test('a node that two pools name is of the first by name, and moves on when that one is gone', () => {
  const pools = new NodePools();
  expect(pools.set('b', ['edge1'])).toBe(true);
  expect(pools.set('a', ['edge1', 'edge2'])).toBe(true);
  expect(pools.poolOf('edge1')).toBe('a');
  expect(pools.set('a', ['edge1', 'edge2'])).toBe(false);
  expect(pools.delete('a')).toBe(true);
  expect([pools.poolOf('edge1'), pools.poolOf('edge2')]).toEqual(['b', undefined]);
  expect(pools.delete('a')).toBe(false);
});
