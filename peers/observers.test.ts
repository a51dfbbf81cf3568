import fc from 'fast-check';
import { Observation } from './observers.ts';

const names = (count: number, prefix = 'edge-'): string[] => Array.from({ length: count }, (_, n) => `${prefix}${n}`);

/** Every member's observers. */
function rows(members: readonly string[], count: number): Map<string, readonly string[]> {
  const observation = new Observation(members, count);
  return new Map(members.map((name) => [name, observation.observersOf(name)]));
}

test('each member has K observers, or all others in a smaller pool, and never itself', () => {
  for (const size of [1, 2, 3, 5, 6, 7, 50, 500])
    for (const [name, observers] of rows(names(size), 5)) {
      expect(observers).toHaveLength(Math.min(5, size - 1));
      expect(new Set(observers).size).toBe(observers.length);
      expect(observers).not.toContain(name);
    }
});

test('the rows are fixed for all time: nodes of one version and a guard of another agree', () => {
  expect(Object.fromEntries(rows(['edge-a', 'edge-b', 'edge-c', 'edge-d', 'edge-e'], 2))).toMatchInlineSnapshot(`
   {
     "edge-a": [
       "edge-b",
       "edge-d",
     ],
     "edge-b": [
       "edge-e",
       "edge-d",
     ],
     "edge-c": [
       "edge-a",
       "edge-b",
     ],
     "edge-d": [
       "edge-c",
       "edge-b",
     ],
     "edge-e": [
       "edge-a",
       "edge-d",
     ],
   }
  `);
});

test('whom I watch is who says that I watch it', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.domain(), { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 1, max: 10 }),
      (members, count) => {
        const observation = new Observation(members, count);
        for (const observer of members)
          expect(observation.observedBy(observer)).toEqual(
            members.filter((subject) => observation.observersOf(subject).includes(observer)).sort(),
          );
      },
    ),
    { numRuns: 60 },
  );
});

test('the order in which the members are named does not matter', () => {
  const members = names(40);
  expect(rows(members.toReversed(), 5).get('edge-7')).toEqual(rows(members, 5).get('edge-7'));
});

test('a member that leaves is replaced by one observer in each row where it stood, and nothing else changes', () => {
  const before = rows(names(200), 5);
  const after = rows(names(199), 5);
  for (const [name, observers] of after) {
    const kept = before.get(name)!.filter((observer) => observer !== 'edge-199');
    expect(observers.slice(0, kept.length)).toEqual(kept);
  }
});

test('the work is spread: in a pool of 500 nobody watches more than 16, and the spread is that of chance', () => {
  for (const prefix of ['edge-', 'site-a-node-', 'ip-10-0-0-']) {
    const load = new Map<string, number>();
    for (const observers of rows(names(500, prefix), 5).values())
      for (const observer of observers) load.set(observer, (load.get(observer) ?? 0) + 1);
    const loads = names(500, prefix).map((name) => load.get(name) ?? 0);
    const variance = loads.reduce((sum, each) => sum + (each - 5) ** 2, 0) / 500;
    expect(Math.max(...loads)).toBeLessThanOrEqual(16);
    // Of independent draws: 499 * 0.01 * 0.99 = 4.94.
    expect(variance).toBeGreaterThan(3.5);
    expect(variance).toBeLessThan(6.5);
  }
});

test('observers of one member are not the observers of its neighbour: a dead rack does not blind the rest', () => {
  const shared = names(499).map((_, n) => {
    const observation = sharedPool;
    const one = observation.observersOf(`edge-${n}`);
    return observation.observersOf(`edge-${n + 1}`).filter((observer) => one.includes(observer)).length;
  });
  // By chance: 5 * 5 / 500 = 0.05.
  expect(shared.reduce((sum, each) => sum + each, 0) / shared.length).toBeLessThan(0.1);
});

test('a name that is no member is watched by nobody and watches nobody', () => {
  expect(sharedPool.observersOf('stranger')).toEqual([]);
  expect(sharedPool.observedBy('stranger')).toEqual([]);
});

const sharedPool = new Observation(names(500), 5);
