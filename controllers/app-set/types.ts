// The objects that the controller of YurtAppSets reads and makes, and the names of what it writes on them.
// Only the shape that OpenYurt's CRD asks for can be relied on: a cluster may hold that one, which checks less than ours.
import type { TypeOf } from '../crds/schema.ts';
import type { OwnerReference } from '../machinery/resource.ts';
import type { appSetSpec, appSetStatus, condition, poolStatus } from './app-set-crd.ts';

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly generation?: number;
  readonly resourceVersion?: string;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
}

export interface YurtAppSet {
  readonly metadata: ObjectMeta;
  readonly spec: YurtAppSetSpec;
  /** OpenYurt's has no pools. */
  readonly status?: Partial<YurtAppSetStatus>;
}

export type YurtAppSetSpec = TypeOf<typeof appSetSpec>;
export type RolloutSpec = NonNullable<YurtAppSetSpec['rollout']>;
export type WorkloadSpec = YurtAppSetSpec['workload'];
export type WorkloadTemplate = WorkloadSpec['workloadTemplate'];
export type TemplateSpec = NonNullable<WorkloadTemplate['deploymentTemplate']>;
export type WorkloadTweak = NonNullable<WorkloadSpec['workloadTweaks']>[number];
export type Tweaks = WorkloadTweak['tweaks'];
export type TweakPatch = NonNullable<Tweaks['patches']>[number];

export type ConditionType = 'PoolFound' | 'AppDispatched' | 'AppUpdated' | 'AppReady' | 'AppDeleted';
/** As we write it. */
export type Condition = Required<TypeOf<typeof condition>> & {
  readonly type: ConditionType;
  readonly status: 'True' | 'False';
};
export type PoolStatus = TypeOf<typeof poolStatus>;
/** As we write it. */
export type YurtAppSetStatus = Required<Omit<TypeOf<typeof appSetStatus>, 'conditions' | 'collisionCount'>> & {
  readonly conditions: readonly Condition[];
};

export interface NodePool {
  readonly metadata: ObjectMeta;
  readonly status?: { readonly readyNodeNum?: number; readonly unreadyNodeNum?: number };
}

export const workloadKinds = ['Deployment', 'StatefulSet', 'DaemonSet'] as const;
export type WorkloadKind = (typeof workloadKinds)[number];

export interface Workload {
  readonly kind: WorkloadKind;
  readonly metadata: ObjectMeta;
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
}

export interface ControllerRevision {
  readonly metadata: ObjectMeta;
  readonly revision: number;
  /** `{spec: {workload: …}}`, as OpenYurt records it. */
  readonly data?: unknown;
}

export const groupVersion = 'apps.openyurt.io/v1beta1';
/** On every workload of an app set: the app set, the pool, and the revision with which it was last written. */
export const appSetLabel = 'apps.openyurt.io/ref-yurtappset';
export const poolLabel = 'apps.openyurt.io/pool-name';
export const revisionLabel = 'apps.openyurt.io/controller-revision-hash';
export const poolAnnotation = 'apps.openyurt.io/ref-nodepool';
/** By this label a node says which pool it is in. */
export const nodePoolLabel = 'apps.openyurt.io/nodepool';
/** Hash of what was last applied, without replicas. */
export const appliedAnnotation = 'holdfast.dev/applied';
/** The number of replicas that the user asked for when it was last set; a change of it is the user's, any other is not ours to undo. */
export const replicasAnnotation = 'holdfast.dev/applied-replicas';
/** RFC 3339: when the template that it has now was applied. */
export const startedAnnotation = 'holdfast.dev/rollout-started';
/** RFC 3339: since when the selector no longer finds the pool. */
export const lostAnnotation = 'holdfast.dev/pool-lost-since';
/** Keeps an app set until its workloads are gone, so that one made anew under the same name finds their names free. */
export const finalizer = 'holdfast.dev/app-set';
