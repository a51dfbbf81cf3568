// The simulation in its quick form, and what keeps it honest: a world in which nothing is decided would meet most figures.
import { quickScale, simulateHealth } from './health/figures.ts';
import { emptyOutcome, runHistory } from './health/run.ts';
import { Timeline } from './timeline.ts';

test('no false eviction, dead nodes found in time, and a cost that does not grow with the pool', () => {
  const { figures } = simulateHealth(quickScale, 1);
  expect(figures.filter(({ isMet }) => !isMet)).toEqual([]);
  expect(figures.length).toBeGreaterThanOrEqual(6);
});

test('histories have deaths that are found, nodes that are isolated, and the same seed gives the same', () => {
  const [one, two] = [emptyOutcome(), emptyOutcome()];
  for (const outcome of [one, two]) for (let seed = 0; seed < 30; seed += 1) runHistory(5, seed, outcome);
  expect(one).toEqual(two);
  expect(one.foundMs.length).toBeGreaterThan(5);
  expect(one.isolated).toBeGreaterThan(0);
});

test('what is planned happens in its order, and at the same time in the order of planning', () => {
  const time = new Timeline();
  const seen: string[] = [];
  for (const [atMs, name] of [
    [5, 'c'],
    [1, 'a'],
    [5, 'd'],
    [3, 'b'],
    [9, 'never'],
  ] as const)
    time.at(atMs, () => seen.push(`${name}${time.nowMs}`));
  time.at(3, () => time.after(1, () => seen.push('later4')));
  time.runUntil(8);
  expect(seen).toEqual(['a1', 'b3', 'later4', 'c5', 'd5']);
});
