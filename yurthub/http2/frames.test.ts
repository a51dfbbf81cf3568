// Cutting bytes into frames: the same whatever way they arrive.
import fc from 'fast-check';
import { ConnectionError } from './errors.ts';
import { frame, FrameReader, headerFrames, maxFrameBytes, preface } from './frames.ts';

type Seen = [type: number, flags: number, id: number, payload: string];

function read(pieces: readonly Uint8Array[]): Seen[] {
  const seen: Seen[] = [];
  const reader = new FrameReader((type, flags, id, payload) =>
    seen.push([type, flags, id, payload.toString('latin1')]),
  );
  for (const piece of pieces) reader.feed(Buffer.from(piece));
  return seen;
}

test('frames are the same whatever way the bytes are cut', () => {
  const frames: Seen[] = [
    [4, 0, 0, ''],
    [1, 5, 1, 'head'],
    [0, 1, 0x7fffffff, 'x'.repeat(maxFrameBytes)],
    [99, 255, 3, 'unknown'],
  ];
  const whole = Buffer.concat([preface, ...frames.map(([a, b, c, text]) => frame(a, b, c, Buffer.from(text)))]);
  fc.assert(
    fc.property(fc.array(fc.nat(whole.length), { maxLength: 20 }), (places) => {
      const at = [0, ...places.toSorted((a, b) => a - b), whole.length];
      expect(read(at.slice(1).map((to, index) => whole.subarray(at[index], to)))).toEqual(frames);
    }),
  );
  expect(read([...whole].map((byte) => Uint8Array.of(byte)))).toEqual(frames);
});

test('the reserved bit of a stream’s number is not looked at', () => {
  expect(read([preface, frame(6, 0, 0x80000001, Buffer.alloc(0))])).toEqual([[6, 0, 1, '']]);
});

test.each([
  ['another preface', Buffer.from('GET / HTTP/1.1\r\n')],
  ['a preface that goes wrong', Buffer.concat([preface.subarray(0, 20), Buffer.from('xxxx')])],
  ['a frame that is too large', Buffer.concat([preface, Buffer.from('004001000000000000', 'hex')])],
])('%s: the connection is over', (_name, bytes) => {
  expect(() => read([bytes])).toThrow(ConnectionError);
  expect(() => read([...bytes].map((byte) => Uint8Array.of(byte)))).toThrow(ConnectionError);
});

test('a long header block is continued', () => {
  const block = 'x'.repeat(2 * maxFrameBytes + 1);
  const [bytes, at] = headerFrames(5, block, true, 7);
  expect(bytes.length - at).toBe(7);
  const seen = read([preface, bytes.subarray(0, at)]);
  expect(seen.map(([type, flags, id, { length }]) => [type, flags, id, length])).toEqual([
    [1, 1, 5, maxFrameBytes],
    [9, 0, 5, maxFrameBytes],
    [9, 4, 5, 1],
  ]);
});
