import { labelRequirements } from './label-selector-object.ts';
import type { LabelSelector } from './label-selector-object.ts';
import { matchesLabels } from './label-selector.ts';

test.each([
  [{}, {}, true],
  [{ matchLabels: { a: '1' } }, { a: '1', b: '2' }, true],
  [{ matchLabels: { a: '1' } }, { a: '2' }, false],
  [{ matchExpressions: [{ key: 'a', operator: 'In', values: ['1', '2'] }] }, { a: '2' }, true],
  [{ matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['1'] }] }, {}, true],
  [{ matchExpressions: [{ key: 'a', operator: 'Exists' }] }, { a: '' }, true],
  [{ matchExpressions: [{ key: 'a', operator: 'DoesNotExist' }] }, { a: '' }, false],
  [{ matchLabels: { a: '1' }, matchExpressions: [{ key: 'b', operator: 'Exists' }] }, { a: '1' }, false],
] as [LabelSelector, Record<string, string>, boolean][])('%j on %j: %s', (selector, labels, matches) => {
  expect(matchesLabels(labelRequirements(selector), labels)).toBe(matches);
});

test.each([
  [[{ key: 'a', operator: 'Is', values: ['1'] }], /matchExpressions\[0\]: operator 'Is' has to be In, NotIn/],
  [[{ key: 'a', operator: 'In' }], /operator In needs at least one of values/],
  [[{ key: 'a', operator: 'Exists', values: ['1'] }], /operator Exists takes no values/],
])('%j is refused', (matchExpressions, problem) => {
  expect(() => labelRequirements({ matchExpressions })).toThrow(problem);
});
