// Header blocks that we write: a decoder reads them as they were meant, and what is said again costs next to nothing.
import fc from 'fast-check';
import { HpackDecoder } from './hpack-decoder.ts';
import { HpackEncoder, type OutgoingField } from './hpack-encoder.ts';

const bytesOf = (block: string): Buffer => Buffer.from(block, 'latin1');
const remembered = (...pairs: [string, string][]): OutgoingField[] =>
  pairs.map(([name, value]) => [name, value, 'remembered']);

test('requests as RFC 7541 C.3 writes them', () => {
  const encoder = new HpackEncoder();
  const first = remembered([':method', 'GET'], [':scheme', 'http'], [':path', '/'], [':authority', 'www.example.com']);
  expect(bytesOf(encoder.encode(first)).toString('hex')).toBe('828684410f7777772e6578616d706c652e636f6d');
  const second = [...first, ...remembered(['cache-control', 'no-cache'])];
  expect(bytesOf(encoder.encode(second)).toString('hex')).toBe('828684be58086e6f2d6361636865');
});

test('what is said again is a number, what is secret is written each time so that nobody remembers it', () => {
  const encoder = new HpackEncoder();
  const fields: OutgoingField[] = [
    ['user-agent', 'kubelet', 'remembered'],
    [':path', '/a', 'once'],
    ['authorization', 'Bearer x', 'secret'],
  ];
  encoder.encode(fields);
  const again = bytesOf(encoder.encode(fields)).toString('latin1');
  expect(again).toBe('\xbe\x04\x02/a\x1f\x08\x08Bearer x');
});

const name = fc.constantFrom(':path', 'accept', 'user-agent', 'x-a', 'x-b', 'authorization');
const field = fc.tuple(
  name,
  fc.string({ unit: fc.constantFrom('a', 'b', '\xe4'), maxLength: 300 }),
  fc.constantFrom('remembered' as const, 'once' as const, 'secret' as const),
);
const step = fc.oneof(fc.array(field, { maxLength: 8 }), fc.nat(5_000));

test('a decoder reads any blocks as they were meant, whatever its limit is meanwhile', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const [encoder, decoder] = [new HpackEncoder(), new HpackDecoder()];
      for (const given of steps) {
        if (typeof given === 'number') {
          encoder.limit(given);
          continue;
        }
        const read = decoder.decode(bytesOf(encoder.encode(given)));
        expect(read.map(({ name, value }) => [name, value])).toEqual(given.map(([name, value]) => [name, value]));
      }
    }),
    { numRuns: 500 },
  );
});

test.each([
  ['a line break', 'x', 'a\r\nb: c'],
  ['a NUL', 'x', 'a\0'],
  ['a character of two bytes', 'x', '\u0100'],
  ['a name with capitals', 'X', 'a'],
])('%s is not written, and nothing else has changed', (_what, wrong, value) => {
  const [encoder, decoder] = [new HpackEncoder(), new HpackDecoder()];
  expect(() => encoder.encode(remembered(['a', 'b'], [wrong, value]))).toThrow(TypeError);
  expect(decoder.decode(bytesOf(encoder.encode(remembered(['a', 'b'])))).length).toBe(1);
});
