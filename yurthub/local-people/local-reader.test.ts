import { requestInfo } from '../../kube/request-info.ts';
import { localRead } from './local-reader.ts';

const read = (target: string, method = 'GET', headers = {}) =>
  localRead({ method, target, headers, info: requestInfo(method, target) }, 'edge1');

test.each([
  '/api',
  '/apis?timeout=32s',
  '/openapi/v3/api/v1?hash=A',
  '/version',
  '/api/v1/namespaces/default/pods/web',
  '/api/v1/pods?fieldSelector=spec.nodeName%3Dedge1',
  '/api/v1/pods?fieldSelector=status.phase%3DRunning,spec.nodeName%3Dedge2',
  '/api/v1/nodes?fieldSelector=metadata.name%3Dedge2',
  '/api/v1/services?fieldSelector=spec.clusterIP%21%3DNone',
  '/api/v1/namespaces/default/configmaps?fieldSelector=metadata.name%3Dsettings',
  '/apis/apps/v1/deployments',
  '/apis/secrets.example.com/v1/secrets',
  '/api/v1/namespaces/default/pods/web/log?follow=true',
])('%s is asked as it is', (target) => {
  expect(read(target)).toEqual({ kind: 'read', target, note: undefined });
});

test.each([
  ['/api/v1/pods?limit=500', '/api/v1/pods?limit=500&fieldSelector=spec.nodeName%3Dedge1'],
  [
    '/api/v1/namespaces/default/pods?watch=true&fieldSelector=status.phase%3DRunning&resourceVersion=7',
    '/api/v1/namespaces/default/pods?watch=true&fieldSelector=status.phase%3DRunning%2Cspec.nodeName%3Dedge1&resourceVersion=7',
  ],
  ['/api/v1/nodes', '/api/v1/nodes?fieldSelector=metadata.name%3Dedge1'],
  ['/api/v1/services', '/api/v1/services?fieldSelector=spec.clusterIP%21%3DNone'],
])("%s becomes the node's own part of it, with a note", (target, narrowed) => {
  expect(read(target)).toEqual({ kind: 'read', target: narrowed, note: expect.stringMatching(/here$/) });
});

test.each([
  '/api/v1/secrets',
  '/api/v1/namespaces/default/secrets/password',
  '/api/v1/namespaces/default/secret%73/password',
  '/api/v1/watch/secrets',
  '/api/v1/namespaces/default/pods/../secrets/password',
  '/api/v1//secrets',
  '/api/v1/namespaces/default/pods/web/exec',
  '/api/v1/namespaces/default/pods/web/proxy/',
  '/api/v1/nodes/edge1/proxy/pods',
  '/metrics',
  '/logs/',
  '/',
])('%s is refused', (target) => {
  expect(read(target)).toMatchObject({ kind: 'refused', error: { code: 403 } });
});

test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('%s is refused, and says what changes need', (method) => {
  expect(read('/api/v1/namespaces/default/pods/web', method)).toMatchObject({
    kind: 'refused',
    error: { code: 403, status: { message: expect.stringContaining('changes need the cloud') } },
  });
});

test('nobody else can be impersonated', () => {
  expect(read('/api/v1/pods', 'GET', { 'impersonate-user': 'admin' })).toMatchObject({ kind: 'refused' });
});
