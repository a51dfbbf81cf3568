// Which patch a Content-Type means.
import type { KubeObject } from '../kube/wire.ts';
import { ApiError } from './errors.ts';
import { isObject } from './object-meta.ts';
import type { ResourceKind } from './resource-kinds.ts';

/** The patched object; `current` may be changed. Throws 415 for a patch type that is not known. */
export function applyPatch(
  _kind: ResourceKind,
  contentType: string,
  current: KubeObject,
  patch: KubeObject,
): KubeObject {
  switch (contentType) {
    case 'application/merge-patch+json':
      return jsonMergePatch(current, patch);
    default:
      throw new ApiError('UnsupportedMediaType', `the body of the request was in an unknown format: ${contentType}`);
  }
}

/** RFC 7396. */
function jsonMergePatch(target: KubeObject, patch: KubeObject): KubeObject {
  const result = { ...target };
  for (const [field, value] of Object.entries(patch)) {
    const old = result[field];
    if (value === null) delete result[field];
    else if (isObject(value)) result[field] = jsonMergePatch(isObject(old) ? old : {}, value);
    else result[field] = value;
  }
  return result;
}
