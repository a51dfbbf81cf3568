import { collectionOf, serviceType, shownBy } from './filter-fixture.ts';
import type { HubAddress } from './hub-endpoint.ts';
import { HubServiceFilter } from './hub-service.ts';

let addresses: HubAddress[];
beforeEach(() => {
  addresses = [{ host: '169.254.2.1', port: 10261, family: 'IPv4' }];
});
const filter = new HubServiceFilter(() => addresses);

const service = (metadata: object = { name: 'kubernetes', namespace: 'default' }): Record<string, unknown> => ({
  metadata,
  spec: {
    clusterIP: '10.96.0.1',
    clusterIPs: ['10.96.0.1'],
    ipFamilies: ['IPv4'],
    ports: [{ name: 'https', protocol: 'TCP', port: 443, targetPort: 6443 }],
  },
});

test('the kubelet finds the API server at the hub, under the port’s name', () => {
  expect(shownBy(filter, serviceType, service())).toMatchObject({
    metadata: { name: 'kubernetes' },
    spec: {
      clusterIP: '169.254.2.1',
      clusterIPs: ['169.254.2.1'],
      ports: [{ name: 'https', protocol: 'TCP', port: 10261 }],
    },
  });
});

test('other Services stay as they are, also of that name in another namespace', () => {
  for (const metadata of [
    { name: 'kubernetes', namespace: 'shop' },
    { name: 'web', namespace: 'default' },
  ])
    expect(shownBy(filter, serviceType, service(metadata))).toBe('as it is');
});

test('without an address that pods can reach, the Service stays', () => {
  addresses = [];
  expect(shownBy(filter, serviceType, service())).toBe('as it is');
});

test('kube-proxy and CoreDNS see the Service as it is', () => {
  const concerns = (restriction: object): boolean => filter.concerns(collectionOf(serviceType, restriction));
  const kubelets = { fieldSelector: 'spec.clusterIP!=None' };
  expect(concerns(kubelets)).toBe(true);
  const notHeadless = '!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name';
  expect(concerns({ ...kubelets, labelSelector: notHeadless })).toBe(false);
  expect(concerns({})).toBe(false);
  expect(concerns({ ...kubelets, namespace: 'default' })).toBe(false);
});
