import { StreamedBody } from './streamed-answer.ts';

const kibibyte = Buffer.alloc(1024, 'x');

function newBody(): { body: StreamedBody; calls: string[] } {
  const calls: string[] = [];
  const body = new StreamedBody({ resume: () => calls.push('resume'), abort: () => calls.push('abort') });
  return { body, calls };
}

test('what comes in one turn is one piece', async () => {
  const { body } = newBody();
  const first = body.next();
  body.push(Buffer.from('a'), 'given');
  await Promise.resolve();
  body.push(Buffer.from('b'), 'given');
  expect((await first).value?.toString()).toBe('ab');
});

test('a piece is bounded, and others have a turn before the next one', async () => {
  const { body, calls } = newBody();
  for (let i = 0; i < 256; i += 1) expect(body.push(kibibyte, 'given')).toBe(true);
  expect(body.push(kibibyte, 'given')).toBe(false);
  let turns = 0;
  const count = (): void => {
    turns += 1;
    if (turns < 10) setImmediate(count);
  };
  setImmediate(count);
  expect((await body.next()).value?.length).toBe(128 << 10);
  expect(calls).toEqual([]);
  const before = turns;
  expect((await body.next()).value?.length).toBe(128 << 10);
  expect(turns).toBeGreaterThan(before);
  expect(calls).toEqual(['resume']);
});

test('a chunk that is larger than a piece comes whole', async () => {
  const { body } = newBody();
  body.push(Buffer.alloc(300 << 10), 'given');
  expect((await body.next()).value?.length).toBe(300 << 10);
});

test('what came before the connection broke is read before the error', async () => {
  const { body, calls } = newBody();
  body.push(Buffer.from('a'), 'given');
  body.end(new Error('lost'));
  expect((await body.next()).value?.toString()).toBe('a');
  await expect(body.next()).rejects.toThrow('lost');
  await body.closed;
  expect(await body.next()).toEqual({ done: true, value: undefined });
  expect(calls).toEqual([]);
});

test('a reader that waits is told of the end', async () => {
  const { body } = newBody();
  const next = body.next();
  body.end(undefined);
  expect(await next).toEqual({ done: true, value: undefined });
  await body.closed;
});

test('given up, it reads nothing more and tells its reader why', async () => {
  const { body, calls } = newBody();
  body.push(Buffer.from('a'), 'given');
  const next = body.next();
  body.destroy(new Error('stopped'));
  await expect(next).rejects.toThrow('stopped');
  body.push(Buffer.from('b'), 'given');
  expect(await body.next()).toEqual({ done: true, value: undefined });
  expect(calls).toEqual(['abort']);
});

test('a reader that leaves gives the exchange up', async () => {
  const { body, calls } = newBody();
  body.push(Buffer.from('a'), 'given');
  for await (const _piece of body) break;
  await body.closed;
  expect(calls).toEqual(['abort']);
});

test('what comes although the flow was stopped does not keep it from going on later', async () => {
  const { body, calls } = newBody();
  for (let i = 0; i < 257; i += 1) body.push(kibibyte, 'given');
  await body.next();
  expect(body.push(kibibyte, 'given')).toBe(false);
  await body.next();
  expect(calls).toEqual(['resume']);
});

test('a large answer that comes in memory of others is the same, in blocks that are used again once they are read', async () => {
  const { body } = newBody();
  let isFree = false;
  body.reuse(() => isFree);
  const lent = Buffer.alloc(10_000);
  const expected: Buffer[] = [];
  const got: Buffer[] = [];
  const memory = new Set<ArrayBufferLike>();
  for (let turn = 0; turn < 100; turn += 1) {
    for (let i = 0; i < 10; i += 1) {
      lent.fill(turn + i);
      expected.push(Buffer.from(lent));
      body.push(lent, 'lent');
    }
    const { value } = await body.next();
    got.push(Buffer.from(value as Buffer));
    if (turn >= 50) memory.add((value as Buffer).buffer);
    isFree = turn >= 50;
  }
  body.end(undefined);
  for await (const piece of body) got.push(Buffer.from(piece));
  expect(Buffer.concat(got).equals(Buffer.concat(expected))).toBe(true);
  expect(memory.size).toBeLessThan(5);
});

test('a piece that somebody still reads is not written over', async () => {
  const { body } = newBody();
  body.reuse(() => false);
  const pieces: Buffer[] = [];
  for (let turn = 0; turn < 20; turn += 1) {
    body.push(Buffer.alloc(100_000, turn), 'lent');
    const { value } = await body.next();
    pieces.push(value as Buffer);
  }
  for (const [turn, piece] of pieces.entries()) expect(piece.every((byte) => byte === turn)).toBe(true);
});
