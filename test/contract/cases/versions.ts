// resourceVersion with each resourceVersionMatch, for lists.
import { json, protobuf } from '../asker.ts';
import { asks, type ContractCase } from '../contract-case.ts';
import { widgets } from '../seed.ts';

const configMaps = '/api/v1/namespaces/a/configmaps';
const either = { headers: { accept: `${protobuf},${json}` } };
const future = '999999999';
const pastIsGone = {
  offlineInstead: {
    statuses: [410],
    reason: 'a view keeps its present state only: 410, as the API server says of what is compacted',
  },
};

export const versionCases: readonly ContractCase[] = [
  asks('a list without a version', 200, configMaps),
  asks('a list at any version', 200, `${configMaps}?resourceVersion=0`),
  asks('a list at any version, as protobuf', 200, '/api/v1/namespaces/many/configmaps?resourceVersion=0', either),
  asks('a list at any version, said in full', 200, `${configMaps}?resourceVersion=0&resourceVersionMatch=NotOlderThan`),
  asks(
    'a list not older than a version',
    200,
    (known) => `${configMaps}?resourceVersion=${known.configMapVersion}&resourceVersionMatch=NotOlderThan`,
  ),
  asks(
    'a list not older than a version, by default',
    200,
    (known) => `${configMaps}?resourceVersion=${known.configMapVersion}`,
  ),
  asks('widgets not older than a version', 200, (known) => `${widgets('a')}?resourceVersion=${known.widgetVersion}`),
  asks(
    'a list at exactly a version of the past',
    200,
    (known) => `${configMaps}?resourceVersion=${known.earlierConfigMapVersion}&resourceVersionMatch=Exact`,
    pastIsGone,
  ),
  asks(
    'a list at exactly a version that is compacted',
    410,
    (known) => `${configMaps}?resourceVersion=${known.compactedVersion}&resourceVersionMatch=Exact`,
  ),
  asks('a list not older than the future', 504, `${configMaps}?resourceVersion=${future}`),
  asks('a list at exactly the future', 504, `${configMaps}?resourceVersion=${future}&resourceVersionMatch=Exact`),
  asks('a version that is no number', 400, `${configMaps}?resourceVersion=abc`),
  asks('a negative version', 400, `${configMaps}?resourceVersion=-1`),
  asks('a match without a version', 422, `${configMaps}?resourceVersionMatch=Exact`),
  asks('not older than nothing', 422, `${configMaps}?resourceVersionMatch=NotOlderThan`),
  asks('exactly any version', 422, `${configMaps}?resourceVersion=0&resourceVersionMatch=Exact`),
  asks('a match of no such kind', 422, `${configMaps}?resourceVersion=0&resourceVersionMatch=Newest`),
  asks('a match of no such kind and without a version', 422, `${configMaps}?resourceVersionMatch=Newest`),
  asks(
    'a match with a continue token',
    422,
    `${configMaps}?resourceVersion=0&resourceVersionMatch=NotOlderThan&continue=abc`,
  ),
  asks('initial events of a list', 422, `${configMaps}?sendInitialEvents=true`),
  asks('no initial events of a list', 422, `${configMaps}?resourceVersion=0&sendInitialEvents=false`),
  asks('invalid, as protobuf', 422, `${configMaps}?resourceVersionMatch=Exact`, either),
];
