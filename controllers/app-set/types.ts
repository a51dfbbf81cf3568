// YurtAppSet `apps.openyurt.io/v1beta1` as OpenYurt defines it, what Holdfast adds to it, and the objects that it makes.
// Everything but the required fields may be missing: a cluster may hold OpenYurt's own CRD, which checks less.
import type { LabelSelector } from '../../kube/selectors/label-selector-object.ts';

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

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

export interface YurtAppSetSpec {
  readonly workload: WorkloadSpec;
  readonly nodepoolSelector?: LabelSelector;
  /** Pools by name, in the order in which a rollout goes through them. */
  readonly pools?: readonly string[];
  readonly revisionHistoryLimit?: number;
  /** Holdfast's own; without it every pool changes at once, as in OpenYurt. */
  readonly rollout?: RolloutSpec;
  /** Holdfast's own: for how long the workload of a pool stays that the selector no longer finds. */
  readonly poolLossGraceSeconds?: number;
}

export interface RolloutSpec {
  /** Pools in motion at a time: a number, or a share of all as in `10%`, rounded up. No limit by default. */
  readonly maxPools?: number | string;
  /** So many pools may have failed; with one more nothing further is started. */
  readonly maxFailedPools?: number;
  /** A pool that is not complete so long after it got the template has failed. */
  readonly poolDeadlineSeconds?: number;
  /** Nothing further is started; what is in motion goes on. */
  readonly paused?: boolean;
  /** The name of a ControllerRevision: pools get the workload recorded there instead of the one in the spec. */
  readonly revision?: string;
}

export interface WorkloadSpec {
  readonly workloadTemplate: WorkloadTemplate;
  readonly workloadTweaks?: readonly WorkloadTweak[];
}

export interface WorkloadTemplate {
  readonly deploymentTemplate?: TemplateSpec;
  readonly statefulSetTemplate?: TemplateSpec;
  readonly daemonSetTemplate?: TemplateSpec;
}

export interface TemplateSpec {
  readonly metadata?: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  /** The spec of the Deployment, StatefulSet or DaemonSet. */
  readonly spec: Readonly<Record<string, unknown>>;
}

export interface WorkloadTweak {
  readonly nodepoolSelector?: LabelSelector;
  readonly pools?: readonly string[];
  readonly tweaks: Tweaks;
}

export interface Tweaks {
  readonly replicas?: number;
  readonly containerImages?: readonly { readonly name: string; readonly targetImage: string }[];
  readonly patches?: readonly TweakPatch[];
}

export interface TweakPatch {
  readonly path: string;
  readonly operation: 'add' | 'remove' | 'replace';
  /** `{{nodepool-name}}` in it stands for the pool's name. */
  readonly value?: unknown;
}

export interface Condition {
  readonly type: ConditionType;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
  readonly observedGeneration: number;
}

export type ConditionType = 'PoolFound' | 'AppDispatched' | 'AppUpdated' | 'AppReady' | 'AppDeleted';

export interface YurtAppSetStatus {
  readonly observedGeneration: number;
  readonly currentRevision: string;
  readonly totalWorkloads: number;
  readonly readyWorkloads: number;
  readonly updatedWorkloads: number;
  readonly conditions: readonly Condition[];
  readonly pools: readonly PoolStatus[];
}

/**
 * Complete: every pod has the template and is available. Degraded: was complete, and some pods are not available now.
 * Updating: on its way there. Waiting: its turn has not come. Failed: did not get there. Absent: in the list, and there is no
 * such NodePool. Lost: the selector no longer finds it.
 */
export type PoolState = 'Complete' | 'Degraded' | 'Updating' | 'Waiting' | 'Failed' | 'Absent' | 'Lost';

export interface PoolStatus {
  readonly name: string;
  readonly state: PoolState;
  readonly workload?: string;
  readonly revision?: string;
  /** When it got its template. */
  readonly startedAt?: string;
  readonly replicas?: number;
  readonly readyReplicas?: number;
  readonly message?: string;
}

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
