// Watches: from nothing, from any version, from a version; bookmarks; watch-lists; what ends them.
import { json, protobuf, tableForm } from '../asker.ts';
import { asks, type ContractCase } from '../contract-case.ts';
import { widgets } from '../seed.ts';
import { fieldUnknown } from './selectors.ts';

const configMaps = '/api/v1/namespaces/a/configmaps';
const either = { headers: { accept: `${protobuf},${json}` } };
const future = '999999999';
const watch = (target: string, query: string): string => `${target}?watch=true&timeoutSeconds=1&${query}`;
const watchList = 'sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';

export const watchCases: readonly ContractCase[] = [
  asks('a watch from nothing', 200, watch(configMaps, '')),
  asks('a watch from nothing with bookmarks', 200, watch(configMaps, 'allowWatchBookmarks=true')),
  asks('a watch from any version', 200, watch(configMaps, 'resourceVersion=0')),
  asks('a watch from any version with bookmarks', 200, watch(configMaps, 'resourceVersion=0&allowWatchBookmarks=true')),
  asks('a watch from the last version', 200, (known) => watch(configMaps, `resourceVersion=${known.configMapVersion}`)),
  asks(
    'a watch long enough for a bookmark before its end',
    200,
    (known) =>
      `${configMaps}?watch=true&timeoutSeconds=4&allowWatchBookmarks=true&resourceVersion=${known.configMapVersion}`,
  ),
  asks(
    'a watch as protobuf',
    200,
    watch('/api/v1/namespaces/many/configmaps', 'resourceVersion=0&labelSelector=parity%3Dodd'),
    either,
  ),
  asks(
    'a watch of pods as protobuf',
    200,
    watch('/api/v1/pods', 'resourceVersion=0&fieldSelector=spec.nodeName%3Dedge1'),
    either,
  ),
  asks(
    'a watch of the pods of the node by label',
    200,
    watch('/api/v1/pods', 'resourceVersion=0&fieldSelector=spec.nodeName%3Dedge1&labelSelector=app%3Dweb'),
    either,
  ),
  asks(
    'a watch of the pods of the node as JSON',
    200,
    watch('/api/v1/pods', 'resourceVersion=0&fieldSelector=spec.nodeName%3Dedge1'),
  ),
  asks('a watch of all pods', 200, watch('/api/v1/pods', 'resourceVersion=0'), {
    offlineInstead: { statuses: [503], reason: 'only the pods of edge1 are kept' },
  }),
  asks('a watch with labels', 200, watch(configMaps, 'resourceVersion=0&labelSelector=app%3Ddb')),
  asks('a watch with labels from the last version', 200, (known) =>
    watch(configMaps, `resourceVersion=${known.configMapVersion}&labelSelector=tier`),
  ),
  asks('a watch of one object', 200, watch(configMaps, 'resourceVersion=0&fieldSelector=metadata.name%3Ddb')),
  asks(
    'a watch of one object that is not there',
    200,
    watch(configMaps, 'resourceVersion=0&fieldSelector=metadata.name%3Dnosuch'),
  ),
  asks('a watch of widgets', 200, watch(widgets('a'), 'resourceVersion=0')),
  asks(
    'a watch of widgets by a selectable field',
    200,
    watch(widgets('a'), 'resourceVersion=0&fieldSelector=spec.color%3Dblue'),
  ),
  asks('a watch from the future', 200, watch(configMaps, `resourceVersion=${future}`)),
  asks('a watch from a version that is too old', 200, (known) =>
    watch(configMaps, `resourceVersion=${known.compactedVersion}`),
  ),
  asks(
    'a watch from a version that is too old, as protobuf',
    200,
    (known) => watch('/api/v1/namespaces/many/configmaps', `resourceVersion=${known.compactedVersion}`),
    either,
  ),
  asks(
    'a watch from a version that is too old, as a Table',
    200,
    (known) => watch(configMaps, `resourceVersion=${known.compactedVersion}`),
    { headers: { accept: tableForm } },
  ),
  asks('a watch-list', 200, watch(configMaps, watchList)),
  asks('a watch-list at any version', 200, watch(configMaps, `resourceVersion=0&${watchList}`)),
  asks('a watch-list at a version', 200, (known) =>
    watch(configMaps, `resourceVersion=${known.configMapVersion}&${watchList}`),
  ),
  asks('a watch-list of nothing', 200, watch(configMaps, `labelSelector=no%3Dsuch&${watchList}`)),
  asks(
    'a watch-list as protobuf',
    200,
    watch('/api/v1/namespaces/many/configmaps', `labelSelector=parity%3Deven&${watchList}`),
    either,
  ),
  asks('a watch-list of widgets', 200, watch(widgets('a'), watchList)),
  asks(
    'a watch-list of widgets by a selectable field',
    200,
    watch(widgets('a'), `fieldSelector=spec.size%3D2&${watchList}`),
    fieldUnknown,
  ),
  asks(
    'a watch-list of widgets by a field that a view was selected by',
    200,
    watch(widgets('a'), `fieldSelector=spec.color%3Dblue&${watchList}`),
  ),
  asks('a watch-list of the future', 200, watch(configMaps, `resourceVersion=${future}&${watchList}`)),
  asks(
    'a watch-list without bookmarks',
    200,
    watch(configMaps, 'resourceVersion=0&sendInitialEvents=true&resourceVersionMatch=NotOlderThan'),
  ),
  asks(
    'no initial events',
    200,
    watch(configMaps, 'sendInitialEvents=false&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true'),
  ),
  asks(
    'no initial events at any version',
    200,
    watch(configMaps, 'resourceVersion=0&sendInitialEvents=false&resourceVersionMatch=NotOlderThan'),
  ),
  asks('no initial events from a version', 200, (known) =>
    watch(
      configMaps,
      `resourceVersion=${known.configMapVersion}&sendInitialEvents=false&resourceVersionMatch=NotOlderThan`,
    ),
  ),
  asks('a watch-list without a match', 422, watch(configMaps, 'sendInitialEvents=true')),
  asks(
    'a watch-list at exactly a version',
    422,
    watch(configMaps, 'sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=5'),
  ),
  asks('a watch with a match', 422, watch(configMaps, 'resourceVersionMatch=NotOlderThan&resourceVersion=5')),
  asks('a watch with a match of no such kind', 422, watch(configMaps, 'resourceVersionMatch=Newest')),
  asks('a watch with a continue token', 422, watch(configMaps, 'resourceVersion=0&continue=abc')),
  asks('a watch from a version that is no number', 500, watch(configMaps, 'resourceVersion=abc')),
  asks('a watch with a limit', 200, watch(configMaps, 'resourceVersion=0&limit=2')),
  asks(
    'a watch that is over before it begins',
    200,
    `${configMaps}?watch=true&timeoutSeconds=-5&resourceVersion=${future}`,
  ),
];
