// NodePool `apps.openyurt.io/v1beta2` as OpenYurt defines it, and what Holdfast adds: rules that name the fix, a selector, and
// observedGeneration. Fields of OpenYurt's leader hubs are accepted and mean nothing here.
import { conditionAbout } from '../crds/condition.ts';
import type { CustomResource } from '../crds/custom-resource.ts';
import {
  boolean,
  integer,
  labelSelector,
  listOf,
  mapOf,
  object,
  oneOf,
  optional,
  text,
  time,
  type TypeOf,
} from '../crds/schema.ts';
import type { ApiObject, Resource } from '../machinery/resource.ts';

export const nodePools: Resource = {
  group: 'apps.openyurt.io',
  version: 'v1beta2',
  resource: 'nodepools',
  kind: 'NodePool',
  namespaced: false,
};

const qualifiedName = String.raw`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`;
const labelValue = '^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$';

const taint = object(
  {
    key: text({
      doc: 'Key of the taint.',
      rules: [
        {
          rule: `self.matches('${qualifiedName}')`,
          message: 'must be a qualified name such as example.com/site or dedicated',
        },
      ],
      openApi: { maxLength: 317 },
    }),
    value: optional(
      text({
        doc: 'Value of the taint.',
        openApi: { maxLength: 63 },
        rules: [{ rule: `self.matches('${labelValue}')`, message: 'must be at most 63 letters, digits, -, _ or .' }],
      }),
    ),
    effect: oneOf(['NoSchedule', 'PreferNoSchedule', 'NoExecute'], {
      doc: 'What it does to pods that do not tolerate it.',
    }),
    timeAdded: optional(time({ doc: 'Accepted and not used.' })),
  },
  { doc: 'A taint of every node of the pool.' },
);

/** Keys by which the cluster works or pools are made: a pool that could set them could take nodes apart. */
const reservedLabels =
  "!(k in ['apps.openyurt.io/nodepool', 'kubernetes.io/hostname', 'nodepool.openyurt.io/type', 'nodepool.openyurt.io/hostnetwork'])";

export const nodePoolSpec = object(
  {
    type: optional(
      oneOf(['Edge', 'Cloud'], {
        doc: 'Whether the nodes stand at the edge or in the cloud.',
        default: 'Edge',
        rules: [
          {
            rule: 'self == oldSelf',
            message:
              'a pool keeps its type: make another pool and move the nodes there by their label apps.openyurt.io/nodepool',
          },
        ],
      }),
    ),
    hostNetwork: optional(boolean({ doc: 'The nodes have no pod network: their pods use the network of the host.' })),
    selector: optional(
      labelSelector({
        doc: 'Holdfast: nodes of no pool that have these labels become nodes of this one: they get the label apps.openyurt.io/nodepool. Those that have that label already stay where they are.',
        rules: [
          {
            rule: '(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)',
            message: 'an empty selector would take every node of the cluster: name a label, or leave selector out',
          },
        ],
      }),
    ),
    labels: optional(
      mapOf(text({ doc: 'A value.', openApi: { maxLength: 63 } }), {
        doc: 'Labels of every node of the pool. What a node had under the same key comes back when it leaves.',
        openApi: { maxProperties: 64 },
        rules: [
          {
            rule: `self.all(k, k.matches('${qualifiedName}'))`,
            message: 'a key must be a qualified name such as example.com/site or site',
          },
          {
            rule: `self.all(k, self[k].matches('${labelValue}'))`,
            message: 'a value must be at most 63 letters, digits, -, _ or . and begin and end with a letter or digit',
          },
          {
            rule: `self.all(k, ${reservedLabels})`,
            message:
              'apps.openyurt.io/nodepool, kubernetes.io/hostname, nodepool.openyurt.io/type and nodepool.openyurt.io/hostnetwork are not for pools to set: leave them out',
          },
        ],
      }),
    ),
    annotations: optional(
      mapOf(text({ doc: 'A value.', openApi: { maxLength: 65536 } }), {
        doc: 'Annotations of every node of the pool. What a node had under the same key comes back when it leaves.',
        openApi: { maxProperties: 64 },
        rules: [
          {
            rule: `self.all(k, k.matches('${qualifiedName}'))`,
            message: 'a key must be a qualified name such as example.com/site or site',
          },
          {
            rule: "self.all(k, !k.startsWith('holdfast.dev/') && !k.startsWith('kubeadm.alpha.kubernetes.io/') && k != 'nodepool.openyurt.io/previous-attributes')",
            message:
              'holdfast.dev/…, kubeadm.alpha.kubernetes.io/… and nodepool.openyurt.io/previous-attributes are not for pools to set: leave them out',
          },
        ],
      }),
    ),
    taints: optional(
      listOf(taint, {
        doc: 'Taints of every node of the pool.',
        openApi: { maxItems: 32, 'x-kubernetes-list-type': 'atomic' },
        rules: [
          {
            rule: 'self.all(t, self.exists_one(u, u.key == t.key && u.effect == t.effect))',
            message: 'two taints have the same key and effect: a node has one of them only, leave the other out',
          },
          {
            rule: "self.all(t, !t.key.startsWith('node.kubernetes.io/') && !t.key.startsWith('node.cloudprovider.kubernetes.io/'))",
            message: 'taints node.kubernetes.io/… are set by Kubernetes itself: take a key of your own',
          },
        ],
      }),
    ),
    interConnectivity: optional(boolean({ doc: 'All nodes of the pool reach each other.' })),
    leaderElectionStrategy: optional(text({ doc: "Of OpenYurt's leader hubs; accepted and not used." })),
    leaderNodeLabelSelector: optional(
      mapOf(text({ doc: 'A value.' }), { doc: "Of OpenYurt's leader hubs; accepted and not used." }),
    ),
    enableLeaderElection: optional(boolean({ doc: "Of OpenYurt's leader hubs; accepted and not used." })),
    poolScopeMetadata: optional(
      listOf(
        object(
          {
            group: text({ doc: "'' for the core group." }),
            version: text({ doc: 'Version.' }),
            resource: text({ doc: 'Plural.' }),
          },
          { doc: 'A kind.' },
        ),
        { doc: "Of OpenYurt's leader hubs; accepted and not used." },
      ),
    ),
    leaderReplicas: optional(integer({ doc: "Of OpenYurt's leader hubs; accepted and not used." })),
  },
  {
    doc: 'How the pool should be.',
    rules: [
      {
        rule: "!(has(self.hostNetwork) && self.hostNetwork && has(self.type) && self.type == 'Cloud')",
        message: 'a Cloud pool has a pod network: set type to Edge, or leave hostNetwork out',
        fieldPath: '.hostNetwork',
      },
      {
        rule: '(has(self.interConnectivity) && self.interConnectivity) == (has(oldSelf.interConnectivity) && oldSelf.interConnectivity)',
        message: 'a pool keeps its interConnectivity: make another pool',
        fieldPath: '.interConnectivity',
      },
      {
        rule: '(has(self.hostNetwork) && self.hostNetwork) == (has(oldSelf.hostNetwork) && oldSelf.hostNetwork)',
        message:
          'a pool keeps its hostNetwork: make another pool and move the nodes there by their label apps.openyurt.io/nodepool',
        fieldPath: '.hostNetwork',
      },
    ],
  },
);

