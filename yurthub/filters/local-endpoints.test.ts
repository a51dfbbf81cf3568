import { ManualClock } from '../../runtime/manual-clock.ts';
import { endpointsType, shownBy, sliceType } from './filter-fixture.ts';
import { LocalEndpointsFilter } from './local-endpoints.ts';
import { localPod, LocalPods } from './local-pods.ts';
import { LocalPodsFeed } from './local-pods-feed.ts';

const status = (ip: string | undefined, ready: boolean, phase = 'Running'): Record<string, unknown> => ({
  phase,
  ...(ip === undefined ? {} : { podIP: ip, podIPs: [{ ip }, { ip: 'fd00::5' }] }),
  conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
});

let pods: LocalPods;
let filter: LocalEndpointsFilter;
beforeEach(() => {
  pods = new LocalPods();
  filter = new LocalEndpointsFilter('edge1', pods);
});

const endpoint = (uid: string, ip: string, ready = true, nodeName = 'edge1'): Record<string, unknown> => ({
  addresses: [ip],
  conditions: { ready, serving: ready, terminating: false },
  nodeName,
  targetRef: { kind: 'Pod', namespace: 'shop', name: uid, uid },
});
const slice = (...endpoints: object[]): Record<string, unknown> => ({
  metadata: { name: 'web-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  endpoints,
  ports: [{ name: 'http', port: 80 }],
});
const shownEndpoints = (object: Record<string, unknown>): unknown => {
  const shown = shownBy(filter, sliceType, object);
  return typeof shown === 'object' ? shown['endpoints'] : shown;
};

test('an endpoint of a pod of this node gets the address and the readiness that its kubelet reported', () => {
  pods.set(localPod('a', status('10.244.1.9', true)));
  pods.set(localPod('b', status('10.244.1.8', false)));
  const shown = shownEndpoints(
    slice(endpoint('a', '10.244.1.2', false), endpoint('b', '10.244.1.3'), endpoint('c', '10.9.9.9')),
  );
  expect(shown).toEqual([
    endpoint('a', '10.244.1.9', true),
    endpoint('b', '10.244.1.8', false),
    endpoint('c', '10.9.9.9'),
  ]);
});

test('a slice without endpoints of such pods stays as it is', () => {
  expect(shownEndpoints(slice(endpoint('a', '10.244.1.2')))).toBe('as it is');
  pods.set(localPod('other', status('10.244.1.9', true)));
  expect(shownEndpoints(slice(endpoint('a', '10.244.1.2')))).toBe('as it is');
  expect(shownEndpoints(slice(endpoint('other', '10.244.1.2', true, 'node7')))).toBe('as it is');
});

test('a pod without an address, or that has finished, has no endpoint', () => {
  pods.set(localPod('a', status(undefined, false)));
  pods.set(localPod('b', status('10.244.1.8', false, 'Succeeded')));
  expect(shownEndpoints(slice(endpoint('a', '10.244.1.2'), endpoint('b', '10.244.1.3')))).toEqual([]);
});

test('a pod that the cloud deletes is never ready, and one that is published though not ready is', () => {
  pods.set(localPod('a', status('10.244.1.9', true)));
  pods.set(localPod('b', status('10.244.1.8', false)));
  const dying = { ...endpoint('a', '10.244.1.2'), conditions: { ready: false, serving: true, terminating: true } };
  const published = { ...endpoint('b', '10.244.1.3'), conditions: { ready: true, serving: false, terminating: false } };
  expect(shownEndpoints(slice(dying, published))).toMatchObject([
    { conditions: { ready: false, serving: true, terminating: true } },
    { conditions: { ready: true, serving: false, terminating: false } },
  ]);
});

test('a slice of IPv6 addresses gets the pod’s IPv6 address', () => {
  pods.set(localPod('a', status('10.244.1.9', true)));
  const six = { ...slice(endpoint('a', 'fd00::1')), addressType: 'IPv6' };
  expect(shownEndpoints(six)).toMatchObject([{ addresses: ['fd00::5'] }]);
});

test('Endpoints likewise: an address moves to where its readiness belongs', () => {
  pods.set(localPod('a', status('10.244.1.9', true)));
  pods.set(localPod('b', status('10.244.1.8', false)));
  const address = (uid: string, ip: string): object => ({ ip, nodeName: 'edge1', targetRef: { kind: 'Pod', uid } });
  const endpoints = {
    metadata: { name: 'web', namespace: 'shop' },
    subsets: [
      {
        addresses: [address('b', '10.244.1.3'), { ip: '10.9.9.9', nodeName: 'edge2' }],
        notReadyAddresses: [address('a', '10.244.1.2')],
        ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
      },
    ],
  };
  expect(shownBy(filter, endpointsType, endpoints)).toMatchObject({
    subsets: [
      {
        addresses: [{ ip: '10.9.9.9' }, { ip: '10.244.1.9' }],
        notReadyAddresses: [{ ip: '10.244.1.8' }],
        ports: [{ name: 'http', port: 80 }],
      },
    ],
  });
});

describe('over an outage', () => {
  let clock: ManualClock;
  let written: Map<string, Record<string, unknown>>;
  let refreshed: string[][];
  let feed: LocalPodsFeed;
  beforeEach(() => {
    clock = new ManualClock();
    written = new Map();
    refreshed = [];
    feed = new LocalPodsFeed({
      clock,
      pods,
      statuses: () => [...written].map(([uid, podStatus]) => ({ uid, status: podStatus })),
      refresh: (texts) => {
        refreshed.push([...texts]);
        return Promise.resolve();
      },
      failed: (error) => {
        throw error as Error;
      },
    });
  });

  test('endpoints are looked at again when an address or the readiness of a pod changed, and only then', async () => {
    written.set('a', status('10.244.1.9', false));
    await feed.follow();
    written.set('a', { ...status('10.244.1.9', false), message: 'still starting' });
    await feed.follow();
    written.set('a', status('10.244.1.9', true));
    await feed.follow();
    expect(refreshed).toEqual([['a'], ['a']]);
  });

  test('after the return the old address is not shown before the cloud has the new one', async () => {
    written.set('a', status('10.244.1.9', true));
    await feed.follow();
    written.clear();
    await feed.returned();
    expect(shownEndpoints(slice(endpoint('a', '10.244.1.2', false)))).toEqual([endpoint('a', '10.244.1.9', true)]);
  });

  test('a pod that the cloud could not see, and calls not ready, is ready if its kubelet said so', async () => {
    written.set('a', status('10.244.1.9', true)).set('b', status('10.244.1.8', false));
    await feed.follow();
    written.clear();
    await feed.returned();
    const shown = shownEndpoints(slice(endpoint('a', '10.244.1.9', false), endpoint('b', '10.244.1.8', false)));
    expect(shown).toEqual([endpoint('a', '10.244.1.9', true), endpoint('b', '10.244.1.8', false)]);
    expect(shownEndpoints(slice(endpoint('a', '10.244.1.9'), endpoint('b', '10.244.1.8')))).toBe('as it is');
  });

  test('30 s after the return the cloud has the last word whatever it says', async () => {
    written.set('a', status('10.244.1.9', true));
    await feed.follow();
    written.clear();
    await feed.returned();
    clock.advance(30_000);
    expect(refreshed).toEqual([['a'], ['a'], ['a']]);
    expect(shownEndpoints(slice(endpoint('a', '10.244.1.2', false)))).toBe('as it is');
  });

  test('a second outage soon after the first keeps what is written in it', async () => {
    written.set('a', status('10.244.1.9', true));
    await feed.follow();
    written.clear();
    await feed.returned();
    written.set('a', status('10.244.1.7', true));
    await feed.follow();
    clock.advance(30_000);
    expect(shownEndpoints(slice(endpoint('a', '10.244.1.2')))).toEqual([endpoint('a', '10.244.1.7')]);
  });
});
