// What the guard watches, and how little of each object it keeps: there may be tens of thousands of pods, and a Lease changes
// every ten seconds.
import { isMembershipSlice, nodePoolLabel, poolLabel, poolsNamespace } from '../../peers/membership.ts';
import { reportAnnotation } from '../../peers/report.ts';
import { child, metadataOf, text } from '../../kube/plain-object.ts';
import type { KubeObject } from '../../kube/wire.ts';
import type { Collection } from '../machinery/informer.ts';
import type { ApiObject, ObjectMeta, Resource } from '../machinery/resource.ts';
import {
  autonomyAnnotation,
  conditionType,
  evictionAnnotation,
  fencedAnnotation,
  originalTolerationAnnotation,
  type GuardedLease,
  type GuardedNode,
  type GuardedPod,
  type Taint,
  type Toleration,
} from './objects.ts';

export const nodeResource: Resource = { group: '', version: 'v1', resource: 'nodes', kind: 'Node', namespaced: false };
export const podResource: Resource = { group: '', version: 'v1', resource: 'pods', kind: 'Pod', namespaced: true };
export const leaseResource: Resource = {
  group: 'coordination.k8s.io',
  version: 'v1',
  resource: 'leases',
  kind: 'Lease',
  namespaced: true,
};
export const nodeLeaseNamespace = 'kube-node-lease';

export const guardedLeases: Collection<GuardedLease> = {
  name: 'node-leases',
  resource: leaseResource,
  selection: { namespace: nodeLeaseNamespace },
  keep: keepLease,
};

export function keepLease(object: ApiObject): GuardedLease {
  const { spec } = object as { spec?: { renewTime?: string } };
  return {
    metadata: keepMetadata(object, []),
    renewTime: spec?.renewTime,
    report: object.metadata.annotations?.[reportAnnotation],
  };
}

export const guardedNodes: Collection<GuardedNode, 'pool'> = {
  name: 'guarded-nodes',
  resource: nodeResource,
  keep: (object) => {
    const { spec, status } = object as {
      spec?: { unschedulable?: boolean; taints?: readonly Taint[] };
      status?: { conditions?: readonly Condition[]; nodeInfo?: { bootID?: string } };
    };
    const { annotations = {}, labels = {} } = object.metadata;
    const ready = status?.conditions?.find(({ type }) => type === 'Ready');
    const own = status?.conditions?.find(({ type }) => type === conditionType);
    const bootID = status?.nodeInfo?.bootID ?? '';
    return {
      metadata: keepMetadata(object, []),
      pool: labels[nodePoolLabel],
      autonomy: annotations[autonomyAnnotation],
      cordoned: spec?.unschedulable === true,
      fenced: bootID !== '' && annotations[fencedAnnotation] === bootID,
      bootID,
      taints: spec?.taints ?? [],
      heartbeat: ready?.lastHeartbeatTime,
      condition: own && {
        status: own.status,
        reason: own.reason ?? '',
        message: own.message ?? '',
        lastTransitionTime: own.lastTransitionTime ?? '',
      },
    };
  },
  indexes: { pool: ({ pool }) => (pool === undefined ? [] : [pool]) },
};

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastHeartbeatTime?: string;
  readonly lastTransitionTime?: string;
}

export const guardedPods: Collection<GuardedPod, 'node'> = {
  name: 'guarded-pods',
  resource: podResource,
  selection: { fieldSelector: 'spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed' },
  keep: (object) => {
    const { spec, status } = object as {
      spec?: { nodeName?: string; tolerations?: readonly Toleration[]; volumes?: readonly object[] };
      status?: { phase?: string };
    };
    const { annotations = {}, ownerReferences = [] } = object.metadata;
    return {
      metadata: keepMetadata(object, [evictionAnnotation, originalTolerationAnnotation]),
      nodeName: spec?.nodeName ?? '',
      tolerations: spec?.tolerations ?? [],
      controlledBy: ownerReferences.find(({ controller }) => controller === true)?.kind,
      isStatic: annotations['kubernetes.io/config.mirror'] !== undefined,
      hasClaims: (spec?.volumes ?? []).some((volume) => 'persistentVolumeClaim' in volume || 'ephemeral' in volume),
      isOver: status?.phase === 'Succeeded' || status?.phase === 'Failed',
    };
  },
  indexes: { node: ({ nodeName }) => [nodeName] },
};

/** Membership of pools; slices of others in the namespace are kept without content, and left out when it is read. */
export const membershipSlices: Collection<MembershipSlice> = {
  name: 'membership-slices',
  resource: {
    group: 'discovery.k8s.io',
    version: 'v1',
    resource: 'endpointslices',
    kind: 'EndpointSlice',
    namespaced: true,
  },
  selection: { namespace: poolsNamespace },
  keep: (object) => ({
    metadata: object.metadata,
    slice: isMembershipSlice(object as unknown as KubeObject) ? (object as unknown as KubeObject) : {},
  }),
};

export interface MembershipSlice extends ApiObject {
  readonly slice: KubeObject;
}

/** Names of the pools that these slices belong to. */
export function poolsOf(...slices: readonly (KubeObject | undefined)[]): string[] {
  return slices
    .map((slice) => (slice === undefined ? '' : text(child(metadataOf(slice), 'labels'), poolLabel)))
    .filter((pool) => pool !== '');
}

function keepMetadata({ metadata }: ApiObject, annotations: readonly string[]): ObjectMeta {
  const { name, namespace, uid, resourceVersion, deletionTimestamp } = metadata;
  const kept = annotations.flatMap((key): [string, string][] => {
    const value = metadata.annotations?.[key];
    return value === undefined ? [] : [[key, value]];
  });
  return {
    name,
    uid,
    resourceVersion,
    ...(namespace === undefined ? {} : { namespace }),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    ...(kept.length === 0 ? {} : { annotations: Object.fromEntries(kept) }),
  };
}
