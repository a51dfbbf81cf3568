// Label and field selectors: over views of exactly that selector, and over wider ones.
import { json, protobuf } from '../asker.ts';
import { asks, type ContractCase } from '../contract-case.ts';
import { widgets } from '../seed.ts';

const configMaps = '/api/v1/namespaces/a/configmaps';
const either = { headers: { accept: `${protobuf},${json}` } };

const labelSelectors = [
  'app=web',
  'app==web',
  'app!=web',
  'app',
  '!app',
  'app in (web,db)',
  'app in (web)',
  'app notin (web, db)',
  'app in ()',
  'app=',
  'empty=',
  'rank>2',
  'rank<2',
  'app=web,tier=back',
  'app=web,!tier',
  'tier, app != db',
  'example.com/kind=odd',
  ' app = web , tier in ( front , back ) ',
  'app=nosuch',
];

const podFields = [
  'metadata.name=first',
  'metadata.name!=first',
  'metadata.namespace=a',
  'spec.nodeName=edge1',
  'spec.nodeName=edge1,status.phase=Running',
  'spec.nodeName=edge1,status.phase!=Running',
  'spec.nodeName=edge1,spec.restartPolicy=Never',
  'spec.nodeName=edge1,spec.schedulerName=default-scheduler',
  'spec.nodeName=edge1,spec.serviceAccountName=default',
  'spec.nodeName=edge1,spec.hostNetwork=true',
  'spec.nodeName=edge1,spec.hostNetwork=false',
  'spec.nodeName=edge1,status.podIP=10.0.0.7',
  'spec.nodeName=edge1,status.podIPs=10.0.0.7',
  'spec.nodeName=edge1,status.nominatedNodeName=',
  'spec.host=edge1',
];
const unkeptPods = {
  offlineInstead: { statuses: [503], reason: 'only the pods of edge1 are kept: others are not known here' },
};

export const fieldUnknown = {
  offlineInstead: {
    statuses: [503],
    reason: 'no view was ever selected by this field: whether it can be is not known here',
  },
};

const list = (target: string, selectors: Record<string, string>): string =>
  `${target}?${new URLSearchParams(selectors).toString()}`;

export const selectorCases: readonly ContractCase[] = [
  ...labelSelectors.map((labelSelector) =>
    asks(`configmaps with labels ${labelSelector}`, 200, list(configMaps, { labelSelector })),
  ),
  asks('a selected view that was seen before', 200, '/api/v1/configmaps?labelSelector=app%3Dweb', either),
  asks(
    'of a selected view of all namespaces, one namespace',
    200,
    `/api/v1/namespaces/a1/configmaps?labelSelector=app%3Dweb`,
  ),
  asks(
    'of a selected view, a narrower selector',
    200,
    '/api/v1/configmaps?labelSelector=tier%3Dback%2Capp%3Dweb',
    either,
  ),
  asks('of a selected view, a wider selector', 200, '/api/v1/configmaps?labelSelector=app', {
    offlineInstead: { statuses: [503], reason: 'only those with app=web are kept in all namespaces' },
  }),
  asks('configmaps of a namespace whose name begins like a kept one', 200, '/api/v1/namespaces/a1/configmaps', {
    offlineInstead: { statuses: [503], reason: 'the namespace is not kept' },
  }),
  asks(
    'labels and fields together',
    200,
    list(configMaps, { labelSelector: 'app=web', fieldSelector: 'metadata.name!=web-1' }),
  ),
  asks('one configmap by field', 200, list(configMaps, { fieldSelector: 'metadata.name=db' })),
  asks('no configmap by field', 200, list(configMaps, { fieldSelector: 'metadata.name=nosuch' })),
  asks('configmaps by namespace', 200, list(configMaps, { fieldSelector: 'metadata.namespace=a' })),
  asks('configmaps of another namespace by field', 200, list(configMaps, { fieldSelector: 'metadata.namespace=a1' })),
  ...podFields.map((fieldSelector) =>
    asks(`pods with fields ${fieldSelector}`, 200, list('/api/v1/pods', { fieldSelector }), {
      ...either,
      ...(/^spec\.(nodeName|host)=/.test(fieldSelector) ? {} : unkeptPods),
    }),
  ),
  asks(
    'pods of the node in one namespace',
    200,
    list('/api/v1/namespaces/a1/pods', { fieldSelector: 'spec.nodeName=edge1' }),
    either,
  ),
  asks(
    'pods of the node by label',
    200,
    list('/api/v1/pods', { fieldSelector: 'spec.nodeName=edge1', labelSelector: 'app=web' }),
    either,
  ),
  asks(
    'pods of the node as JSON, kept as protobuf',
    200,
    list('/api/v1/pods', { fieldSelector: 'spec.nodeName=edge1' }),
  ),
  asks('pods of another node', 200, list('/api/v1/pods', { fieldSelector: 'spec.nodeName=edge2' }), {
    ...either,
    ...unkeptPods,
  }),
  asks('all pods', 200, '/api/v1/pods', { ...either, ...unkeptPods }),
  asks(
    'nodes that can be scheduled to',
    200,
    list('/api/v1/nodes', { fieldSelector: 'spec.unschedulable=false' }),
    either,
  ),
  asks('nodes that cannot', 200, list('/api/v1/nodes', { fieldSelector: 'spec.unschedulable=true' })),
  asks('services by type', 200, list('/api/v1/namespaces/a/services', { fieldSelector: 'spec.type=NodePort' })),
  asks(
    'services without an address',
    200,
    list('/api/v1/namespaces/a/services', { fieldSelector: 'spec.clusterIP=None' }),
  ),
  asks(
    'services as kubelets select them',
    200,
    list('/api/v1/services', { fieldSelector: 'spec.clusterIP!=None' }),
    either,
  ),
  asks(
    'of those, by type',
    200,
    list('/api/v1/services', { fieldSelector: 'spec.type=NodePort,spec.clusterIP!=None' }),
    either,
  ),
  asks('secrets by type', 200, list('/api/v1/namespaces/a/secrets', { fieldSelector: 'type=Opaque' })),
  asks('namespaces by phase', 200, list('/api/v1/namespaces', { fieldSelector: 'status.phase=Active' })),
  asks(
    'events by what they are about',
    200,
    list('/api/v1/namespaces/a/events', { fieldSelector: 'involvedObject.name=first,type=Warning' }),
    {
      offlineInstead: { statuses: [503], reason: 'events are not kept' },
    },
  ),
  asks('widgets by a selectable field', 200, list(widgets('a'), { fieldSelector: 'spec.color=red' })),
  asks('widgets by another value of it', 200, list(widgets('a'), { fieldSelector: 'spec.color=blue' })),
  asks('widgets without it', 200, list(widgets('a'), { fieldSelector: 'spec.color!=red' })),
  asks('widgets by a number', 200, list(widgets('a'), { fieldSelector: 'spec.size=2' }), fieldUnknown),
  asks(
    'widgets by a boolean',
    200,
    list(widgets('a'), { fieldSelector: 'spec.flat=true,spec.color=red' }),
    fieldUnknown,
  ),
  asks('widgets by label', 200, list(widgets('a'), { labelSelector: 'color in (red)' })),
  asks('widgets by name', 200, list(widgets('a'), { fieldSelector: 'metadata.name=w2' })),
  asks('many, gzip allowed', 200, '/api/v1/namespaces/many/configmaps?labelSelector=parity%3Dodd', {
    headers: { accept: protobuf, 'accept-encoding': 'gzip' },
  }),
];
