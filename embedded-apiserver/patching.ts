// Which patch a Content-Type means.
import { PatchError } from '../kube/errors.ts';
import { applyJsonMergePatch } from '../kube/patch/json-merge-patch.ts';
import { applyStrategicMergePatch } from '../kube/patch/strategic-merge-patch.ts';
import type { KubeObject } from '../kube/wire.ts';
import { ApiError } from './errors.ts';
import { isObject } from '../kube/plain-object.ts';
import { groupVersionOf } from './resource-kinds.ts';
import type { ResourceKind } from './resource-kinds.ts';

/** The patched object; `current` stays as it is. Throws 415 for a patch type that is not known, 400 for a bad patch. */
export function applyPatch(
  kind: ResourceKind,
  contentType: string,
  current: KubeObject,
  patch: KubeObject,
): KubeObject {
  const patched = patchedValue(kind, contentType, current, patch);
  if (!isObject(patched)) throw new ApiError('BadRequest', 'the patch leaves no object');
  return patched;
}

function patchedValue(kind: ResourceKind, contentType: string, current: KubeObject, patch: KubeObject): unknown {
  switch (contentType) {
    case 'application/merge-patch+json':
      return applyJsonMergePatch(current, patch);
    case 'application/strategic-merge-patch+json':
      try {
        return applyStrategicMergePatch({ apiVersion: groupVersionOf(kind), kind: kind.kind }, current, patch);
      } catch (error) {
        if (error instanceof PatchError) throw new ApiError('BadRequest', error.message);
        throw error;
      }
    default:
      throw new ApiError(
        'UnsupportedMediaType',
        `the body of the request was in an unknown format - accepted media types include: application/merge-patch+json, application/strategic-merge-patch+json`,
      );
  }
}
