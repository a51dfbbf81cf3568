import fc from 'fast-check';
import { includes } from './drift.ts';

test.each([
  ['defaults are filled in', { a: 1, b: 'x' }, { a: 1 }, true],
  ['a field is gone', { b: 'x' }, { a: 1 }, false],
  ['a value is another', { a: { b: 2 } }, { a: { b: 1 } }, false],
  ['an empty object stands for none', {}, { a: {} }, true],
  ['an empty object was filled', { a: { b: 1 } }, { a: {} }, true],
  ['zero values are left out', {}, { a: false, b: 0, c: '' }, true],
  ['quantities are written shorter', { cpu: '1', memory: '1Gi' }, { cpu: '1000m', memory: '1024Mi' }, true],
  ['a quantity is another', { cpu: '1' }, { cpu: '100m' }, false],
  ['a port by number and by text', { port: 80 }, { port: '80' }, true],
  ['a container was added by others', { c: [{ name: 'x' }, { name: 'a', image: 'i' }] }, { c: [{ name: 'a' }] }, true],
  ['a container was removed', { c: [{ name: 'x' }] }, { c: [{ name: 'a' }] }, false],
  ['two items need two', { c: [{ n: 1 }] }, { c: [{ n: 1 }, { n: 1 }] }, false],
  ['the order of arguments', { args: ['b', 'a'] }, { args: ['a', 'b'] }, false],
  ['an argument more', { args: ['a', 'b'] }, { args: ['a'] }, false],
  ['null where an object was', { a: null }, { a: { b: 1 } }, false],
])('%s', (_, actual, wanted, expected) => {
  expect(includes(actual, wanted)).toBe(expected);
});

test('what was applied includes itself, with whatever is added to objects', () => {
  const tree = fc.letrec((tie) => ({
    value: fc.oneof(fc.string(), fc.integer(), fc.boolean(), tie('object'), fc.array(fc.string())),
    object: fc.dictionary(fc.string({ minLength: 1 }), tie('value'), { maxKeys: 4 }),
  })).object;
  fc.assert(
    fc.property(tree, tree, (wanted, more) => {
      expect(includes({ ...(more as object), ...(wanted as object) }, wanted)).toBe(true);
    }),
  );
});
