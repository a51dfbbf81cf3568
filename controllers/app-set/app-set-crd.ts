// YurtAppSet `apps.openyurt.io/v1beta1` as OpenYurt defines it, and what Holdfast adds: daemonSetTemplate, rollout,
// poolLossGraceSeconds, the pools in the status, and rules that name the fix. An object of OpenYurt's means the same here.
import { conditionAbout } from '../crds/condition.ts';
import type { CustomResource, Column } from '../crds/custom-resource.ts';
import {
  anyObject,
  boolean,
  integer,
  integerOrText,
  labelSelector,
  listOf,
  mapOf,
  object,
  oneOf,
  optional,
  text,
  time,
} from '../crds/schema.ts';
import type { Rule, Schema } from '../crds/schema.ts';
import type { Resource } from '../machinery/resource.ts';

export const appSetResource: Resource = {
  group: 'apps.openyurt.io',
  version: 'v1beta1',
  resource: 'yurtappsets',
  kind: 'YurtAppSet',
  namespaced: true,
};

/** Lists that rules go through need a bound, or the API server refuses the rule as too expensive. */
const maxPools = 5000;
const maxTweaks = 2000;

const metadataMap = (doc: string): Schema<Readonly<Record<string, string>>> =>
  mapOf(text({ doc: 'A value.' }), { doc, openApi: { nullable: true } });

const keepsSelector: Rule = {
  rule: 'has(self.selector) == has(oldSelf.selector) && (!has(self.selector) || self.selector == oldSelf.selector)',
  message: 'workloads keep their selector: make another YurtAppSet, and delete this one when the other runs',
  fieldPath: '.selector',
};

function template(kind: string, rules: readonly Rule[] = []) {
  // The rest of the spec is what the API server knows of the kind, and checks when the workload is written.
  const spec = anyObject({
    doc: `The spec of the ${kind}s. The pool is added to its selector, its pods' labels and their nodeSelector.`,
    openApi: {
      required: ['template'],
      properties: {
        replicas: {
          description: 'Pods in each pool. Left out, nobody changes what an autoscaler or kubectl scale sets.',
          type: 'integer',
          format: 'int32',
          minimum: 0,
          nullable: true,
        },
        selector: labelSelector({ doc: 'Of pods. The pool is added.' }).openApi,
        template: anyObject({ doc: 'The pods.' }).openApi,
      },
    },
    rules: [keepsSelector, ...rules],
  });
  return object(
    {
      metadata: optional(
        anyObject<{
          readonly labels?: Readonly<Record<string, string>>;
          readonly annotations?: Readonly<Record<string, string>>;
        }>({
          doc: `Labels and annotations of the ${kind}s.`,
          openApi: {
            nullable: true,
            properties: { labels: metadataMap('Labels.').openApi, annotations: metadataMap('Annotations.').openApi },
          },
        }),
      ),
      spec,
    },
    { doc: `One ${kind} in each pool.` },
  );
}

const workloadTemplate = object(
  {
    deploymentTemplate: optional(template('Deployment')),
    statefulSetTemplate: optional(template('StatefulSet')),
    daemonSetTemplate: optional(
      template('DaemonSet', [
        {
          rule: '!has(self.replicas)',
          message: 'a DaemonSet has one pod on every node of the pool: leave replicas out',
          fieldPath: '.replicas',
        },
      ]),
    ),
  },
  {
    doc: 'What every pool gets: exactly one of these.',
    rules: [
      {
        rule: '[has(self.deploymentTemplate), has(self.statefulSetTemplate), has(self.daemonSetTemplate)].filter(given, given).size() == 1',
        message: 'needs exactly one of deploymentTemplate, statefulSetTemplate and daemonSetTemplate',
      },
      {
        rule: 'has(self.deploymentTemplate) == has(oldSelf.deploymentTemplate) && has(self.statefulSetTemplate) == has(oldSelf.statefulSetTemplate)',
        message:
          'an app set keeps the kind of its workloads: make another YurtAppSet, and delete this one when the other runs',
      },
    ],
  },
);

