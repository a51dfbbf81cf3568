import { hubRequest } from './far-end.ts';
import { requestHeaders, responseHeaders } from './headers.ts';
import { isStatusBody } from './kubernetes-status.ts';
import { holdsBody, planRetry, sharesSession, transportOf } from './request-plan.ts';

test.each([
  ['/api/v1/pods?watch=true', 'stream'],
  ['/api/v1/pods?watch=false', 'unary'],
  ['/api/v1/watch/pods', 'stream'],
  ['/apis/apps/v1/watch/namespaces/a/deployments', 'stream'],
  ['/api/v1/namespaces/a/pods/b/log?follow=true', 'stream'],
  ['/api/v1/namespaces/a/pods/b/log', 'unary'],
  ['/version', 'unary'],
])('%s goes over %s', (target, transport) => {
  expect(transportOf(hubRequest(target))).toBe(transport);
});

test('only a small write after a pause, with nothing beside it, goes over the session of the watches', () => {
  const lease = { method: 'PUT', body: Buffer.alloc(500) };
  const quiet = { busy: false, sinceLastMs: 10_000, listsUnderWay: 0 };
  expect(sharesSession(lease, quiet)).toBe(true);
  expect(sharesSession(lease, { ...quiet, sinceLastMs: 1_000 })).toBe(false);
  expect(sharesSession(lease, { ...quiet, busy: true })).toBe(false);
  expect(sharesSession(lease, { ...quiet, listsUnderWay: 1 })).toBe(false);
  expect(sharesSession({ method: 'GET', body: undefined }, quiet)).toBe(false);
  expect(sharesSession({ method: 'DELETE', body: undefined }, quiet)).toBe(false);
  expect(sharesSession({ ...lease, body: Buffer.alloc(100_000) }, quiet)).toBe(false);
});

const sentAndReused = { error: new Error('reset'), sent: true, reused: true };
const get = { method: 'GET', bodyHeld: true, maxTries: 2 };
const put = { method: 'PUT', bodyHeld: true, maxTries: 2 };

test('a GET on a stale connection is tried once more on a fresh one', () => {
  expect(planRetry(get, sentAndReused, 1, false)).toEqual({ fresh: true });
  expect(planRetry(get, sentAndReused, 2, false)).toBeUndefined();
  expect(planRetry(get, { ...sentAndReused, reused: false }, 1, false)).toBeUndefined();
});

test('a write that may have been carried out is never sent twice', () => {
  expect(planRetry(put, sentAndReused, 1, false)).toBeUndefined();
  expect(planRetry(put, sentAndReused, 1, true)).toBeUndefined();
});

test('a write that was not sent goes to the next API server', () => {
  expect(planRetry(put, { ...sentAndReused, sent: false, reused: false }, 1, true)).toEqual({ fresh: false });
});

test('a body is held only when its length is known and small', () => {
  expect(holdsBody('10', 10)).toBe(true);
  expect(holdsBody('11', 10)).toBe(false);
  expect(holdsBody(undefined, 10)).toBe(false);
  expect(holdsBody('-1', 10)).toBe(false);
});

test('what belongs to one connection is not passed on, nor what Connection names', () => {
  const headers = {
    connection: 'close, X-Secret',
    'x-secret': '1',
    te: 'trailers',
    expect: '100-continue',
    host: 'a',
    accept: 'b',
  };
  expect(requestHeaders(headers)).toEqual({ accept: 'b' });
  expect(responseHeaders({ ':status': '200', 'keep-alive': 'x', trailer: 'x-sum', warning: ['a', 'b'] })).toEqual({
    trailer: 'x-sum',
    warning: ['a', 'b'],
  });
  expect(responseHeaders({ trailer: 'x-sum', 'content-length': '3' })).toEqual({ 'content-length': '3' });
});

test('a Status is known in JSON and protobuf, a page is none', () => {
  expect(isStatusBody(Buffer.from('{"kind":"Status","apiVersion":"v1","code":503}'), undefined)).toBe(true);
  expect(isStatusBody(Buffer.from('k8s\0\x0a\x0c\x0a\x02v1\x12\x06Status\x12\x00', 'latin1'), undefined)).toBe(true);
  expect(isStatusBody(Buffer.from('k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x00', 'latin1'), undefined)).toBe(false);
  expect(isStatusBody(Buffer.from('<html>503</html>'), undefined)).toBe(false);
  expect(isStatusBody(Buffer.from('no gzip'), 'gzip')).toBe(false);
});
