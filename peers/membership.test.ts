import fc from 'fast-check';
import { list, metadataOf, text } from '../kube/plain-object.ts';
import type { KubeObject } from '../kube/wire.ts';
import { defaultPoolSettings, membershipSlices, readMembership, type Member } from './membership.ts';

const member = (n: number): Member => ({ nodeName: `edge-${n}`, address: `10.0.${n >> 8}.${n & 255}` });
const members = (count: number): Member[] => Array.from({ length: count }, (_, n) => member(n));
const names = (slices: readonly KubeObject[]): string[] => slices.map((slice) => text(metadataOf(slice), 'name'));
const membersOf = (slices: readonly KubeObject[]): readonly Member[] => readMembership(slices).get('shop')!.members;
const byName = (all: readonly Member[]): Member[] =>
  all.toSorted((one, other) => (one.nodeName < other.nodeName ? -1 : 1));

test('what is written is read again', () => {
  const slices = membershipSlices('shop', members(1201), { 'holdfast.dev/observers': '3' }, []);
  expect(names(slices)).toEqual(['shop-0', 'shop-1', 'shop-2']);
  expect(readMembership(slices).get('shop')).toEqual({
    pool: 'shop',
    members: byName(members(1201)),
    settings: { ...defaultPoolSettings, observers: 3 },
    problems: [],
  });
});

test('a slice is what the controllers and the hubs agreed on', () => {
  expect(membershipSlices('shop', members(1), {}, [])).toEqual([
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: 'shop-0',
        namespace: 'holdfast-pools',
        labels: {
          'holdfast.dev/pool': 'shop',
          'endpointslice.kubernetes.io/managed-by': 'controllers.holdfast.dev',
        },
        annotations: {},
      },
      addressType: 'IPv4',
      ports: [{ name: 'peer', port: 10_268, protocol: 'TCP' }],
      endpoints: [{ addresses: ['10.0.0.0'], nodeName: 'edge-0' }],
    },
  ]);
});

test('a pool without members has one empty slice, so that hubs know that it is empty', () => {
  const slices = membershipSlices('shop', [], {}, membershipSlices('shop', members(3), {}, []));
  expect(names(slices)).toEqual(['shop-0']);
  expect(membersOf(slices)).toEqual([]);
});

test('one that leaves changes one slice, and one that joins fills the gap', () => {
  const before = membershipSlices('shop', members(9), {}, [], 3);
  const without = membershipSlices(
    'shop',
    members(9).filter(({ nodeName }) => nodeName !== 'edge-4'),
    {},
    before,
    3,
  );
  expect(without.filter((slice, n) => JSON.stringify(slice) !== JSON.stringify(before[n]))).toHaveLength(1);
  const joined = membershipSlices('shop', [...membersOf(without), member(77)], {}, without, 3);
  expect(names(joined)).toEqual(names(before));
  expect(list(joined[1]!, 'endpoints').map((endpoint) => endpoint['nodeName'])).toEqual([
    'edge-3',
    'edge-5',
    'edge-77',
  ]);
});

test('from any slices any membership is reached in one step, and the next step changes nothing', () => {
  const some = fc.uniqueArray(fc.integer({ min: 0, max: 40 }), { maxLength: 20 }).map((each) => each.map(member));
  fc.assert(
    fc.property(some, some, fc.boolean(), (first, second, six) => {
      const moved = second.map((each, n) => (six && n % 2 === 0 ? { ...each, address: `fd00::${n}` } : each));
      const before = membershipSlices('shop', first, {}, [], 4);
      const after = membershipSlices('shop', moved, {}, before, 4);
      expect(membersOf(after)).toEqual(byName(moved));
      expect(new Set(names(after)).size).toBe(after.length);
      expect(membershipSlices('shop', moved, {}, after, 4)).toEqual(after);
    }),
  );
});

test('slices of others in the namespace add no member', () => {
  const [slice] = membershipSlices('shop', members(1), {}, []);
  const foreign = {
    ...slice!,
    metadata: { name: 'mirror', labels: { 'holdfast.dev/pool': 'shop' } },
    endpoints: [{ addresses: ['192.0.2.1'], nodeName: 'stranger' }],
  };
  expect(membersOf([slice!, foreign])).toEqual(members(1));
});

test('what cannot be read is named with object and field, and the rest holds', () => {
  const [slice] = membershipSlices('shop', members(2), {}, []);
  const broken: KubeObject = {
    ...slice!,
    metadata: {
      ...metadataOf(slice!),
      annotations: {
        'holdfast.dev/observers': '11',
        'holdfast.dev/relay': 'no',
        'holdfast.dev/autonomy-duration': '2d',
      },
    },
    endpoints: [...list(slice!, 'endpoints'), { addresses: [], nodeName: 'edge-9' }],
  };
  const read = readMembership([broken]).get('shop')!;
  expect(read.members).toEqual(members(2));
  expect(read.settings).toEqual(defaultPoolSettings);
  expect(read.problems).toEqual([
    'endpointslice shop-0: endpoints[2] needs a nodeName and an address',
    'endpointslice shop-0: annotation holdfast.dev/relay must be true or false, is "no"',
    'endpointslice shop-0: annotation holdfast.dev/observers must be a number from 1 to 10, is "11"',
    'endpointslice shop-0: annotation holdfast.dev/autonomy-duration must be a duration such as 24h, is "2d"',
  ]);
});
