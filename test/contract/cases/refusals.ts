// Bad values, bad paths, other methods.
import { asks, type ContractCase } from '../contract-case.ts';
import { fieldUnknown } from './selectors.ts';

const configMaps = '/api/v1/namespaces/a/configmaps';
const unknown = { offlineInstead: { statuses: [503], reason: 'whether there is such a resource is not known here' } };

export const refusalCases: readonly ContractCase[] = [
  asks('a limit that is no number', 400, `${configMaps}?limit=abc`),
  asks('a time-out that is no number', 400, `${configMaps}?watch=true&timeoutSeconds=abc`),
  asks('at any version, a limit that is no number', 400, `${configMaps}?resourceVersion=0&limit=1x`),
  ...['a===', '!!', 'a in b', 'a=b=c', 'a in (b', ',', 'a,', 'a>x', '='].map((selector) =>
    asks(`labels ${selector}`, 400, `${configMaps}?labelSelector=${encodeURIComponent(selector)}`),
  ),
  ...['-a=b', 'a=$'].map((selector) =>
    asks(`labels ${selector}`, 400, `${configMaps}?labelSelector=${encodeURIComponent(selector)}`, {
      offline: [{ path: '0.body.message', reason: 'the hub does not teach the grammar of names' }],
    }),
  ),
  ...['foo', 'foo=bar', 'metadata.name', 'metadata.name=a=b', 'metadata.labels=x'].map((selector) =>
    asks(`fields ${selector}`, 400, `${configMaps}?fieldSelector=${encodeURIComponent(selector)}`),
  ),
  asks('a field that pods do not have', 400, '/api/v1/pods?fieldSelector=spec.nodeName%3Dedge1%2Cspec.image%3Dx'),
  asks('a field that nodes do not have', 400, '/api/v1/nodes?fieldSelector=metadata.namespace%3Dx'),
  asks(
    'a field that widgets do not have',
    400,
    '/apis/example.com/v1/namespaces/a/widgets?fieldSelector=spec.weight%3D3',
    fieldUnknown,
  ),
  asks('a watch with bad labels', 400, `${configMaps}?watch=true&timeoutSeconds=1&labelSelector=a+in+b`),
  asks(
    'a watch with bad fields',
    400,
    `${configMaps}?watch=true&timeoutSeconds=1&resourceVersion=0&fieldSelector=foo%3Dbar`,
  ),
  asks('a watch of what is no boolean', 200, `${configMaps}?watch=maybe&timeoutSeconds=1`),
  asks('no watch', 200, `${configMaps}?watch=false`),
  asks('no watch, in capitals', 200, `${configMaps}?watch=False`),
  asks('a watch of nothing said', 200, `${configMaps}?watch=&timeoutSeconds=1`),
  asks('a parameter that there is not', 200, `${configMaps}?unknown=3`),
  asks('HEAD of an object', 405, `${configMaps}/db`, { method: 'HEAD' }),
  asks('HEAD of a collection', 405, configMaps, { method: 'HEAD' }),
  asks('a resource that there is not', 404, '/api/v1/namespaces/a/nosuch', unknown),
  asks('a resource that there is not, at any version', 404, '/api/v1/namespaces/a/nosuch?resourceVersion=0', unknown),
  asks('a group that there is not', 404, '/apis/no.such/v1/things?resourceVersion=0', unknown),
  asks('a version that there is not', 404, '/api/v2/pods', unknown),
  asks('a resource without namespaces in one', 404, '/api/v1/namespaces/a/nodes', unknown),
  asks('a namespace that there is not', 200, '/api/v1/namespaces/nosuch/configmaps', {
    offlineInstead: { statuses: [503], reason: 'the namespace is not kept' },
  }),
  asks('a namespace that cannot be', 200, '/api/v1/namespaces/Bad_NS/configmaps', {
    offlineInstead: { statuses: [503], reason: 'the namespace is not kept' },
  }),
  asks('the watch path of old', 200, `/api/v1/watch/namespaces/a/configmaps?timeoutSeconds=1`, {
    offlineInstead: { statuses: [503], reason: 'a deprecated path: passed through, not kept' },
  }),
];
