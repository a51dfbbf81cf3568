import { compareResourceVersions } from './resource-version.ts';

test('versions compare as numbers of any length', () => {
  expect(compareResourceVersions('9', '10')).toBeLessThan(0);
  expect(compareResourceVersions('18446744073709551616', '18446744073709551615')).toBeGreaterThan(0);
  expect(compareResourceVersions('7', '7')).toBe(0);
});

test('no version and 0 are older than every other', () => {
  expect(compareResourceVersions('', '0')).toBe(0);
  expect(compareResourceVersions('', '1')).toBeLessThan(0);
});
