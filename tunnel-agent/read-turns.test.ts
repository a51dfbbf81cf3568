import { setImmediate as looked } from 'node:timers/promises';
import { ManualClock } from '../runtime/manual-clock.ts';
import { freeBytes, patienceMs, ReadTurns, type Turn } from './read-turns.ts';

const large = 60 * 1024;

let clock: ManualClock;
let turns: ReadTurns;
/** Whose turn it was, one after the other. */
let called: string[];

beforeEach(() => {
  clock = new ManualClock();
  turns = new ReadTurns({ clock });
  called = [];
});

function join(name: string): Turn {
  // Of this test: who is asked in a later turn of the event loop is nobody else's concern.
  const mine = called;
  return turns.join(() => mine.push(name));
}

test('one large piece is on its way at a time, and each waits for its turn', async () => {
  const [a, b, c] = [join('a'), join('b'), join('c')];
  expect([a.took(large), b.took(large), c.took(large)]).toEqual([false, false, false]);
  a.done(large);
  b.done(large);
  await looked();
  expect(called).toEqual([]);
  c.done(large);
  expect(called).toEqual(['a']);
  expect(a.took(large)).toBe(false);
  await looked();
  expect(called).toEqual(['a']);
  a.done(large);
  expect(called).toEqual(['a', 'b']);
});

test('alone one goes on as soon as its piece has gone', () => {
  const a = join('a');
  for (let i = 1; i <= 3; i += 1) {
    expect(a.took(large)).toBe(false);
    a.done(large);
    expect(called).toHaveLength(i);
  }
});

test('little pieces never wait', () => {
  const [a, b] = [join('a'), join('b')];
  a.took(large);
  expect(Array.from({ length: 10 }, () => b.took(freeBytes))).not.toContain(false);
});

test('whose turn it is may have nothing to say: the next one is asked when the event loop has looked', async () => {
  const [a, b, c] = [join('a'), join('b'), join('c')];
  for (const each of [a, b, c]) each.took(large);
  for (const each of [a, b, c]) each.done(large);
  expect(called).toEqual(['a']);
  await looked();
  expect(called).toEqual(['a', 'b']);
  await looked();
  expect(called).toEqual(['a', 'b', 'c']);
});

test('a reader that stalls holds nobody back for longer than patience lasts, and its piece lets nobody in when it goes at last', async () => {
  const [stalled, b, c] = [join('stalled'), join('b'), join('c')];
  stalled.took(large);
  clock.advance(patienceMs);
  expect(called).toEqual(['stalled']);
  stalled.took(large); // held back now, by its own stream
  b.took(large);
  b.done(large);
  expect(called).toEqual(['stalled']);
  clock.advance(patienceMs);
  expect(called).toEqual(['stalled', 'stalled']);
  await looked();
  expect(called).toEqual(['stalled', 'stalled', 'b']);
  b.took(large);
  c.took(large);
  stalled.done(large);
  stalled.done(large);
  await looked();
  expect(called).toEqual(['stalled', 'stalled', 'b']);
  b.done(large);
  c.done(large);
  expect(called).toEqual(['stalled', 'stalled', 'b', 'b']);
});

test('patience is not lost while pieces go', () => {
  const [a, b] = [join('a'), join('b')];
  a.took(2 * large);
  b.took(large);
  for (let i = 0; i < 10; i += 1) {
    clock.advance(patienceMs - 1);
    a.done(1_000);
  }
  expect(called).toEqual([]);
});

test('who leaves is not called, and what it had on its way no longer counts once it is over', async () => {
  const [a, b] = [join('a'), join('b')];
  a.took(large);
  b.took(large);
  b.done(large);
  a.leave();
  a.done(large);
  await looked();
  expect(called).toEqual(['b']);
});
