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
  body.push(Buffer.from('a'));
  await Promise.resolve();
  body.push(Buffer.from('b'));
  expect((await first).value?.toString()).toBe('ab');
});

test('a piece is bounded, and others have a turn before the next one', async () => {
  const { body, calls } = newBody();
  for (let i = 0; i < 256; i += 1) expect(body.push(kibibyte)).toBe(true);
  expect(body.push(kibibyte)).toBe(false);
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
  body.push(Buffer.alloc(300 << 10));
  expect((await body.next()).value?.length).toBe(300 << 10);
});

test('what came before the connection broke is read before the error', async () => {
  const { body, calls } = newBody();
  body.push(Buffer.from('a'));
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
  body.push(Buffer.from('a'));
  const next = body.next();
  body.destroy(new Error('stopped'));
  await expect(next).rejects.toThrow('stopped');
  body.push(Buffer.from('b'));
  expect(await body.next()).toEqual({ done: true, value: undefined });
  expect(calls).toEqual(['abort']);
});

test('a reader that leaves gives the exchange up', async () => {
  const { body, calls } = newBody();
  body.push(Buffer.from('a'));
  for await (const _piece of body) break;
  await body.closed;
  expect(calls).toEqual(['abort']);
});
