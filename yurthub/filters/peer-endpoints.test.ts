import { ManualClock } from '../../runtime/manual-clock.ts';
import { shownBy, sliceType } from './filter-fixture.ts';
import type { LocalPod } from './local-pods.ts';
import { PeerEndpointsFilter } from './peer-endpoints.ts';
import { PeerPods, PeerPodsFeed, type CutOffPeer } from './peer-pods.ts';

const pod = (uid: string, address: string, ready = true, finished = false): LocalPod => ({
  uid,
  addresses: [address, 'fd00::5'],
  ready,
  finished,
});
const endpoint = (uid: string, ip: string, ready: boolean, nodeName = 'edge2'): Record<string, unknown> => ({
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

const clock = new ManualClock();
let pods: PeerPods;
let cutOff: CutOffPeer[];
let alive: boolean;
let refreshed: string[];
let feed: PeerPodsFeed;
let filter: PeerEndpointsFilter;
beforeEach(() => {
  pods = new PeerPods();
  cutOff = [];
  alive = true;
  refreshed = [];
  feed = new PeerPodsFeed({
    clock,
    pods,
    cutOff: () => cutOff,
    isAlive: () => alive,
    refresh: (uids) => void refreshed.push(...uids),
  });
  filter = new PeerEndpointsFilter(pods);
});
afterEach(() => feed.stop());

function seen(...said: LocalPod[]): void {
  cutOff = said.length === 0 ? [] : [{ node: 'edge2', pods: said }];
  feed.follow();
}
const shownEndpoints = (...endpoints: object[]): unknown => {
  const shown = shownBy(filter, sliceType, slice(...endpoints));
  return typeof shown === 'object' ? shown['endpoints'] : shown;
};

test('what serves on a peer that is cut off goes on serving, whatever the cloud says', () => {
  seen(pod('a', '10.244.2.2'), pod('b', '10.244.2.3', false));
  expect(refreshed).toEqual(['a', 'b']);
  expect(shownEndpoints(endpoint('a', '10.244.2.2', false), endpoint('c', '10.9.9.9', false, 'edge3'))).toEqual([
    endpoint('a', '10.244.2.2', true),
    endpoint('c', '10.9.9.9', false, 'edge3'),
  ]);
});

test('a pod that fails there, or was not ready before, is not put into service', () => {
  seen(pod('b', '10.244.2.3', false));
  expect(shownEndpoints(endpoint('b', '10.244.2.3', false))).toBe('as it is');
  expect(shownEndpoints(endpoint('b', '10.244.2.3', true))).toEqual([endpoint('b', '10.244.2.3', false)]);
});

test('after a reboot of the peer its pods are found at their new addresses; one that has finished is not', () => {
  seen(pod('a', '10.244.2.9'), pod('d', '10.244.2.8', false, true));
  expect(shownEndpoints(endpoint('a', '10.244.2.2', false), endpoint('d', '10.244.2.4', true))).toEqual([
    endpoint('a', '10.244.2.9', true),
  ]);
});

test('a peer speaks for its own pods alone', () => {
  seen(pod('a', '10.244.2.2'));
  expect(shownEndpoints(endpoint('a', '10.244.1.7', false, 'edge1'), endpoint('x', '10.244.2.5', true))).toBe(
    'as it is',
  );
});

test('where the cloud says the same, nothing is touched', () => {
  seen(pod('a', '10.244.2.2'));
  expect(shownEndpoints(endpoint('a', '10.244.2.2', true))).toBe('as it is');
});

test('on its return the peer is believed until the cloud has heard of its pods', () => {
  seen(pod('a', '10.244.2.2'));
  refreshed = [];
  seen();
  expect(refreshed).toEqual(['a']);
  feed.follow();
  expect(shownEndpoints(endpoint('a', '10.244.2.2', false))).toEqual([endpoint('a', '10.244.2.2', true)]);
  clock.advance(31_000);
  expect(refreshed).toEqual(['a', 'a']);
  expect(shownEndpoints(endpoint('a', '10.244.2.2', false))).toBe('as it is');
});

test('of a peer that is alive no more the cloud has the last word at once', () => {
  seen(pod('a', '10.244.2.2'));
  alive = false;
  seen();
  expect(shownEndpoints(endpoint('a', '10.244.2.2', false))).toBe('as it is');
  expect(refreshed).toEqual(['a', 'a']);
});

test('a peer that is cut off again within that time is heard again', () => {
  seen(pod('a', '10.244.2.2'));
  seen();
  clock.advance(20_000);
  seen(pod('a', '10.244.2.2'));
  clock.advance(20_000);
  expect(shownEndpoints(endpoint('a', '10.244.2.2', false))).toEqual([endpoint('a', '10.244.2.2', true)]);
});