const condition = conditionAbout('What the condition is about.');

export const nodePoolStatus = object(
  {
    observedGeneration: optional(integer({ doc: 'The generation of the spec that this status is about.' }, 'int64')),
    readyNodeNum: optional(integer({ doc: 'How many nodes are ready.' })),
    unreadyNodeNum: optional(integer({ doc: 'How many nodes are not.' })),
    nodes: optional(listOf(text({ doc: 'Name of a node.' }), { doc: 'The nodes of the pool, sorted.' })),
    conditions: optional(listOf(condition, { doc: 'What else was observed.' })),
    leaderEndpoints: optional(
      listOf(
        object(
          { nodeName: text({ doc: 'Name of a node.' }), address: text({ doc: 'Its address.' }) },
          { doc: 'A leader hub.' },
        ),
        { doc: "Of OpenYurt's leader hubs." },
      ),
    ),
    leaderNum: optional(integer({ doc: "Of OpenYurt's leader hubs." })),
    leaderLastElectedTime: optional(time({ doc: "Of OpenYurt's leader hubs." })),
  },
  { doc: 'How the pool is.' },
);

export type NodePoolSpec = TypeOf<typeof nodePoolSpec>;
export type NodePoolStatus = TypeOf<typeof nodePoolStatus>;
export type NodePoolCondition = TypeOf<typeof condition>;
export type Taint = TypeOf<typeof taint>;

export interface NodePool extends ApiObject {
  readonly spec?: NodePoolSpec;
  readonly status?: NodePoolStatus;
}

export const nodePoolResource: CustomResource = {
  resource: nodePools,
  singular: 'nodepool',
  shortNames: ['np'],
  doc: 'Nodes of one site: what they have in common, and how they are.',
  spec: nodePoolSpec,
  status: nodePoolStatus,
  earlierVersions: ['v1beta1'],
  rules: [
    {
      // The name is the value of a label.
      rule: 'size(self.metadata.name) <= 63',
      message: 'the name of a pool is the value of a label of its nodes: at most 63 characters, choose a shorter one',
    },
  ],
  columns: [
    { name: 'Type', type: 'string', jsonPath: '.spec.type', description: 'Edge or Cloud' },
    { name: 'ReadyNodes', type: 'integer', jsonPath: '.status.readyNodeNum', description: 'Nodes that are ready' },
    { name: 'NotReadyNodes', type: 'integer', jsonPath: '.status.unreadyNodeNum', description: 'Nodes that are not' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Since when there is the pool' },
  ],
};
