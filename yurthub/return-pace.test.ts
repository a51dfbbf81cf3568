import { ManualClock } from '../runtime/manual-clock.ts';
import { probeDelayMs, ReflectorPace, ReturnTurns, startsProbe, type Setback, type Turn } from './return-pace.ts';

const times = { probeMinMs: 500, probeMaxMs: 1_200, probeHeldMaxMs: 15_000 };
const unreachable: Setback = { kind: 'unreachable', repeated: false };

test('probes follow each other at random times, and less and less while the server takes connections and is slow', () => {
  expect([0, 0.5, 0.999].map((random) => Math.round(probeDelayMs(random, 0, times)))).toEqual([500, 850, 1199]);
  expect([0, 1, 2, 3, 4, 9].map((held) => probeDelayMs(1, held, times))).toEqual([
    1_200, 2_400, 4_800, 9_600, 15_000, 15_000,
  ]);
});

test('a single site is live within 3 s: the longest probe and the longest wait for a watch leave room', () => {
  const last = new ReflectorPace(() => 1);
  expect(probeDelayMs(1, 0, times) + last.waitMs(unreachable)).toBeLessThanOrEqual(2_000);
  // However often it happens: a lost link is no fault of the server.
  for (let at = 0; at < 50; at += 1) last.waitMs(unreachable);
  expect(last.waitMs(unreachable)).toBeLessThanOrEqual(800);
});

test.each<Setback>([
  { kind: 'unreachable', repeated: true },
  { kind: 'refused', retryAfterSeconds: undefined },
  { kind: 'failed' },
])('$kind again and again is answered by longer waits up to a bound, and a good watch begins anew', (setback) => {
  const pace = new ReflectorPace(() => 0.5);
  const waits = Array.from({ length: 10 }, () => pace.waitMs(setback));
  expect(waits).toEqual([200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
  pace.settled();
  expect(pace.waitMs(setback)).toBe(200);
});

test('no reflector comes back before it was told to, and those that were told the same do not come back together', () => {
  const refused: Setback = { kind: 'refused', retryAfterSeconds: 1 };
  const [early, late] = [new ReflectorPace(() => 0), new ReflectorPace(() => 0.999)];
  for (let at = 0; at < 9; at += 1) {
    expect(early.waitMs(refused)).toBeGreaterThanOrEqual(1_000);
    expect(late.waitMs(refused)).toBeGreaterThanOrEqual(1_000);
  }
  expect(late.waitMs(refused) - early.waitMs(refused)).toBeGreaterThan(20_000);
  // A server that asks for a day is asked again after five minutes.
  expect(early.waitMs({ kind: 'refused', retryAfterSeconds: 86_400 })).toBeLessThan(400_000);
});

test('no second probe starts at once beside one whose connection stands, and one does later', () => {
  expect([startsProbe(false, 0), startsProbe(true, 0), startsProbe(true, 1)]).toEqual([true, false, true]);
});

describe('turns of the views of one hub', () => {
  let clock: ManualClock;
  let turns: ReturnTurns;
  let taken: Turn[];

  beforeEach(() => {
    clock = new ManualClock();
    turns = new ReturnTurns(clock, () => 0.5);
    taken = [];
    for (let view = 0; view < 30; view += 1) turns.take((turn) => void taken.push(turn));
  });

  test('four come back first, and two for each that has been answered', () => {
    expect(taken).toHaveLength(4);
    for (const turn of taken.slice()) turn.answered();
    expect(taken).toHaveLength(12);
    for (const turn of taken.slice(4)) turn.answered();
    expect(taken).toHaveLength(28);
    for (const turn of taken.slice()) turn.answered();
    expect(taken).toHaveLength(30);
  });

  test('a 429 makes the whole hub pause, for longer each time, and go on with half as many', () => {
    taken[0]?.pushedBack();
    for (const turn of taken.slice(1)) turn.pushedBack();
    clock.advance(999);
    expect(taken).toHaveLength(4);
    clock.advance(1);
    expect(taken).toHaveLength(6);
    taken[4]?.pushedBack();
    taken[5]?.answered();
    clock.advance(1_999);
    expect(taken).toHaveLength(6);
    clock.advance(1);
    expect(taken).toHaveLength(8);
  });

  test('views that wait for an answer hold up the others for a while and not for ever', () => {
    clock.advance(4_999);
    expect(taken).toHaveLength(4);
    clock.advance(1);
    expect(taken).toHaveLength(8);
    // Late, and once only.
    taken[0]?.answered();
    expect(taken).toHaveLength(8);
  });
});
