// Cutting bytes into answers: the same whatever way they arrive, and nothing that could be read in two ways.
import fc from 'fast-check';
import { FieldNames } from './answer-head.ts';
import { AnswerParser, maxHeadBytes } from './answer-parser.ts';

type Heard = [string, ...unknown[]];

/** What is heard of answers to requests with these methods, when `pieces` arrive. */
function parse(pieces: readonly Buffer[], methods: readonly string[] = ['GET']): Heard[] {
  const heard: Heard[] = [];
  const waiting = [...methods];
  const next = (): void => {
    const method = waiting.shift();
    if (method !== undefined) parser.expect(method);
  };
  const parser: AnswerParser = new AnswerParser(
    {
      interim: (statusCode, headers) => heard.push(['interim', statusCode, { ...headers }]),
      head: ({ statusCode, headers, persistent }) => heard.push(['head', statusCode, { ...headers }, persistent]),
      data(chunk) {
        const last = heard.at(-1);
        if (last?.[0] === 'data') last[1] = `${String(last[1])}${chunk.toString('latin1')}`;
        else heard.push(['data', chunk.toString('latin1')]);
      },
      end(trailers) {
        heard.push(trailers === undefined ? ['end'] : ['end', { ...trailers }]);
        next();
      },
    },
    new FieldNames(),
  );
  next();
  try {
    // The buffer is overwritten after each piece, as the connection's is.
    const shared = Buffer.alloc(maxHeadBytes * 2);
    for (const piece of pieces) {
      piece.copy(shared);
      parser.feed(shared.subarray(0, piece.length));
      shared.fill(0);
    }
    if (!parser.finish()) heard.push(['cut short']);
  } catch (error) {
    heard.push(['refused', (error as { code: string }).code]);
  }
  return heard;
}

const whole = (text: string, ...methods: string[]): Heard[] =>
  parse([Buffer.from(text, 'latin1')], methods.length === 0 ? ['GET'] : methods);

const ok = 'HTTP/1.1 200 OK\r\n';

test.each<[string, string, string[], Heard[]]>([
  [
    'a length',
    `${ok}Content-Length: 5\r\nX-A:  b \r\nx-a: c\r\n\r\nhello`,
    ['GET'],
    [['head', 200, { 'content-length': '5', 'x-a': ['b', 'c'] }, true], ['data', 'hello'], ['end']],
  ],
  [
    'an empty body',
    `${ok}Content-Length: 0\r\n\r\n`,
    ['GET'],
    [['head', 200, { 'content-length': '0' }, true], ['end']],
  ],
  [
    'chunks, an extension and trailers',
    `${ok}Transfer-Encoding: Chunked\r\nTrailer: X-Sum\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n`,
    ['GET'],
    [
      ['head', 200, { trailer: 'X-Sum' }, true],
      ['data', 'abc0123456789'],
      ['end', { 'x-sum': '1' }],
    ],
  ],
  ['until the end', `${ok}\r\nall of it`, ['GET'], [['head', 200, {}, true], ['data', 'all of it'], ['end']]],
  [
    'HEAD and 304 with a length',
    `${ok}Content-Length: 5\r\n\r\nHTTP/1.1 304\r\nContent-Length: 5\r\n\r\n`,
    ['HEAD', 'GET'],
    [['head', 200, { 'content-length': '5' }, true], ['end'], ['head', 304, { 'content-length': '5' }, true], ['end']],
  ],
  [
    'interim answers',
    `HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n`,
    ['GET'],
    [['interim', 103, { link: 'a' }], ['head', 204, {}, true], ['end']],
  ],
  [
    'what Connection names',
    `${ok}Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nTE: b\r\nX-End: 2\r\nContent-Length: 0\r\n\r\n`,
    ['GET'],
    [['head', 200, { 'content-length': '0', 'x-end': '2' }, false], ['end']],
  ],
  [
    'HTTP/1.0',
    'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na',
    ['GET'],
    [['head', 200, { 'content-length': '1' }, false], ['data', 'a'], ['end']],
  ],
  [
    'names of Object',
    `${ok}__proto__: a\r\nconstructor: b\r\nconstructor: c\r\nContent-Length: 0\r\n\r\n`,
    ['GET'],
    [['head', 200, { ['__proto__']: 'a', constructor: ['b', 'c'], 'content-length': '0' }, true], ['end']],
  ],
])('%s, in one piece and byte by byte', (_name, text, methods, expected) => {
  expect(whole(text, ...methods)).toEqual(expected);
  expect(
    parse(
      [...Buffer.from(text, 'latin1')].map((byte) => Buffer.of(byte)),
      methods,
    ),
  ).toEqual(expected);
});

