// Discovery and the documents about the API, as last seen.
import { asks, type ContractCase } from '../contract-case.ts';
import { aggregated } from '../prior-state.ts';
import { json, protobuf } from '../asker.ts';

const accept = (value: string): { headers: { accept: string } } => ({ headers: { accept: value } });

export const discoveryCases: readonly ContractCase[] = [
  asks('the version', 200, '/version'),
  asks('the version for anyone', 200, '/version', accept('*/*')),
  asks('legacy discovery of the core', 200, '/api'),
  asks('legacy discovery of the groups', 200, '/apis'),
  asks('the resources of the core', 200, '/api/v1'),
  asks('the resources of a custom group', 200, '/apis/example.com/v1'),
  asks('the resources, for an Accept that was not seen', 200, '/api/v1', accept('application/json, */*')),
  asks('aggregated discovery of the groups', 200, '/apis', accept(aggregated())),
  asks('aggregated discovery of the core', 200, '/api', accept(aggregated())),
  asks(
    'aggregated discovery alone',
    200,
    '/apis',
    accept('application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'),
  ),
  asks('the resources of a group that was never asked for', 200, '/apis/apps/v1', {
    offlineInstead: { statuses: [503], reason: 'as last seen: this was not' },
  }),
  asks('legacy discovery as protobuf or JSON', 200, '/api/v1', {
    ...accept(`${protobuf},${json}`),
    offline: [{ path: '0.contentType', reason: 'it was seen as JSON, which the client takes as well' }],
  }),
  asks('the index of the schemas', 200, '/openapi/v3'),
  asks('the schema of a custom group', 200, '/openapi/v3/apis/example.com/v1'),
  {
    name: 'the schema of a custom group, by its hash',
    statuses: [200],
    ask: async (ask) => {
      const index = (await ask('/openapi/v3')).body as { paths: Record<string, { serverRelativeURL: string }> };
      return [await ask(index.paths['apis/example.com/v1']?.serverRelativeURL ?? '')];
    },
  },
  asks('the schema of the core', 200, '/openapi/v3/api/v1'),
  // Not one of those that the hub sees to by itself, for kubectl (yurthub/local-people/local-discovery.ts).
  asks('a schema that was never asked for', 200, '/openapi/v3/apis/batch/v1', {
    offlineInstead: { statuses: [503], reason: 'as last seen: this was not' },
  }),
];
