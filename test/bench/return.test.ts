import { fleet, simulateReturn } from './return.ts';

const smaller = { ...fleet, hubs: 500, handshakesPerSecond: 200, callsPerSecond: 1_000 };

test('a fleet that comes back to one server calls in far less of a rush than without jitter, and all of it is live', () => {
  const inStep = simulateReturn(smaller, undefined);
  const spread = simulateReturn(smaller, 7);
  expect(spread.connections.peakPer100Ms).toBeLessThan(inStep.connections.peakPer100Ms / 4);
  expect(spread.refused.total).toBeLessThan(inStep.refused.total);
  // Two per hub are needed, and three calls per view.
  expect(spread.connections.total).toBeLessThan(1.1 * 2 * smaller.hubs);
  expect(spread.watches.total + spread.lists.total).toBeLessThan(2 * 3 * smaller.hubs * smaller.viewsPerHub);
  expect(spread.liveMs.at(-1)).toBeLessThan(Infinity);
});

test('one hub alone is live within 3 s, whatever the seed', () => {
  for (let seed = 0; seed < 50; seed += 1)
    expect(simulateReturn({ ...fleet, hubs: 1 }, seed).liveMs[0]).toBeLessThan(3_000);
});
