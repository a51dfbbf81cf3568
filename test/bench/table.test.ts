import { hubRows } from './rows.ts';
import { Samples } from './samples.ts';
import { countFigures, report, table } from './table.ts';
import { variants } from './ways.ts';
import type { Variant } from './ways.ts';

function measured(row: string, values: Partial<Record<Variant, readonly number[]>>): Samples {
  const samples = new Samples();
  for (const variant of variants) {
    for (const value of values[variant] ?? []) samples.add(row, variant, value);
  }
  return samples;
}

function met(row: string, values: Parameters<typeof measured>[1]): boolean | null | undefined {
  return report(hubRows, measured(row, values)).find(({ id }) => id === row)?.figure?.met;
}

test.each([
  ['get-16-json-cpu', { 'go-proxy': [100], hub: [100] }, true],
  ['get-16-json-cpu', { 'go-proxy': [100], hub: [101] }, false],
  ['get-128-protobuf-p99', { 'go-proxy': [10], hub: [12.1] }, false],
  ['get-16-json-h1-cpu', { 'go-proxy': [100], hub: [150] }, true],
  ['get-16-json-cpu', { hub: [1] }, null],
  ['list-cold-total', { direct: [200], hub: [300] }, true],
  ['list-cold-total', { direct: [200], hub: [301] }, false],
  ['list-cold-growth', { hub: [32] }, false],
  ['watch-100-p99', { direct: [5], hub: [15] }, true],
  ['watch-100-p99', { direct: [5], hub: [15.1] }, false],
  ['refuse-first-list', { hub: [299] }, true],
  ['refuse-first-list', { hub: [300] }, false],
  ['blackhole-first-get', { hub: [2999] }, true],
  ['blackhole-fresh', { hub: [3000] }, false],
  ['idle-resident', { hub: [96] }, true],
  ['idle-resident', { hub: [96.1] }, false],
  ['services-resident', { hub: [128.1] }, false],
  ['lease-p99', { hub: [100] }, false],
] as const)('%s of %j is judged %s', (row, values, verdict) => {
  expect(met(row, values)).toBe(verdict);
});

test('the median of the rounds is judged, and one bad round shows as the greatest', () => {
  const rows = report(hubRows, measured('lease-p99', { hub: [20, 500, 30] }));
  const lease = rows.filter(({ id }) => id === 'lease-p99');
  expect(lease[0]?.figure?.met).toBe(true);
  expect(table(lease, () => 0)).toContain('30 (20–500)');
});

test('a figure that was missed is shouted, and one that was not measured is listed and counted', () => {
  const rows = report(hubRows, measured('lease-p99', { direct: [10], hub: [180] }));
  const line = table(rows, () => 0)
    .split('\n')
    .find((text) => text.startsWith('Lease PUT'));
  expect(line).toMatch(/10 +– +180 +18\.00 × direct +< 100 ms +NO$/);
  const figures = hubRows.filter(({ figure }) => figure !== undefined).length;
  expect(countFigures(rows)).toEqual({ met: 0, missed: 1, notMeasured: figures - 1 });
});

test('a sample of a row that the table does not have is an error, so that none is dropped in silence', () => {
  expect(() => report(hubRows, measured('lease-p98', { hub: [1] }))).toThrow('no row lease-p98');
});

test('row ids are distinct', () => {
  expect(new Set(hubRows.map(({ id }) => id)).size).toBe(hubRows.length);
});
