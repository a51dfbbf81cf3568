// Header blocks: the examples of RFC 7541, what is refused, and that nothing else happens whatever the bytes are.
import fc from 'fast-check';
import { ConnectionError } from './errors.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { requestHead } from '../front/http2/request-fields.ts';

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');
const pairs = (decoder: HpackDecoder, hex: string): string[] =>
  decoder.decode(bytes(hex)).map(({ name, value }) => `${name}: ${value}`);

test('requests without Huffman code (RFC 7541 C.3)', () => {
  const decoder = new HpackDecoder();
  const first = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'];
  expect(pairs(decoder, '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d')).toEqual(first);
  expect(pairs(decoder, '8286 84be 5808 6e6f 2d63 6163 6865')).toEqual([...first, 'cache-control: no-cache']);
});

test('requests with Huffman code (RFC 7541 C.4)', () => {
  const decoder = new HpackDecoder();
  const first = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'];
  expect(pairs(decoder, '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff')).toEqual(first);
  expect(pairs(decoder, '8286 84be 5886 a8eb 1064 9cbf')).toEqual([...first, 'cache-control: no-cache']);
  expect(pairs(decoder, '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf')).toEqual([
    ':method: GET',
    ':scheme: https',
    ':path: /index.html',
    ':authority: www.example.com',
    'custom-key: custom-value',
  ]);
});

test('fields leave a table that is too small for them (RFC 7541 C.6, a table of 256 bytes)', () => {
  const decoder = new HpackDecoder();
  const first = [
    ':status: 302',
    'cache-control: private',
    'date: Mon, 21 Oct 2013 20:13:21 GMT',
    'location: https://www.example.com',
  ];
  const block =
    '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3';
  expect(pairs(decoder, `3fe101 ${block}`)).toEqual(first);
  // `:status: 307` drives out `:status: 302`; the others move up.
  expect(pairs(decoder, '4883 640e ff c1c0bf')).toEqual([':status: 307', ...first.slice(1)]);
  expect(() => pairs(decoder, 'c2')).toThrow(ConnectionError);
});

test.each([
  ['index 0', '80'],
  ['an index beyond the table', 'be'],
  ['an integer without end', 'ffffffffffffffff'],
  ['an integer that is cut short', 'ff'],
  ['a name that is cut short', '0005 6162'],
  ['a value that is cut short', '0001 6105 62'],
  ['Huffman padding of eight bits', '0001 61 82 1fff'],
  ['Huffman padding with zeros', '0001 61 81 18'],
  ['the end of a string within one', '0001 61 84 ffffffff'],
  ['a table larger than we allow', '3fe23f'],
  ['a table size behind a field', '8220'],
])('%s: the connection is over', (_name, hex) => {
  expect(() => new HpackDecoder().decode(bytes(hex))).toThrow(ConnectionError);
});

test('any bytes give fields or the end of the connection', () => {
  const outcome = (blocks: readonly Uint8Array[]): unknown => {
    const decoder = new HpackDecoder();
    try {
      for (const block of blocks) requestHead(decoder.decode(Buffer.from(block)));
      return 'read';
    } catch (error) {
      return error instanceof ConnectionError ? 'refused' : error;
    }
  };
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), (blocks) => {
      expect(['read', 'refused']).toContain(outcome(blocks));
    }),
    { numRuns: 2_000 },
  );
});

const request: [string, string][] = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':path', '/a'],
  [':authority', 'hub'],
];
const literal = (text: string): string => `${String.fromCharCode(text.length)}${text}`;
const head = (fields: readonly [string, string][]): ReturnType<typeof requestHead> => {
  const block = fields.map(([name, value]) => `\0${literal(name)}${literal(value)}`).join('');
  return requestHead(new HpackDecoder().decode(Buffer.from(block, 'latin1')));
};

test('a request and its headers', () => {
  const found = head([...request, ['x-a', '1'], ['x-a', ' 2\t'], ['x-remote-user', 'admin'], ['te', 'trailers']]);
  expect({ ...found, headers: { ...found?.headers } }).toEqual({
    method: 'GET',
    target: '/a',
    headers: { 'x-a': ['1', '2'] },
    contentLength: undefined,
    expectsContinue: false,
  });
  expect(
    head([
      [':method', 'CONNECT'],
      [':authority', 'a:1'],
    ])?.target,
  ).toBeUndefined();
});

test.each<[string, [string, string][]]>([
  ['no method', request.slice(1)],
  ['no path', request.filter(([name]) => name !== ':path')],
  ['an empty path', request.map(([name, value]) => [name, name === ':path' ? '' : value])],
  ['two methods', [...request, [':method', 'GET']]],
  ['a pseudo header of an answer', [...request, [':status', '200']]],
  ['an unknown pseudo header', [...request, [':protocol', 'websocket']]],
  ['a pseudo header behind others', [...request.slice(1), ['x', 'y'], [':method', 'GET']]],
  ['CONNECT with a path', [...request.slice(1), [':method', 'CONNECT']]],
  ['a space in the method', [[':method', 'GET /b'], ...request.slice(1)]],
  ['capitals in a name', [...request, ['X-A', '1']]],
  ['a line break in a value', [...request, ['x', 'a\r\nb: c']]],
  ['a line feed in a name', [...request, ['x\nb', 'a']]],
  ['a NUL', [...request, ['x', 'a\0']]],
  ['an empty name', [...request, ['', 'a']]],
  ['connection', [...request, ['connection', 'close']]],
  ['a coding', [...request, ['transfer-encoding', 'chunked']]],
  ['an upgrade', [...request, ['upgrade', 'websocket']]],
  ['te with more than trailers', [...request, ['te', 'gzip']]],
  ['two lengths', [...request, ['content-length', '1'], ['content-length', '1']]],
  ['a length that is none', [...request, ['content-length', '+1']]],
])('%s: malformed', (_name, fields) => {
  expect(head(fields)).toBeUndefined();
});
