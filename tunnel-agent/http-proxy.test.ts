import { bypassesProxy, parseProxy } from './http-proxy.ts';

test('a proxy is read as curl reads it, and what is none is refused without showing the password', () => {
  expect(parseProxy('')).toBeUndefined();
  expect(parseProxy('proxy:3128')).toEqual({ host: 'proxy', port: 3128, tls: false, authorization: undefined });
  expect(parseProxy('https://us%40er:p%3Aw@[2001:db8::1]')).toEqual({
    host: '2001:db8::1',
    port: 443,
    tls: true,
    authorization: `Basic ${Buffer.from('us@er:p:w').toString('base64')}`,
  });
  expect(() => parseProxy('socks5://user:secret@proxy:1080')).toThrow(/^must be http:\/\/(?!.*secret)/);
});

test.each([
  ['*', 'a.example.com', true],
  ['example.com', 'a.example.com', true],
  ['.example.com', 'A.Example.com', true],
  ['example.com', 'badexample.com', false],
  ['10.0.0.0/8, other', '10.1.2.3', true],
  ['10.0.0.0/8', '11.1.2.3', false],
  ['192.0.2.1', '192.0.2.1', true],
  ['2.1', '192.0.2.1', false],
  ['fd00::/8', 'fd00::1', true],
  ['bad/8', 'bad', false],
  ['', 'a', false],
])('NO_PROXY=%s and %s: direct is %s', (noProxy, host, direct) => {
  expect(bypassesProxy(host, noProxy)).toBe(direct);
});
