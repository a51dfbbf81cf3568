import fc from 'fast-check';
import { canonicalJson, hashOf, workloadName } from './names.ts';

test('names fit a StatefulSet and are DNS labels, whatever the names that they are made of', () => {
  const name = fc.stringMatching(/^[a-z0-9]([-a-z0-9.]{0,80}[a-z0-9])?$/);
  fc.assert(
    fc.property(name, name, (appSet, pool) => {
      const result = workloadName(appSet, pool);
      expect(result).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);
      expect(result.length).toBeLessThanOrEqual(52);
    }),
  );
});

test('a hash does not depend on the order of fields, and fields without value do not count', () => {
  expect(hashOf({ a: 1, b: { c: 2, d: 3 }, e: undefined })).toBe(hashOf({ b: { d: 3, c: 2 }, a: 1 }));
  expect(canonicalJson([2, 1])).toBe('[2,1]');
  expect(hashOf(['a', 'b-c'])).not.toBe(hashOf(['a-b', 'c']));
});
