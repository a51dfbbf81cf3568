import { requestInfo } from '../../kube/request-info.ts';
import { viewKeyOf } from '../views/view-key.ts';
import { accessReviews, collectionScope, objectScope, scopeId, scopeOf } from './scope.ts';

function scope(target: string) {
  const info = requestInfo('GET', target);
  if (!info.isResource) throw new TypeError(target);
  return info.verb === 'get' ? objectScope(info) : collectionScope(viewKeyOf(info, 'json'));
}

const asked = (target: string): unknown =>
  accessReviews(scope(target)).map(
    (review) => (review as { spec: { resourceAttributes: object } }).spec.resourceAttributes,
  );

test('a collection is asked for with list and watch, and with its selectors', () => {
  const attributes = {
    group: 'apps',
    version: 'v1',
    resource: 'deployments',
    namespace: 'shop',
    labelSelector: { rawSelector: 'app in (a,b)' },
    fieldSelector: { rawSelector: 'metadata.namespace=shop' },
  };
  const query = new URLSearchParams({ labelSelector: 'app in (a,b)', fieldSelector: 'metadata.namespace=shop' });
  expect(asked(`/apis/apps/v1/namespaces/shop/deployments?${query.toString()}`)).toEqual([
    { verb: 'list', ...attributes },
    { verb: 'watch', ...attributes },
  ]);
});

test.each([
  ['metadata.name=key', 'key'],
  ['metadata.name==key', 'key'],
  ['type=Opaque,metadata.name=key', 'key'],
])('the field selector %s is that name to the authorizer', (fieldSelector, name) => {
  const query = new URLSearchParams({ fieldSelector }).toString();
  expect(asked(`/api/v1/namespaces/shop/secrets?${query}`)).toMatchObject([{ name }, { name }]);
});

test.each(['metadata.name!=key', 'metadata.namespace=key', 'metadata.name=a\\,b', 'spec.metadata.name=key'])(
  'the field selector %s is no name: the wider question is asked',
  (fieldSelector) => {
    const query = new URLSearchParams({ fieldSelector }).toString();
    for (const attributes of asked(`/api/v1/secrets?${query}`) as object[])
      expect(attributes).not.toHaveProperty('name');
  },
);

test('an object is asked for with get', () => {
  expect(asked('/api/v1/nodes/edge1')).toEqual([
    { verb: 'get', group: '', version: 'v1', resource: 'nodes', name: 'edge1' },
  ]);
});

test('a scope survives the store, and no part runs into the next', () => {
  const query = new URLSearchParams({ labelSelector: 'a=b,c/d!=e', fieldSelector: 'metadata.name=x' }).toString();
  const one = scope(`/api/v1/namespaces/a/pods?${query}`);
  expect(scopeOf(scopeId(one))).toEqual(one);
  const ids = ['/api/v1/namespaces/a/pods', '/api/v1/pods', '/api/v1/pods/a', '/api/v1/pods?labelSelector=a'].map(
    (path) => scopeId(scope(path)),
  );
  expect(new Set(ids).size).toBe(ids.length);
  expect(() => scopeOf('pods')).toThrow(TypeError);
});