test.each([
  ['two lengths', `${ok}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`],
  ['a list of lengths', `${ok}Content-Length: 5, 5\r\n\r\nhello`],
  ['a signed length', `${ok}Content-Length: +5\r\n\r\nhello`],
  ['a length in hex', `${ok}Content-Length: 0x5\r\n\r\nhello`],
  ['an empty length', `${ok}Content-Length:\r\n\r\n`],
  ['a length beside a coding', `${ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['another coding', `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  ['a coding twice', `${ok}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['a coding in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a folded line', `${ok}X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n`],
  ['a folded line with a colon', `${ok}X-A: b\r\n c: d\r\nContent-Length: 0\r\n\r\n`],
  ['a space before the colon', `${ok}Content-Length : 5\r\n\r\nhello`],
  ['a name without a colon', `${ok}Content-Length\r\n\r\n`],
  ['no name', `${ok}: 5\r\n\r\n`],
  ['a bare line feed', `${ok}X-A: b\nContent-Length: 0\r\n\r\n`],
  ['a bare carriage return', `${ok}X-A: b\rContent-Length: 0\r\n\r\n`],
  ['a zero byte', `${ok}X-A: b\0\r\nContent-Length: 0\r\n\r\n`],
  ['HTTP/2.0', 'HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n'],
  ['status 099', 'HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status in another notation', 'HTTP/1.1 2e2 OK\r\nContent-Length: 0\r\n\r\n'],
  ['status 600', 'HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n'],
  ['an upgrade', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
  ['no end of interim answers', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(101)],
  ['a line before the status', `\r\n${ok}Content-Length: 0\r\n\r\n`],
  ['a chunk without a size', `${ok}Transfer-Encoding: chunked\r\n\r\n\r\n`],
  ['a chunk with a sign', `${ok}Transfer-Encoding: chunked\r\n\r\n-1\r\n`],
  ['a chunk of more than 4 GB', `${ok}Transfer-Encoding: chunked\r\n\r\n100000000\r\n`],
  ['a chunk longer than its size', `${ok}Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n`],
  ['a line feed after a chunk', `${ok}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n`],
  ['a long size line', `${ok}Transfer-Encoding: chunked\r\n\r\n3;${'x'.repeat(2_000)}`],
  ['a long head', `${ok}X-A: ${'x'.repeat(maxHeadBytes)}`],
  ['trailers without an end', `${ok}Transfer-Encoding: chunked\r\n\r\n0\r\n${'x: y\r\n'.repeat(20_000)}`],
  ['a folded trailer', `${ok}Transfer-Encoding: chunked\r\n\r\n0\r\nx: y\r\n z: a\r\n\r\n`],
])('%s is refused', (_name, text) => {
  const refused: Heard = ['refused', 'ERR_ANSWER_SYNTAX'];
  expect(whole(text).at(-1)).toEqual(refused);
  expect(parse([...Buffer.from(text, 'latin1')].map((byte) => Buffer.of(byte))).at(-1)).toEqual(refused);
});

test('an answer that nobody asked for is refused, and the one before it has ended', () => {
  expect(whole(`${ok}Content-Length: 1\r\n\r\na${ok}Content-Length: 1\r\n\r\nb`).slice(-3)).toEqual([
    ['data', 'a'],
    ['end'],
    ['refused', 'ERR_ANSWER_SYNTAX'],
  ]);
});

test.each([
  ['in the head', ok],
  ['in a body with a length', `${ok}Content-Length: 5\r\n\r\nhell`],
  ['in a large body', `${ok}Content-Length: 50000\r\n\r\nhell`],
  ['in a chunk', `${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhell`],
  ['before the last chunk', `${ok}Transfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n`],
  ['in the trailers', `${ok}Transfer-Encoding: chunked\r\n\r\n0\r\n`],
])('a connection that ends %s has cut the answer short', (_where, text) => {
  expect(whole(text).at(-1)).toEqual(['cut short']);
});

test('answers are the same in whatever pieces they arrive', () => {
  const body = fc.string({ unit: fc.constantFrom('a', '\r', '\n', ':', '0', ' '), maxLength: 40_000, size: 'max' });
  const answer = fc.oneof(
    body.map((text) => ({ text: `${ok}Content-Length: ${text.length}\r\nX: 1\r\n\r\n${text}`, body: text })),
    fc
      .array(
        body.filter((text) => text !== ''),
        { maxLength: 4 },
      )
      .map((chunks) => ({
        text: `${ok}Transfer-Encoding: chunked\r\n\r\n${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')}0\r\n\r\n`,
        body: chunks.join(''),
      })),
  );
  fc.assert(
    fc.property(
      fc.array(answer, { minLength: 1, maxLength: 4 }),
      fc.array(fc.nat(20_000), { maxLength: 20 }),
      (answers, cuts) => {
        const bytes = Buffer.from(answers.map(({ text }) => text).join(''), 'latin1');
        const pieces: Buffer[] = [];
        let rest = bytes;
        for (const cut of cuts) {
          pieces.push(rest.subarray(0, cut));
          rest = rest.subarray(cut);
        }
        const heard = parse(
          [...pieces, rest],
          answers.map(() => 'GET'),
        );
        const bodies = heard.filter(([kind]) => kind !== 'head').map(([kind, text]) => (kind === 'end' ? '|' : text));
        expect(bodies.join('')).toBe(answers.map((one) => `${one.body}|`).join(''));
      },
    ),
    { numRuns: 50 },
  );
});
