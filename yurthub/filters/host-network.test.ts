import { collectionOf, shownBy } from './filter-fixture.ts';
import { HostNetworkFilter } from './host-network.ts';

const podType = { apiVersion: 'v1', kind: 'Pod' };
const pod = (spec: object = {}): Record<string, unknown> => ({
  ...podType,
  metadata: { name: 'till', namespace: 'default' },
  spec: { nodeName: 'edge1', containers: [{ name: 'till', image: 'till:1' }], ...spec },
});
const kubelets = collectionOf(podType, { resource: 'pods', fieldSelector: 'spec.nodeName=edge1' });

test('on a node of a host-network pool every pod uses the network of the host, and on any other none is touched', () => {
  let isHostNetwork = true;
  const filter = new HostNetworkFilter('edge1', () => isHostNetwork);
  const shown = shownBy(filter, podType, pod(), kubelets);
  expect(shown).toMatchObject({
    spec: { nodeName: 'edge1', hostNetwork: true, containers: [{ name: 'till', image: 'till:1' }] },
  });
  expect(shownBy(filter, podType, pod({ hostNetwork: true }), kubelets)).toBe('as it is');
  isHostNetwork = false;
  expect(shownBy(filter, podType, pod(), kubelets)).toBe('as it is');
});

test.each([
  ['every pod of the cluster', ''],
  ['pods of another node', 'spec.nodeName=edge2'],
])('a list of %s is shown as it is', (_what, fieldSelector) => {
  const filter = new HostNetworkFilter('edge1', () => true);
  expect(filter.concerns(collectionOf(podType, { resource: 'pods', fieldSelector }))).toBe(false);
  expect(filter.concerns(kubelets)).toBe(true);
});
