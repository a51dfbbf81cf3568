import fc from 'fast-check';
import { HeadReader, type Head } from './http-head.ts';

// One seed, so that a gate fails for what changed; HOLDFAST_FUZZ_SEED tries others.
const seed = Number(process.env['HOLDFAST_FUZZ_SEED'] ?? 20_261_121);

const none = Buffer.alloc(0);
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

/** What the first piece gives that gives something. */
function inPieces(maxBytes: number, whole: Buffer, cuts: readonly number[]): Head | 'too-long' | undefined {
  const reader = new HeadReader(maxBytes);
  const at = [...new Set([0, ...cuts.map((cut) => cut % (whole.length + 1)), whole.length])].sort((a, b) => a - b);
  for (const [i, to] of at.slice(1).entries()) {
    const head = reader.take(whole.subarray(at[i], to));
    if (head !== undefined) return head;
  }
  return undefined;
}

/** What a reader has to say of all that comes, in as few words as there are. */
function expected(maxBytes: number, whole: string): string {
  const end = whole.indexOf('\r\n\r\n');
  if ((end === -1 ? whole.length - 3 : end) > maxBytes) return 'too-long';
  return end === -1 ? 'nothing' : (whole.split('\r\n')[0] ?? '');
}

function expectHead(head: Head | 'too-long' | undefined): Head {
  expect(head).toMatchObject({ startLine: expect.any(String) });
  return head as Head;
}

test('a head may come in any pieces, and what comes behind it is kept apart', () => {
  const text = 'HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\n\r\n';
  for (let cut = 1; cut < text.length; cut += 1) {
    const reader = new HeadReader(4_096);
    expect(reader.take(bytes(text.slice(0, cut)))).toBeUndefined();
    const head = expectHead(reader.take(bytes(`${text.slice(cut)}hel`)));
    expect(head).toMatchObject({ startLine: 'HTTP/1.1 200 OK', contentLength: 5, isEncoded: false });
    expect(head.rest.toString()).toBe('hel');
  }
});

test('one reader takes one head after the other', () => {
  const reader = new HeadReader(4_096);
  for (const path of ['/a', '/b'])
    expect(expectHead(reader.take(bytes(`GET ${path} HTTP/1.1\r\n\r\n`))).startLine).toContain(path);
});

test.each([
  ['Content-Length: 3', 3],
  ['content-length:0', 0],
  ['Content-Length: 3\r\nContent-Length: 3', Number.NaN],
  ['Content-Length: -1', Number.NaN],
  ['Content-Length: 0x10', Number.NaN],
  ['Content-Length: 99999999999', Number.NaN],
  ['X-Content-Length: 3', undefined],
])('%j says a length of %p', (field, length) => {
  const head = expectHead(new HeadReader(4_096).take(bytes(`HTTP/1.1 200 OK\r\n${field}\r\n\r\n`)));
  expect(head.contentLength).toBe(length);
});

test('a transfer encoding is seen, however it is written', () => {
  const head = new HeadReader(4_096).take(bytes('GET /probe HTTP/1.1\r\ntransfer-ENCODING: chunked\r\n\r\n'));
  expect(expectHead(head).isEncoded).toBe(true);
});

test('a head has its bound, whole or not, and a body behind it does not count', () => {
  const long = `GET / HTTP/1.1\r\nX: ${'x'.repeat(200)}`;
  expect(new HeadReader(100).take(bytes(long))).toBe('too-long');
  expect(new HeadReader(100).take(bytes(`${long}\r\n\r\n`))).toBe('too-long');
  const head = new HeadReader(100).take(bytes(`GET / HTTP/1.1\r\n\r\n${'y'.repeat(200)}`));
  expect(expectHead(head).rest).toHaveLength(200);
});

test('whatever comes, how it was cut does not matter', () => {
  // Rich in what heads are made of, so that ends of heads occur, and parts of ends.
  const garbage = fc
    .array(
      fc.constantFrom('\r\n\r\n', '\r\n', '\r', '\n', ':', ' ', 'HTTP/1.1 200', 'Content-Length', '3', '\0', 'ÿ'),
      {
        maxLength: 60,
      },
    )
    .map((words) => bytes(words.join('')));
  fc.assert(
    fc.property(garbage, fc.array(fc.nat(400), { maxLength: 8 }), fc.nat(120), (text, cuts, maxBytes) => {
      const end = text.indexOf('\r\n\r\n');
      // As far as the last byte of the head's end: what comes behind it in a piece of its own is not the reader's.
      const whole = end === -1 ? text : text.subarray(0, end + 4);
      for (const head of [inPieces(maxBytes, whole, cuts), new HeadReader(maxBytes).take(text)])
        expect(typeof head === 'object' ? head.startLine : (head ?? 'nothing')).toBe(
          expected(maxBytes, whole.toString('latin1')),
        );
      const atOnce = new HeadReader(text.length).take(text);
      expect(typeof atOnce === 'object' ? atOnce.rest : none).toEqual(text.subarray(whole.length));
    }),
    { seed, numRuns: 500 },
  );
});