const pools = (doc: string): Schema<readonly string[]> =>
  listOf(text({ doc: 'Name of a NodePool.', openApi: { minLength: 1, maxLength: 63 } }), {
    doc,
    openApi: { maxItems: maxPools },
  });

/** Of any type, which OpenAPI says by naming none. */
const anyValue: Schema<unknown> = {
  isOptional: false,
  openApi: {
    description: 'For add and replace. {{nodepool-name}} in it stands for the name of the pool.',
    'x-kubernetes-preserve-unknown-fields': true,
  },
};

const patch = object(
  {
    path: text({
      doc: 'Where, as a JSON pointer into the whole workload: /spec/template/spec/containers/0/image.',
      // As a rule with a message it would be too expensive: there may be many tweaks with many patches.
      openApi: { maxLength: 1024, pattern: '^/' },
    }),
    operation: oneOf(['add', 'remove', 'replace'], { doc: 'As in JSON patch. add makes objects that are missing.' }),
    value: optional(anyValue),
  },
  { doc: 'One operation of a JSON patch.' },
);

const tweaks = object(
  {
    replicas: optional(integer({ doc: 'Pods in these pools.', openApi: { minimum: 0 } })),
    containerImages: optional(
      listOf(
        object(
          {
            name: text({ doc: 'Name of a container or init container.', openApi: { minLength: 1 } }),
            targetImage: text({ doc: 'Its image in these pools.', openApi: { minLength: 1 } }),
          },
          { doc: 'The image of one container.' },
        ),
        { doc: 'Images of containers by their names.' },
      ),
    ),
    patches: optional(
      listOf(patch, { doc: 'Applied in their order, after all replicas and images.', openApi: { maxItems: 100 } }),
    ),
  },
  { doc: 'What is different there.' },
);

const workloadTweak = object(
  {
    nodepoolSelector: optional(labelSelector({ doc: 'The pools, by their labels.' })),
    pools: optional(pools('The pools, by their names.')),
    tweaks,
  },
  { doc: 'What is different in some pools. Where several apply, the later one wins.' },
);

const workload = object(
  {
    workloadTemplate,
    workloadTweaks: optional(
      listOf(workloadTweak, { doc: 'Differences between pools.', openApi: { maxItems: maxTweaks } }),
    ),
  },
  {
    doc: 'What pools get.',
    rules: [
      {
        rule: '!has(self.workloadTemplate.daemonSetTemplate) || !has(self.workloadTweaks) || self.workloadTweaks.all(tweak, !has(tweak.tweaks.replicas))',
        message: 'a DaemonSet has one pod on every node of the pool: leave replicas out of the tweaks',
        fieldPath: '.workloadTweaks',
      },
    ],
  },
);

const rollout = object(
  {
    maxPools: optional(
      integerOrText({
        doc: 'At most so many pools are changed at a time: a number, or a share of all pools as in 10%, rounded up. The next one begins when one is complete. Without it all pools change at once.',
        rules: [
          {
            rule: "type(self) == int ? self >= 1 : self.matches('^([1-9][0-9]*|([1-9][0-9]?|100)%)$')",
            message: 'must be a number of at least 1, or a share from 1% to 100%',
          },
        ],
      }),
    ),
    maxFailedPools: optional(
      integer({
        doc: 'So many pools may fail; with one more, nothing further is started until they are complete or the template changes.',
        openApi: { minimum: 0, default: 0 },
      }),
    ),
    poolDeadlineSeconds: optional(
      integer({
        doc: 'A pool that is not complete so long after it got its template has failed; a Deployment that exceeds its own progressDeadlineSeconds has too.',
        openApi: { minimum: 1, default: 600 },
      }),
    ),
    paused: optional(boolean({ doc: 'Nothing further is started. What is in motion goes on.' })),
    revision: optional(
      text({
        doc: 'Name of a ControllerRevision of this app set: pools get the workload that is recorded there, while spec.workload stays as it is. Take it out to go on with spec.workload.',
        openApi: { minLength: 1, maxLength: 253 },
      }),
    ),
  },
  { doc: 'Holdfast: how a change goes through the pools.' },
);

