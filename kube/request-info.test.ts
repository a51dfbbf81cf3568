import { requestInfo, type ResourceRequest } from './request-info.ts';

function resource(method: string, target: string): ResourceRequest {
  const info = requestInfo(method, target);
  if (!info.isResource) throw new Error(`${target} is no resource request`);
  return info;
}

const summary = (method: string, target: string): string => {
  const { verb, group, version, namespace, resource: name, name: object, subresource } = resource(method, target);
  return [verb, group, version, namespace, name, object, subresource].join(' | ');
};

test.each([
  ['GET', '/api/v1/pods', 'list |  | v1 |  | pods |  | '],
  ['GET', '/api/v1/pods?watch=true', 'watch |  | v1 |  | pods |  | '],
  ['GET', '/api/v1/pods?watch=1&resourceVersion=4', 'watch |  | v1 |  | pods |  | '],
  ['GET', '/api/v1/pods?watch=false', 'list |  | v1 |  | pods |  | '],
  ['GET', '/api/v1/namespaces', 'list |  | v1 |  | namespaces |  | '],
  ['GET', '/api/v1/namespaces/shop', 'get |  | v1 | shop | namespaces | shop | '],
  ['PUT', '/api/v1/namespaces/shop/finalize', 'update |  | v1 | shop | namespaces | shop | finalize'],
  ['GET', '/api/v1/namespaces/shop/pods/till', 'get |  | v1 | shop | pods | till | '],
  ['GET', '/api/v1/namespaces/shop/pods/till/log?follow=true', 'get |  | v1 | shop | pods | till | log'],
  [
    'POST',
    '/api/v1/namespaces/shop/serviceaccounts/default/token',
    'create |  | v1 | shop | serviceaccounts | default | token',
  ],
  ['PATCH', '/api/v1/nodes/edge1/status', 'patch |  | v1 |  | nodes | edge1 | status'],
  ['GET', '/apis/apps/v1/namespaces/shop/deployments', 'list | apps | v1 | shop | deployments |  | '],
  [
    'DELETE',
    '/apis/resource.k8s.io/v1/resourceslices?fieldSelector=a',
    'deletecollection | resource.k8s.io | v1 |  | resourceslices |  | ',
  ],
  ['DELETE', '/api/v1/namespaces/shop/pods/till', 'delete |  | v1 | shop | pods | till | '],
])('%s %s', (method, target, expected) => {
  expect(summary(method, target)).toBe(expected);
});

test.each([
  '/',
  '/api',
  '/apis',
  '/api/v1',
  '/apis/apps',
  '/apis/apps/v1',
  '/version',
  '/healthz',
  '/openapi/v3',
  '/api/v1/watch/pods',
])('%s is no resource request', (target) => {
  expect(requestInfo('GET', target).isResource).toBe(false);
});

test('a path that climbs is never taken for an object', () => {
  expect(requestInfo('GET', '/api/v1/namespaces/../pods').isResource).toBe(false);
  expect(requestInfo('GET', '/api/v1/namespaces/%2e%2e/pods').isResource).toBe(false);
  expect(requestInfo('GET', '/api/v1//pods').isResource).toBe(false);
});

test('an encoded slash stays inside its segment', () => {
  expect(resource('GET', '/api/v1/namespaces/a%2Fb/pods').namespace).toBe('a/b');
});

test('a path that cannot be decoded is an error, not a guess', () => {
  expect(() => requestInfo('GET', '/api/v1/namespaces/%zz/pods')).toThrow(URIError);
});
