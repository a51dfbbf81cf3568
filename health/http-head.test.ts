import { HeadReader } from './http-head.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

test('a head may come in any pieces, and what comes behind it is kept apart', () => {
  const text = 'HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\n\r\n';
  for (let cut = 1; cut < text.length; cut += 1) {
    const reader = new HeadReader(4_096);
    expect(reader.take(bytes(text.slice(0, cut)))).toBeUndefined();
    const head = reader.take(bytes(`${text.slice(cut)}hel`));
    expect(head).toMatchObject({ startLine: 'HTTP/1.1 200 OK', contentLength: 5, isEncoded: false });
    expect(head?.rest.toString()).toBe('hel');
  }
});

test('one reader takes one head after the other', () => {
  const reader = new HeadReader(4_096);
  for (const path of ['/a', '/b'])
    expect(reader.take(bytes(`GET ${path} HTTP/1.1\r\n\r\n`))?.startLine).toContain(path);
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
  expect(new HeadReader(4_096).take(bytes(`HTTP/1.1 200 OK\r\n${field}\r\n\r\n`))?.contentLength).toBe(length);
});

test('a transfer encoding is seen, however it is written', () => {
  const head = new HeadReader(4_096).take(bytes('GET /probe HTTP/1.1\r\ntransfer-ENCODING: chunked\r\n\r\n'));
  expect(head?.isEncoded).toBe(true);
});

test('a head has its bound, whole or not, and a body behind it does not count', () => {
  const long = `GET / HTTP/1.1\r\nX: ${'x'.repeat(200)}`;
  expect(() => new HeadReader(100).take(bytes(long))).toThrow(/longer than 100 bytes/);
  expect(() => new HeadReader(100).take(bytes(`${long}\r\n\r\n`))).toThrow(/longer than 100 bytes/);
  const head = new HeadReader(100).take(bytes(`GET / HTTP/1.1\r\n\r\n${'y'.repeat(200)}`));
  expect(head?.rest).toHaveLength(200);
});
