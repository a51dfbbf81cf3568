// Forms and encodings: Tables, metadata alone, protobuf, CBOR, and what the Accept header falls back to.
import { json, protobuf, tableForm } from '../asker.ts';
import { asks, type ContractCase } from '../contract-case.ts';
import { widgets } from '../seed.ts';

const configMaps = '/api/v1/namespaces/a/configmaps';
const accept = (value: string): { headers: { accept: string } } => ({ headers: { accept: value } });
const partialList = (type: string): string => `${type};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1`;
const partial = (type: string): string => `${type};as=PartialObjectMetadata;g=meta.k8s.io;v=v1`;
const kubectl = `${tableForm},application/json;as=Table;g=meta.k8s.io;v=v1beta1,application/json`;
const metadataClient = `${partialList(protobuf)},${partialList(json)},${json}`;
const nodePods = '/api/v1/pods?fieldSelector=spec.nodeName%3Dedge1';
const descriptions = (path: string): { path: string; reason: string } => ({
  path: `${path}.columnDefinitions.*.description`,
  reason: 'prose that no client shows',
});
const list = { offline: [descriptions('*.body')] };
const event = { online: [descriptions('*.body.*.object')], offline: [descriptions('*.body.*.object')] };
const goType = { offline: [{ path: '0.body.message', reason: 'the API server names its own Go type' }] };
const noColumns = {
  offlineInstead: {
    statuses: [406],
    reason:
      'the columns of a custom resource are in its definition, which a node does not follow; the plain form is not accepted',
  },
};

export const formCases: readonly ContractCase[] = [
  asks('configmaps as a Table', 200, configMaps, { ...accept(tableForm), ...list }),
  asks('configmaps as kubectl asks', 200, `${configMaps}?limit=500`, { ...accept(kubectl), ...list }),
  asks('configmaps as a Table with whole objects', 200, `${configMaps}?includeObject=Object`, {
    ...accept(tableForm),
    ...list,
  }),
  asks('configmaps as a Table without objects', 200, `${configMaps}?includeObject=None`, {
    ...accept(tableForm),
    ...list,
  }),
  asks('pods as a Table, kept as protobuf', 200, nodePods, { ...accept(kubectl), ...list }),
  asks('services as a Table', 200, '/api/v1/namespaces/a/services', { ...accept(kubectl), ...list }),
  asks('nodes as a Table', 200, '/api/v1/nodes', { ...accept(kubectl), ...list }),
  asks('namespaces as a Table', 200, '/api/v1/namespaces', { ...accept(kubectl), ...list }),
  asks('secrets as a Table', 200, '/api/v1/namespaces/a/secrets', { ...accept(kubectl), ...list }),
  asks('one configmap as a Table', 200, `${configMaps}/db`, { ...accept(kubectl), ...list }),
  asks('one pod as a Table', 200, '/api/v1/namespaces/a/pods/first', { ...accept(kubectl), ...list }),
  asks('a watch as a Table', 200, `${configMaps}?watch=true&timeoutSeconds=1&resourceVersion=0`, {
    ...accept(kubectl),
    ...event,
  }),
  asks(
    'a watch as a Table with bookmarks',
    200,
    `${configMaps}?watch=true&timeoutSeconds=1&allowWatchBookmarks=true&resourceVersion=0`,
    { ...accept(kubectl), ...event },
  ),
  asks('pages of a Table', 200, `${configMaps}?limit=2`, { ...accept(kubectl), ...list }),
  asks('widgets as a Table alone', 200, widgets('a'), { ...accept(tableForm), ...noColumns }),
  asks('metadata of configmaps', 200, configMaps, accept(partialList(json))),
  asks('metadata of configmaps, as protobuf', 200, configMaps, accept(partialList(protobuf))),
  asks('metadata of pods, as a metadata informer asks', 200, nodePods, accept(metadataClient)),
  asks('metadata of widgets', 200, widgets('a'), accept(partialList(json))),
  asks('metadata of widgets, as protobuf', 200, widgets('a'), accept(partialList(protobuf))),
  asks('pages of metadata', 200, `${configMaps}?limit=2`, accept(partialList(json))),
  asks('metadata of one configmap', 200, `${configMaps}/db`, accept(partial(json))),
  asks('metadata of one pod, as protobuf', 200, '/api/v1/namespaces/a/pods/first', accept(partial(protobuf))),
  asks(
    'a watch of metadata',
    200,
    `${configMaps}?watch=true&timeoutSeconds=1&resourceVersion=0`,
    accept(partial(json)),
  ),
  asks(
    'a watch of metadata, as protobuf',
    200,
    '/api/v1/namespaces/many/configmaps?watch=true&timeoutSeconds=1&resourceVersion=0&labelSelector=parity%3Dodd',
    accept(`${partial(protobuf)},${partial(json)},${protobuf}`),
  ),
  asks(
    'a watch-list of metadata',
    200,
    `${configMaps}?watch=true&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`,
    accept(partial(json)),
  ),
  asks('a list in the form of one object', 406, configMaps, { ...accept(partial(json)), ...goType }),
  asks('one object in the form of a list', 406, `${configMaps}/db`, { ...accept(partialList(json)), ...goType }),
  asks('widgets as protobuf or JSON', 200, widgets('a'), accept(`${protobuf},${json}`)),
  asks('widgets as protobuf alone', 406, widgets('a'), accept(protobuf)),
  asks('widgets at any version as protobuf alone', 406, `${widgets('a')}?resourceVersion=0`, accept(protobuf)),
  asks(
    'a watch of widgets as protobuf alone',
    406,
    `${widgets('a')}?watch=true&timeoutSeconds=1&resourceVersion=0`,
    accept(protobuf),
  ),
  asks('one widget as protobuf alone', 406, `${widgets('a')}/w1`, accept(protobuf)),
  asks('CBOR alone', 406, configMaps, accept('application/cbor')),
  asks('CBOR or JSON', 200, configMaps, accept('application/cbor, application/json;q=0.9')),
  asks(
    'a watch as CBOR alone',
    406,
    `${configMaps}?watch=true&timeoutSeconds=1&resourceVersion=0`,
    accept('application/cbor-seq'),
  ),
  asks('one object as CBOR alone', 406, `${configMaps}/db`, accept('application/cbor')),
  asks('a form that there is not', 406, configMaps, accept('application/json;as=Chart;g=meta.k8s.io;v=v1')),
  asks(
    'a Table as protobuf',
    406,
    configMaps,
    accept('application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1'),
  ),
  asks('HTML', 406, configMaps, accept('text/html')),
  asks('anything', 200, configMaps, accept('*/*')),
  asks('any application type', 406, configMaps, accept('application/*')),
  asks('YAML or JSON', 200, configMaps, {
    ...accept('application/yaml;q=0.1,application/json'),
  }),
  asks('YAML alone', 200, configMaps, {
    ...accept('application/yaml'),
    offlineInstead: { statuses: [406], reason: 'the hub keeps no YAML' },
  }),
  asks('pretty JSON', 200, `${configMaps}?pretty=true`),
];
