import { ApiError, ApiUnreachableError } from './errors.ts';
import { remedyOf } from './remedy.ts';
import type { Resource } from './resource.ts';

const pools: Resource = {
  group: 'apps.openyurt.io',
  version: 'v1beta2',
  resource: 'nodepools',
  kind: 'NodePool',
  namespaced: false,
};
const slices: Resource = {
  group: 'discovery.k8s.io',
  version: 'v1',
  resource: 'endpointslices',
  kind: 'EndpointSlice',
  namespaced: true,
};
const refused = (status: number): ApiError => new ApiError(`GET /path: ${status} User "u" cannot`, status, '');

test.each([
  ['a kind that is ours', refused(404), pools, 'kubectl apply -f config/crds/apps.openyurt.io_nodepools.yaml'],
  ["a kind of Kubernetes' own", refused(404), slices, 'endpointslices in discovery.k8s.io/v1: it has to be Kubernetes'],
  ['a right', refused(403), pools, 'User "u" cannot: kubectl apply -k config/controllers'],
  [
    'who converts objects of an earlier version',
    new ApiError('GET /path: 500 conversion webhook for v1beta1 failed: no service', 500, ''),
    pools,
    'kubectl replace -f config/crds/apps.openyurt.io_nodepools.yaml',
  ],
  ['a credential', refused(401), pools, 'make the kubeconfig anew'],
])('%s that is missing is named with what to do', (_what, error, resource, words) => {
  expect(remedyOf(error, resource)).toContain(words);
});

test.each([
  ['an API server that is away', new ApiUnreachableError('nobody')],
  ['one that is busy', refused(429)],
  ['one that fails', refused(500)],
  ['a fault', new Error('fault')],
])('of %s nothing is said: nobody has to do anything', (_what, error) => {
  expect(remedyOf(error, pools)).toBeUndefined();
});
