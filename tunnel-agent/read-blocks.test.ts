import { blockBytes, ReadBlocks } from './read-blocks.ts';

function arrived(blocks: ReadBlocks, bytes: number, value: number): Buffer {
  blocks.into.fill(value, 0, bytes);
  return blocks.copy(bytes);
}

test('a copy stays what it is while others arrive', () => {
  const blocks = new ReadBlocks();
  const copies = [10_000, 5, blockBytes].map((bytes, i) => arrived(blocks, bytes, i + 1));
  expect(copies.map((copy) => [copy.length, copy[0], copy.at(-1)])).toEqual([
    [10_000, 1, 1],
    [5, 2, 2],
    [blockBytes, 3, 3],
  ]);
});

test('a block that is given back is used again, and once', () => {
  const blocks = new ReadBlocks();
  const first = arrived(blocks, 10_000, 1);
  blocks.giveBack(first);
  blocks.giveBack(first);
  const second = arrived(blocks, 20_000, 2);
  const third = arrived(blocks, 20_000, 3);
  expect(second.buffer).toBe(first.buffer);
  expect(third.buffer).not.toBe(first.buffer);
});

test('what was never lent, a small copy among it, is not kept', () => {
  const blocks = new ReadBlocks();
  const small = arrived(blocks, 100, 1);
  blocks.giveBack(small);
  const foreign = Buffer.from(new ArrayBuffer(blockBytes));
  blocks.giveBack(foreign);
  const next = arrived(blocks, 10_000, 2);
  expect([small.buffer, foreign.buffer]).not.toContain(next.buffer);
});

test('it keeps no more than it needs', () => {
  const blocks = new ReadBlocks();
  const lent = Array.from({ length: 40 }, () => arrived(blocks, blockBytes, 1));
  for (const chunk of lent) blocks.giveBack(chunk);
  const known = new Set(lent.map(({ buffer }) => buffer));
  const again = Array.from({ length: 40 }, () => arrived(blocks, blockBytes, 1));
  expect(again.filter(({ buffer }) => known.has(buffer))).toHaveLength(16);
});
