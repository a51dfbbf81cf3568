// What the guard watches, and how little of each object it keeps: there may be tens of thousands of pods, and a Lease changes
// every ten seconds.
import { poolLabel } from '../../peers/membership.ts';
import { reportAnnotation } from '../../peers/report.ts';
import type { Collection } from '../machinery/informer.ts';
import type { ApiObject, ObjectMeta, Resource } from '../machinery/resource.ts';
import { poolNameOf, type Node } from '../nodes.ts';
import {
  autonomyAnnotation,
  conditionType,
  evictionAnnotation,
  fencedAnnotation,
  originalTolerationAnnotation,
  type GuardedLease,
  type GuardedNode,
  type GuardedPod,
  type Toleration,
} from './objects.ts';

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

/** What the guard looks at of a Node as all controllers keep it. */
export function guardedNode({ metadata, spec, status }: Node): GuardedNode {
  const own = status.conditions.find(({ type }) => type === conditionType);
  const { bootID = '' } = status;
  return {
    metadata,
    pool: poolNameOf({ metadata }),
    autonomy: metadata.annotations?.[autonomyAnnotation],
    cordoned: spec.unschedulable === true,
    fenced: bootID !== '' && metadata.annotations?.[fencedAnnotation] === bootID,
    bootID,
    taints: spec.taints ?? [],
    condition: own && {
      status: own.status,
      reason: own.reason ?? '',
      lastTransitionTime: own.lastTransitionTime ?? '',
    },
  };
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

/** Names of the pools that these slices belong to. */
export function poolsOf(...slices: readonly (ApiObject | undefined)[]): string[] {
  return slices.flatMap((slice) => slice?.metadata.labels?.[poolLabel] || []);
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
