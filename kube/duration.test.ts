import { parseDuration } from './duration.ts';

test.each([
  ['24h', 86_400],
  ['1h30m', 5400],
  ['90s', 90],
  ['1.5h', 5400],
  ['1m500ms', 60.5],
  ['0', 0],
  ['0s', 0],
])('%s is %d seconds', (text, seconds) => {
  expect(parseDuration(text)).toBeCloseTo(seconds, 9);
});

test.each(['', '24', '-1h', 'h', '1d', '1h 30m', '1h30', '.5h', '1e3s'])('%j is no duration', (text) => {
  expect(parseDuration(text)).toBeUndefined();
});
