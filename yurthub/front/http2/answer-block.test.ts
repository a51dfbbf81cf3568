// Heads as they are written, for a connection that remembers the last ones.
import { AnswerBlocks } from './answer-block.ts';
import { HpackDecoder } from '../../http2/hpack-decoder.ts';

const read = (block: string): string[] =>
  new HpackDecoder().decode(Buffer.from(block, 'latin1')).map(({ name, value }) => `${name}: ${value}`);

test('each head says its own values, whatever the one before said', () => {
  const blocks = new AnswerBlocks();
  for (const etag of ['a', 'a', 'b', 'x'.repeat(300), 'b'])
    expect(read(blocks.head(200, { etag, date: 'today' }))).toEqual([':status: 200', `etag: ${etag}`, 'date: today']);
  expect(read(blocks.head(404, { etag: ['a', 'b'] }))).toEqual([':status: 404', 'etag: a', 'etag: b']);
});

test('more names than are remembered are written all the same', () => {
  const blocks = new AnswerBlocks();
  const headers = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`x-${index}`, `${index}`]));
  for (let time = 0; time < 2; time += 1) expect(read(blocks.fields(headers))).toHaveLength(100);
});

test('what cannot be written is refused each time', () => {
  const blocks = new AnswerBlocks();
  for (let time = 0; time < 2; time += 1) {
    expect(() => blocks.fields({ etag: 'a\r\nset-cookie: b' })).toThrow(TypeError);
    expect(() => blocks.fields({ 'Bad Name': 'a' })).toThrow(TypeError);
  }
});
