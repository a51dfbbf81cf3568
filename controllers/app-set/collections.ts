// What the controller watches, and what it keeps of it: memory is what is kept, times the number of pools and app sets.
import { list, text } from '../../kube/plain-object.ts';
import type { Collection } from '../machinery/informer.ts';
import { keyOf, withoutManagedFields } from '../machinery/resource.ts';
import type { ApiObject, Resource } from '../machinery/resource.ts';
import { appSetResource } from './app-set-crd.ts';
import { appSetLabel } from './types.ts';
import type { ControllerRevision, Workload, WorkloadKind, YurtAppSet } from './types.ts';

export type StoredAppSet = YurtAppSet & ApiObject;
export type StoredWorkload = Workload & ApiObject;
export type StoredRevision = ControllerRevision & ApiObject;

export const workloadResources: Readonly<Record<WorkloadKind, Resource>> = {
  Deployment: { group: 'apps', version: 'v1', resource: 'deployments', kind: 'Deployment', namespaced: true },
  StatefulSet: { group: 'apps', version: 'v1', resource: 'statefulsets', kind: 'StatefulSet', namespaced: true },
  DaemonSet: { group: 'apps', version: 'v1', resource: 'daemonsets', kind: 'DaemonSet', namespaced: true },
};

export const revisionResource: Resource = {
  group: 'apps',
  version: 'v1',
  resource: 'controllerrevisions',
  kind: 'ControllerRevision',
  namespaced: true,
};

export const appSets: Collection<StoredAppSet> = {
  name: 'app-sets',
  resource: appSetResource,
  keep: (object) => withoutManagedFields<StoredAppSet>(object),
};

export const workloads = {
  Deployment: workloadsOf('Deployment'),
  StatefulSet: workloadsOf('StatefulSet'),
  DaemonSet: workloadsOf('DaemonSet'),
} as const;

export const revisions: Collection<StoredRevision, 'owner'> = {
  name: 'app-set-revisions',
  resource: revisionResource,
  selection: { labelSelector: appSetLabel },
  keep: (object) => withoutManagedFields<StoredRevision>(object),
  indexes: { owner: ownerUids },
};

/** The app set that controls an object, as `NAMESPACE/NAME`. */
export function appSetKey(object: ApiObject | undefined): string | undefined {
  const owner = object && controllerOf(object);
  return owner && keyOf({ namespace: object.metadata.namespace, name: owner.name });
}

export function controllerOf(object: ApiObject): { readonly uid: string; readonly name: string } | undefined {
  return object.metadata.ownerReferences?.find(({ controller, kind }) => controller === true && kind === 'YurtAppSet');
}

function ownerUids(object: ApiObject): string[] {
  const owner = controllerOf(object);
  return owner === undefined ? [] : [owner.uid];
}

function workloadsOf(kind: WorkloadKind): Collection<StoredWorkload, 'owner'> {
  const resource = workloadResources[kind];
  return {
    name: `app-set-${resource.resource}`,
    resource,
    selection: { labelSelector: appSetLabel },
    keep: (object) => keptWorkload(kind, object),
    indexes: { owner: ownerUids },
  };
}

const counts = [
  'observedGeneration',
  'replicas',
  'updatedReplicas',
  'readyReplicas',
  'availableReplicas',
  'desiredNumberScheduled',
  'updatedNumberScheduled',
  'numberReady',
  'numberAvailable',
] as const;

/** Exported for what a single GET gave. */
export function keptWorkload(kind: WorkloadKind, object: ApiObject): StoredWorkload {
  const { metadata, spec, status = {} } = withoutManagedFields<StoredWorkload>(object);
  const progressing = list(status, 'conditions').filter((condition) => text(condition, 'type') === 'Progressing');
  return {
    kind,
    metadata,
    spec,
    status: {
      ...Object.fromEntries(counts.flatMap((field) => (field in status ? [[field, status[field]]] : []))),
      // Without its times, which change with every pod.
      conditions: progressing.map(({ type, reason, message }) => ({
        type,
        reason,
        ...failureMessage(reason, message),
      })),
    },
  };
}

/** Other messages name the ReplicaSet, and would wake us for nothing. */
function failureMessage(reason: unknown, message: unknown): { message?: unknown } {
  return reason === 'ProgressDeadlineExceeded' ? { message } : {};
}
