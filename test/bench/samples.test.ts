import { Samples, slope, summarize } from './samples.ts';

test('the median of an even number of samples is the mean of the two in the middle', () => {
  expect(summarize([9, 1, 3, 5])).toEqual({ median: 4, min: 1, max: 9, samples: [9, 1, 3, 5] });
  expect(summarize([7])).toMatchObject({ median: 7, min: 7, max: 7 });
  expect(summarize([])).toBeUndefined();
});

test('a sample that is no number is refused, because it would pass as a median', () => {
  const samples = new Samples();
  expect(() => samples.add('row', 'hub', Number.NaN)).toThrow(TypeError);
  expect(() => samples.add('row', 'hub', Infinity)).toThrow(TypeError);
  expect(samples.summaries('row')).toEqual({});
});

test('a slope is found through noise, and there is none through one point', () => {
  const points = Array.from({ length: 100 }, (_, x) => [x, 50 + 2 * x + (x % 2 === 0 ? 1 : -1)] as const);
  expect(slope(points)).toBeCloseTo(2, 2);
  expect(slope([[1, 80]])).toBe(0);
  expect(slope([])).toBe(0);
});
