import { collectionOf, endpointsType, shownBy, sliceType } from './filter-fixture.ts';
import { HubEndpointFilter, type HubAddress } from './hub-endpoint.ts';

let addresses: HubAddress[];
beforeEach(() => {
  addresses = [{ host: '169.254.2.1', port: 10261, family: 'IPv4' }];
});
const filter = new HubEndpointFilter('edge1', () => addresses);

const slice = (overrides: object = {}): Record<string, unknown> => ({
  metadata: { name: 'kubernetes', namespace: 'default', labels: { 'kubernetes.io/service-name': 'kubernetes' } },
  addressType: 'IPv4',
  endpoints: [
    { addresses: ['10.0.0.1'], conditions: { ready: true } },
    { addresses: ['10.0.0.2'], conditions: { ready: true } },
  ],
  ports: [{ name: 'https', protocol: 'TCP', port: 6443 }],
  ...overrides,
});

test('the slice of the API servers leads to the hub, under the port’s name', () => {
  expect(shownBy(filter, sliceType, slice())).toMatchObject({
    metadata: { name: 'kubernetes', labels: { 'kubernetes.io/service-name': 'kubernetes' } },
    endpoints: [{ addresses: ['169.254.2.1'], conditions: { ready: true }, nodeName: 'edge1' }],
    ports: [{ name: 'https', protocol: 'TCP', port: 10261 }],
  });
});

test('so do the Endpoints', () => {
  const endpoints = {
    metadata: { name: 'kubernetes', namespace: 'default' },
    subsets: [
      { addresses: [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }], ports: [{ name: 'https', port: 6443, protocol: 'TCP' }] },
    ],
  };
  expect(shownBy(filter, endpointsType, endpoints)).toMatchObject({
    subsets: [{ addresses: [{ ip: '169.254.2.1', nodeName: 'edge1' }], ports: [{ name: 'https', port: 10261 }] }],
  });
});

test('other objects stay as they are, also of that name in another namespace', () => {
  for (const metadata of [
    { name: 'kubernetes', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'kubernetes' } },
    { name: 'kubernetes-abc', namespace: 'default', labels: { 'kubernetes.io/service-name': 'kubernetes-abc' } },
  ])
    expect(shownBy(filter, sliceType, slice({ metadata }))).toBe('as it is');
});

test('without an address of the slice’s family that pods can reach, the API servers stay', () => {
  expect(shownBy(filter, sliceType, slice({ addressType: 'IPv6', endpoints: [{ addresses: ['fd00::1'] }] }))).toBe(
    'as it is',
  );
  addresses = [];
  expect(shownBy(filter, sliceType, slice())).toBe('as it is');
});

test('collections that cannot hold it are left alone', () => {
  const concerns = (restriction: object): boolean => filter.concerns(collectionOf(sliceType, restriction));
  expect(concerns({})).toBe(true);
  expect(concerns({ namespace: 'default', fieldSelector: 'metadata.name=kubernetes' })).toBe(true);
  expect(concerns({ namespace: 'shop' })).toBe(false);
  expect(concerns({ fieldSelector: 'metadata.name=web-1' })).toBe(false);
  expect(filter.concerns(collectionOf({ apiVersion: 'v1', kind: 'Service' }))).toBe(false);
});
