// What the guard reads of nodes, pods and Leases: names, and the fields that are kept of each.
import type { ApiObject } from '../machinery/resource.ts';

/** On a Node, by a person or by what fences machines: the boot (`status.nodeInfo.bootID`) that has ended for good. */
export const fencedAnnotation = 'holdfast.dev/fenced';
/** On a Node, as OpenYurt has it: how long its pods stay while it is cut off. */
export const autonomyAnnotation = 'node.openyurt.io/autonomy-duration';
/** On a Pod, by its owner: `stock` keeps the guard's hands off it. */
export const evictionAnnotation = 'holdfast.dev/eviction';
/** On a Pod, by the guard: its toleration of the unreachable taint as it was, in seconds, or `none`. */
export const originalTolerationAnnotation = 'holdfast.dev/original-unreachable-toleration';
/** The type of the Node condition that holds the verdict. */
export const conditionType = 'PeerHealth';
/** Keeps new pods away from a node that is not heard. */
export const cutOffTaint = { key: 'holdfast.dev/cut-off', effect: 'NoSchedule' } as const;
/** Kubernetes' own: pods and volumes of the node are given up. The value says that the guard set it. */
export const outOfServiceTaint = {
  key: 'node.kubernetes.io/out-of-service',
  value: 'holdfast',
  effect: 'NoExecute',
} as const;

export interface Taint {
  readonly key: string;
  readonly value?: string;
  readonly effect: string;
  readonly timeAdded?: string;
}

export interface GuardedNode extends ApiObject {
  /** Undefined: in no pool. */
  readonly pool: string | undefined;
  readonly autonomy: string | undefined;
  readonly cordoned: boolean;
  /** Declared so, for the boot that the Node shows. */
  readonly fenced: boolean;
  /** Of the boot that the Node shows; '' when it shows none. */
  readonly bootID: string;
  readonly taints: readonly Taint[];
  readonly condition:
    | {
        readonly status: string;
        readonly reason: string;
        readonly lastTransitionTime: string;
      }
    | undefined;
}

export interface Toleration {
  readonly key?: string;
  readonly operator?: string;
  readonly value?: string;
  readonly effect?: string;
  readonly tolerationSeconds?: number;
}

export interface GuardedPod extends ApiObject {
  readonly nodeName: string;
  readonly tolerations: readonly Toleration[];
  /** Kind of the owner that would make it again; undefined: nobody would. */
  readonly controlledBy: string | undefined;
  /** Made by the kubelet from a file: only its mirror is in the API. */
  readonly isStatic: boolean;
  /** Has a volume that another node must not mount at the same time. */
  readonly hasClaims: boolean;
  readonly isOver: boolean;
}

export interface GuardedLease extends ApiObject {
  readonly renewTime: string | undefined;
  readonly report: string | undefined;
}
