// What counts as a plain request, and that everything else is left to node's parser.
import fc from 'fast-check';
import { requestHeaders } from '../request-head.ts';
import { plainHead, RequestFieldNames, type PlainHead } from './plain-head.ts';

const read = (text: string): PlainHead | undefined => plainHead(text, new RequestFieldNames());
const head = (...fields: string[]): string => ['GET /api/v1/pods?limit=5 HTTP/1.1', ...fields].join('\r\n');

test('a GET as clients send it', () => {
  const found = read(
    head(
      'Host: hub',
      'User-Agent: kubelet',
      'Accept:  application/json \t',
      'X-A: 1',
      'x-a:',
      'Connection: Keep-Alive',
    ),
  );
  expect(found).toMatchObject({ method: 'GET', target: '/api/v1/pods?limit=5' });
  expect({ ...found?.headers }).toEqual({ 'user-agent': 'kubelet', accept: 'application/json', 'x-a': ['1', ''] });
});

test('what claims an identity or concerns one connection goes no further', () => {
  const found = read(head('Host: hub', 'X-Remote-User: admin', 'Proxy-Authorization: Basic eA=='));
  expect({ ...found?.headers }).toEqual({});
});

test.each([
  ['another method', 'POST /a HTTP/1.1\r\nHost: a'],
  ['another version', 'GET /a HTTP/1.0\r\nHost: a'],
  ['a version that goes on', 'GET /a HTTP/1.1 x\r\nHost: a'],
  ['a lower-case version', 'GET /a http/1.1\r\nHost: a'],
  ['two spaces', 'GET  /a HTTP/1.1\r\nHost: a'],
  ['a tab', 'GET\t/a HTTP/1.1\r\nHost: a'],
  ['an absolute target', 'GET https://other/a HTTP/1.1\r\nHost: a'],
  ['an asterisk', 'GET * HTTP/1.1\r\nHost: a'],
  ['a fragment', 'GET /a#b HTTP/1.1\r\nHost: a'],
  ['a control character in the target', 'GET /\u0001 HTTP/1.1\r\nHost: a'],
  ['a line before it', '\r\nGET /a HTTP/1.1\r\nHost: a'],
  ['no host', 'GET /a HTTP/1.1\r\nX: a'],
  ['no fields at all', 'GET /a HTTP/1.1'],
  ['two hosts', head('Host: a', 'Host: b')],
  ['a length', head('Host: a', 'Content-Length: 0')],
  ['a coding', head('Host: a', 'Transfer-Encoding: chunked')],
  ['a coding behind a tab', head('Host: a', 'Transfer-Encoding:\tchunked')],
  ['an upgrade', head('Host: a', 'Upgrade: websocket')],
  ['an expectation', head('Host: a', 'Expect: 100-continue')],
  ['trailers announced', head('Host: a', 'Trailer: X')],
  ['a connection to be closed', head('Host: a', 'Connection: close')],
  ['a field named as its connection’s', head('Host: a', 'Connection: keep-alive, X-Hop', 'X-Hop: 1')],
  ['a space before the colon', head('Host: a', 'X : b')],
  ['a folded field', head('Host: a', 'X: b', ' c: d')],
  ['a field without a colon', head('Host: a', 'X')],
  ['an empty name', head('Host: a', ': b')],
  ['an empty line within', head('Host: a', '', 'X: b')],
  ['a bare line feed', head('Host: a', 'X: b\nTransfer-Encoding: chunked')],
  ['a bare carriage return', head('Host: a', 'X: b\rTransfer-Encoding: chunked')],
  ['a carriage return at the end', head('Host: a', 'X: b\r')],
  ['a NUL', head('Host: a', 'X: b\0')],
])('%s: not plain', (_name, text) => {
  expect(read(text)).toBeUndefined();
  // Nor once the names are known.
  const names = new RequestFieldNames();
  plainHead(head('Host: a', 'X: b', 'Content-Type: c'), names);
  expect(plainHead(text, names)).toBeUndefined();
});

test('headers are those that node’s way gives for the same fields', () => {
  const name = fc.constantFrom(
    'Accept',
    'X-A',
    'x-a',
    'Cookie',
    'Authorization',
    'X-Remote-Group',
    'Impersonate-Group',
  );
  const value = fc.string({ unit: fc.constantFrom('a', 'B', ' ', '\t', ':', ',', '\x80', '\xff', '"') });
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 12 }), (fields) => {
      const found = read(head('Host: hub', ...fields.map(([key, text]) => `${key}: ${text}`)));
      const trimmed = fields.flatMap(([key, text]) => [key, text.replace(/^[ \t]+|[ \t]+$/g, '')]);
      expect({ ...found?.headers }).toEqual({ ...requestHeaders(trimmed) });
    }),
  );
});

test('only so many names are remembered, and all of them are read', () => {
  const names = new RequestFieldNames();
  for (let count = 0; count < 1_000; count += 1)
    expect({ ...plainHead(head('Host: a', `X-${count}: b`), names)?.headers }).toEqual({ [`x-${count}`]: 'b' });
});
