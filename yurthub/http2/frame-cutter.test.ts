// Frames are the same whatever way the bytes come, and wherever they are read to.
import fc from 'fast-check';
import { ConnectionError } from './errors.ts';
import { FrameCutter } from './frame-cutter.ts';
import { Flag, frame, FrameType, maxFrameBytes } from './frames.ts';

/** What was found in the pieces, each read into the same memory as the one before. */
function cut(pieces: readonly Buffer[]): string[] {
  const seen: string[] = [];
  let content = '';
  const block = Buffer.alloc(1 << 20);
  const cutter = new FrameCutter({
    data: (id, bytes) => {
      content = '';
      seen.push(`data ${id} ${bytes}`);
    },
    content: (id, bytes) => {
      if (content !== '') seen.pop();
      content += bytes.toString('latin1');
      seen.push(`content ${id} ${content}`);
    },
    dataEnded: (id) => seen.push(`ended ${id}`),
    frame: (type, flags, id, payload) => seen.push(`${type} ${flags} ${id} ${payload.toString('latin1')}`),
  });
  for (const piece of pieces) {
    piece.copy(block);
    cutter.feed(block.subarray(0, piece.length));
    block.fill('!');
  }
  return seen;
}

const frames = Buffer.concat([
  frame(FrameType.settings, 0, 0, Buffer.alloc(0)),
  frame(FrameType.headers, Flag.endHeaders, 1, Buffer.from('head')),
  frame(FrameType.data, 0, 1, Buffer.from('some content')),
  frame(FrameType.data, Flag.padded, 1, Buffer.from('\x03abc\0\0\0')),
  frame(FrameType.data, Flag.padded | Flag.endStream, 3, Buffer.from('\0')),
  frame(FrameType.data, Flag.padded, 3, Buffer.from('\x02\0\0')),
  frame(FrameType.data, Flag.endStream, 1, Buffer.alloc(0)),
  frame(99, 255, 5, Buffer.from('unknown')),
]);
const found = [
  '4 0 0 ',
  '1 4 1 head',
  'data 1 12',
  'content 1 some content',
  'data 1 7',
  'content 1 abc',
  'data 3 1',
  'ended 3',
  'data 3 3',
  'data 1 0',
  'ended 1',
  '99 255 5 unknown',
];

test('all ways to cut the bytes give the same frames', () => {
  expect(cut([frames])).toEqual(found);
  expect(cut([...frames].map((byte) => Buffer.of(byte)))).toEqual(found);
  fc.assert(
    fc.property(fc.array(fc.nat(frames.length), { maxLength: 20 }), (places) => {
      const at = [0, ...places.toSorted((a, b) => a - b), frames.length];
      expect(cut(at.slice(1).map((to, index) => frames.subarray(at[index], to)))).toEqual(found);
    }),
  );
});

test('the content of a large frame comes as it arrives', () => {
  const whole = frame(FrameType.data, 0, 1, Buffer.alloc(maxFrameBytes, 'x'));
  expect(cut([whole.subarray(0, 100)])).toEqual([`data 1 ${maxFrameBytes}`, `content 1 ${'x'.repeat(91)}`]);
});

test.each([
  ['a frame that is too large', Buffer.from('004001000000000000', 'hex')],
  ['a padded frame that is empty', Buffer.from('000000000800000001', 'hex')],
  ['more padding than there is', Buffer.from('0000020008000000010200', 'hex')],
])('%s: the connection is over', (_what, bytes) => {
  expect(() => cut([bytes])).toThrow(ConnectionError);
});