export const appSetSpec = object(
  {
    workload,
    nodepoolSelector: optional(
      labelSelector({ doc: 'Pools by their labels, beside those of pools. Pools that come later are found as well.' }),
    ),
    pools: optional(pools('Pools by their names. A rollout goes through them in this order.')),
    revisionHistoryLimit: optional(
      integer({ doc: 'So many revisions are kept; 10 by default.', openApi: { minimum: 0 } }),
    ),
    rollout: optional(rollout),
    poolLossGraceSeconds: optional(
      integer({
        doc: 'Holdfast: the workload of a pool that nodepoolSelector does not find any more stays for so long; 300 by default. What is taken out of pools goes at once.',
        openApi: { minimum: 0 },
      }),
    ),
  },
  { doc: 'How the application should be.' },
);

export const condition = conditionAbout('PoolFound, AppDispatched, AppUpdated, AppReady or AppDeleted.');

export const poolStates = ['Complete', 'Degraded', 'Updating', 'Waiting', 'Failed', 'Absent', 'Lost'] as const;

export const poolStatus = object(
  {
    name: text({ doc: 'Name of the pool.' }),
    state: oneOf(poolStates, {
      doc: 'Complete: every pod has the template and is available. Degraded: was complete, and some pods are not available now. Updating: on its way there. Waiting: its turn has not come. Failed: did not get there. Absent: in spec.pools, and there is no such NodePool. Lost: nodepoolSelector does not find it any more.',
    }),
    workload: optional(text({ doc: 'Name of its Deployment, StatefulSet or DaemonSet.' })),
    revision: optional(text({ doc: 'With which the workload was last written.' })),
    startedAt: optional(time({ doc: 'When it got its template.' })),
    replicas: optional(integer({ doc: 'Pods that are wanted.' })),
    readyReplicas: optional(integer({ doc: 'Pods that are ready.' })),
    message: optional(text({ doc: 'Why, and what to do.' })),
  },
  { doc: 'One pool.' },
);

export const appSetStatus = object(
  {
    observedGeneration: optional(integer({ doc: 'The generation of the spec that this status is about.' }, 'int64')),
    collisionCount: optional(integer({ doc: "Of OpenYurt's; not used." })),
    currentRevision: optional(text({ doc: 'Name of the ControllerRevision that pools have or get.' })),
    conditions: optional(listOf(condition, { doc: 'What else was observed.' })),
    readyWorkloads: optional(integer({ doc: 'Workloads all of whose pods are ready.' })),
    updatedWorkloads: optional(integer({ doc: 'Workloads that are complete with the current revision.' })),
    totalWorkloads: optional(integer({ doc: 'Workloads that there are.' })),
    pools: optional(
      listOf(poolStatus, {
        doc: 'Each pool; of more than 1000, those that are not complete.',
        openApi: { maxItems: 1000 },
      }),
    ),
  },
  { doc: 'How the application is.' },
);

const count = (name: string, field: string, description: string): Column => ({
  name,
  type: 'integer',
  jsonPath: `.status.${field}`,
  description,
});

export const appSetCrd: CustomResource = {
  resource: appSetResource,
  singular: 'yurtappset',
  shortNames: ['yas'],
  doc: 'One application in many pools: a Deployment, StatefulSet or DaemonSet in each, from one template.',
  spec: appSetSpec,
  status: appSetStatus,
  rules: [
    {
      rule: 'size(self.metadata.name) <= 63',
      message:
        'the name of an app set is the value of a label of its workloads: at most 63 characters, choose a shorter one',
    },
  ],
  columns: [
    count('Total', 'totalWorkloads', 'Workloads'),
    count('Ready', 'readyWorkloads', 'Workloads all of whose pods are ready'),
    count('Updated', 'updatedWorkloads', 'Workloads that are complete with the current revision'),
    {
      name: 'Rollout',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="AppUpdated")].reason',
      description: 'How far a change is',
    },
    {
      name: 'Age',
      type: 'date',
      jsonPath: '.metadata.creationTimestamp',
      description: 'Since when there is the app set',
    },
    {
      name: 'Revision',
      type: 'string',
      jsonPath: '.status.currentRevision',
      description: 'What pools have or get',
      priority: 1,
    },
  ],
};
