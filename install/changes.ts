// What an object is going to change, by asking the API server itself: a dry run of the same server-side apply, compared with what is there.
import { ApiError } from '../controllers/machinery/errors.ts';
import type { ApiObject } from '../controllers/machinery/resource.ts';
import type { ClusterApi } from './cluster-facts.ts';
import { resourceOf } from './kinds.ts';
import { nameOf, type ClusterObject } from './manifests.ts';

export const fieldManager = 'holdfast';

/** `keep`: somebody else has changed fields of it that are settings; it is left as it is. */
export type Change =
  | { readonly kind: 'create' | 'none' }
  | { readonly kind: 'update'; readonly fields: readonly string[] }
  | { readonly kind: 'keep'; readonly why: string };

/** Settings are for people to change, and what they wrote stays; everything else is made as the manifests say. */
const isSetting = ({ kind, metadata }: ClusterObject): boolean =>
  kind === 'ConfigMap' && metadata.name === 'holdfast-tunnel-server';

/** Applies the object, or with `dryRun` only says what that would change. Rejects with ApiError and ApiUnreachableError. */
export async function apply(
  api: ClusterApi,
  object: ClusterObject,
  options: { readonly dryRun: boolean },
  signal: AbortSignal,
): Promise<Change> {
  const resource = resourceOf(object);
  const before = await api.get<ApiObject>(resource, object.metadata, signal);
  // Its namespace or kind may be one of those that are not made in a dry run either.
  if (before === undefined && options.dryRun) return { kind: 'create' };
  try {
    const force = !isSetting(object);
    const after = await api.apply<ApiObject>(resource, object, fieldManager, signal, { force, dryRun: options.dryRun });
    if (before === undefined) return { kind: 'create' };
    const fields = differences(essence(before), essence(after), '');
    return fields.length === 0 ? { kind: 'none' } : { kind: 'update', fields };
  } catch (error) {
    if (error instanceof ApiError && error.status === 409 && isSetting(object))
      return { kind: 'keep', why: 'somebody has changed these settings, and they stay' };
    throw error;
  }
}

export function describeChange(object: Pick<ClusterObject, 'kind' | 'metadata'>, change: Change): string | undefined {
  switch (change.kind) {
    case 'none':
      return undefined;
    case 'create':
      return `create ${nameOf(object)}`;
    case 'keep':
      return `keep ${nameOf(object)}: ${change.why}`;
    case 'update':
      return `change ${nameOf(object)}: ${change.fields.slice(0, 6).join(', ')}${change.fields.length > 6 ? ', …' : ''}`;
    default:
      return change satisfies never;
  }
}

/** Without what every write changes, and what the cluster writes itself. */
function essence(object: ApiObject): unknown {
  const {
    managedFields: _fields,
    resourceVersion: _version,
    generation: _generation,
    annotations = {},
    ...metadata
  } = object.metadata as object as Record<string, unknown> & { annotations?: Record<string, string> };
  // The API server counts in it what a DaemonSet's template was changed.
  const { 'deprecated.daemonset.template.generation': _count, ...others } = annotations;
  const { status: _status, ...rest } = object as ApiObject & { status?: unknown };
  return { ...rest, metadata: { ...metadata, annotations: others } };
}

/** Paths of values that are not the same. */
export function differences(a: unknown, b: unknown, path: string): string[] {
  if (a === b) return [];
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return [path];
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].flatMap((key) =>
    differences(
      (a as Record<string, unknown>)[key],
      (b as Record<string, unknown>)[key],
      path === '' ? key : `${path}.${key}`,
    ),
  );
}
