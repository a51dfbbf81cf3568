// What a write to a status subresource changes, as pure functions over plain values: the status, and for nodes labels and
// annotations too, as the API server's strategies for nodes and pods do (pkg/registry/core/{node,pod}/strategy.go).
import { PatchError, UnknownKindError } from '../../kube/errors.ts';
import { applyJsonMergePatch } from '../../kube/patch/json-merge-patch.ts';
import { isJsonObject } from '../../kube/patch/json-value.ts';
import { applyStrategicMergePatch } from '../../kube/patch/strategic-merge-patch.ts';
import { failure } from '../../kube/status.ts';
import type { KubeObject, TypeMeta } from '../../kube/wire.ts';
import { RefusedError } from './request-object.ts';

/** The part of an object that a status write may change. `labels` and `annotations` are of nodes only. */
export interface LocalStatus {
  readonly status: KubeObject;
  readonly labels?: KubeObject;
  readonly annotations?: KubeObject;
}

export type PatchType = 'strategic' | 'merge';

/** Undefined for JSON patch and server-side apply, which are left to the API server. */
export function patchTypeOf(contentType: string | undefined): PatchType | undefined {
  const mediaType = contentType?.split(';')[0]?.trim();
  if (mediaType === 'application/strategic-merge-patch+json') return 'strategic';
  return mediaType === 'application/merge-patch+json' ? 'merge' : undefined;
}

/** The patched object, whole. Throws RefusedError (400) for a patch that the API server would refuse. */
export function patched(type: PatchType, typeMeta: TypeMeta, object: KubeObject, patch: KubeObject): KubeObject {
  try {
    if (type === 'merge') return applyJsonMergePatch(object, patch) as KubeObject;
    return applyStrategicMergePatch(typeMeta, object, patch);
  } catch (error) {
    if (error instanceof PatchError || error instanceof UnknownKindError)
      throw new RefusedError(failure('BadRequest', `holdfast: ${error.message}`));
    throw error;
  }
}

/**
 * A uid or resourceVersion in the written object is a precondition. Throws RefusedError (409) when it does not hold: the
 * object was replaced by another of the same name, or changed since the writer read it.
 */
export function checkPreconditions(what: string, present: KubeObject, written: KubeObject): void {
  const has = metadataOf(present);
  const wants = metadataOf(written);
  for (const key of ['uid', 'resourceVersion'] as const) {
    const wanted = wants[key];
    if (wanted !== undefined && wanted !== null && wanted !== '' && wanted !== has[key])
      throw new RefusedError(
        failure(
          'Conflict',
          `Operation cannot be fulfilled on ${what}: ${key} is ${JSON.stringify(has[key])}, not ${JSON.stringify(wanted)}`,
        ),
      );
  }
}

/** What is kept of a written object. */
export function localStatusOf(kind: string, written: KubeObject): LocalStatus {
  const status = isJsonObject(written['status']) ? written['status'] : {};
  if (kind !== 'Node') return { status };
  const { labels, annotations } = metadataOf(written);
  return {
    status,
    ...(isJsonObject(labels) ? { labels } : {}),
    ...(isJsonObject(annotations) ? { annotations } : {}),
  };
}

/** `object` with what was written to it: everything else, its resourceVersion too, stays as the cloud gave it. */
export function withLocalStatus(object: KubeObject, { status, labels, annotations }: LocalStatus): KubeObject {
  if (labels === undefined && annotations === undefined) return { ...object, status };
  const metadata = {
    ...metadataOf(object),
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
  };
  return { ...object, metadata, status };
}

export function metadataOf(object: KubeObject): KubeObject {
  return isJsonObject(object['metadata']) ? object['metadata'] : {};
}

export function isFinished(status: KubeObject): boolean {
  return status['phase'] === 'Succeeded' || status['phase'] === 'Failed';
}

/** Lists of a pod's status that merge by key, where what we hold is the whole truth. */
const replacedLists = new Set(['podIPs', 'hostIPs']);
/** What the node lifecycle controller writes into the status of a pod that it cannot see. */
const writtenByCloud = ['reason', 'message'];

/**
 * The strategic merge patch that brings a finished pod's status into `cloud`'s object: only what differs. Conditions that
 * only the cloud knows stay (they merge by type), as do fields that only the cloud writes.
 */
export function finishedPodPatch(uid: string, cloud: KubeObject, ours: KubeObject): KubeObject {
  const status: KubeObject = {};
  for (const [key, value] of Object.entries(ours)) {
    if (JSON.stringify(cloud[key]) === JSON.stringify(value)) continue;
    status[key] =
      replacedLists.has(key) && Array.isArray(value) ? [...(value as unknown[]), { $patch: 'replace' }] : value;
  }
  for (const key of writtenByCloud) if (key in cloud && !(key in ours)) status[key] = null;
  return { metadata: { uid }, status };
}
