import { ManualClock } from '../../runtime/manual-clock.ts';
import { WorkQueue } from './work-queue.ts';

const signal = new AbortController().signal;

function queueUnderTest(): { queue: WorkQueue; clock: ManualClock; depths: number[]; waits: number[] } {
  const clock = new ManualClock();
  const depths: number[] = [];
  const waits: number[] = [];
  const queue = new WorkQueue(
    { clock, random: () => 1, depth: (n) => depths.push(n), waited: (ms) => waits.push(ms) },
    { retry: { firstMs: 100, longestMs: 1_000 }, retryRate: { perSecond: 10, burst: 3 } },
  );
  return { queue, clock, depths, waits };
}

/** The keys that are due now, each taken and done. */
async function takeAll(queue: WorkQueue): Promise<string[]> {
  const keys: string[] = [];
  const nothing = new AbortController();
  for (;;) {
    const next = queue.next(nothing.signal);
    nothing.abort();
    // What is due is given even so: `next` looks before it waits.
    const key = await next;
    if (key === undefined) return keys;
    keys.push(key);
    queue.done(key);
    return [...keys, ...(queue.size > 0 ? await takeAll(queue) : [])];
  }
}

test('a key that waits is not added again, and keys come in their order', async () => {
  const { queue, depths, waits, clock } = queueUnderTest();
  for (const key of ['a', 'b', 'a']) queue.add(key);
  clock.advance(40);
  expect([await queue.next(signal), await queue.next(signal)]).toEqual(['a', 'b']);
  expect(depths).toEqual([1, 2, 1, 0]);
  expect(waits).toEqual([40, 40]);
});

test('a key that is added while it is at work comes again, once, when it is done and not before', async () => {
  const { queue } = queueUnderTest();
  queue.add('a');
  await queue.next(signal);
  queue.add('a');
  queue.add('a');
  const next = queue.next(signal);
  queue.add('b');
  expect(await next).toBe('b');
  queue.done('a');
  expect(await queue.next(signal)).toBe('a');
  queue.done('a');
  queue.done('b');
  expect(queue.size).toBe(0);
});

test('a key that fails comes after pauses that double up to a bound, and at once after it went well', async () => {
  const { queue, clock } = queueUnderTest();
  const pauses: number[] = [];
  queue.add('a');
  for (let i = 0; i < 6; i += 1) {
    await queue.next(signal);
    pauses.push(queue.failed('a'));
    expect(queue.size).toBe(0);
    clock.advance(1_000);
  }
  expect(pauses).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  await queue.next(signal);
  queue.done('a');
  queue.add('a');
  await queue.next(signal);
  expect(queue.failed('a')).toBe(100);
});

test('many keys that fail together come at a bounded rate', async () => {
  const { queue } = queueUnderTest();
  const pauses: number[] = [];
  for (let i = 0; i < 23; i += 1) {
    queue.add(`key-${i}`);
    await queue.next(signal);
    pauses.push(queue.failed(`key-${i}`));
  }
  expect(pauses.slice(0, 3)).toEqual([100, 100, 100]);
  expect(pauses.at(-1)).toBeCloseTo(2_000);
});

test('a later look at a key is made once, at the earliest of the times that were asked for', async () => {
  const { queue, clock } = queueUnderTest();
  queue.addAfter('a', 500);
  queue.addAfter('a', 200);
  queue.addAfter('a', 900);
  clock.advance(199);
  expect(queue.size).toBe(0);
  clock.advance(1);
  expect(await takeAll(queue)).toEqual(['a']);
  clock.advance(5_000);
  expect(queue.size).toBe(0);
});

test('an abort ends the waiting, and what was cleared does not come', async () => {
  const { queue, clock } = queueUnderTest();
  const stop = new AbortController();
  const next = queue.next(stop.signal);
  stop.abort();
  expect(await next).toBeUndefined();
  queue.addAfter('a', 10);
  queue.add('b');
  queue.clear();
  clock.advance(100);
  expect(queue.size).toBe(0);
});
