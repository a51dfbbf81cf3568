import { proxyToken } from './proxy-credential.ts';

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

test.each([
  ['Bearer abc.def', 'abc.def'],
  ['bearer  abc', 'abc'],
  [basic('prometheus:abc.def'), 'abc.def'],
  [basic(':abc'), 'abc'],
  [basic('user:with:colon'), 'with:colon'],
  [basic('user:'), undefined],
  [basic('token'), undefined],
  ['Digest abc', undefined],
  ['Bearer', undefined],
  ['Bearer a b', undefined],
  [undefined, undefined],
])('%j gives %j', (header, token) => {
  expect(proxyToken(header)).toBe(token);
});
