import type { AddressInfo } from 'node:net';
import { FilterState } from './filter-state.ts';
import { makeFilters, reachableFromPods, serverOnHost } from './filters.ts';
import { filterNames } from './names.ts';

const at = (address: string, port = 10261): AddressInfo => ({
  address,
  port,
  family: address.includes(':') ? 'IPv6' : 'IPv4',
});
const parts = { nodeName: 'edge1', caPem: 'ca', addresses: () => [], cutOff: () => false, state: new FilterState() };

test('every filter is made under its own name, and none that is disabled', () => {
  expect(
    makeFilters(parts, [])
      .map(({ name }) => name)
      .toSorted(),
  ).toEqual([...filterNames]);
  expect(makeFilters(parts, [...filterNames])).toEqual([]);
});

test('pods reach the hub at addresses that are not loopback, processes on the host best at loopback', () => {
  const both = [at('127.0.0.1'), at('169.254.2.1')];
  expect(reachableFromPods(both)).toEqual([{ host: '169.254.2.1', port: 10261, family: 'IPv4' }]);
  expect(reachableFromPods([at('0.0.0.0'), at('::1')])).toEqual([]);
  expect(serverOnHost(both)).toBe('https://127.0.0.1:10261');
  expect(serverOnHost([at('169.254.2.1', 1)])).toBe('https://169.254.2.1:1');
  expect(serverOnHost([at('0.0.0.0')])).toBe('https://127.0.0.1:10261');
  expect(serverOnHost([at('fd00::1')])).toBe('https://[fd00::1]:10261');
  expect(serverOnHost([])).toBeUndefined();
});
