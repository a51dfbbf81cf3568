// Reads the query of a list or watch, and refuses what the API server's validation refuses.
// k8s.io/apimachinery/pkg/apis/meta/internalversion/validation/validation.go
import { isTrue } from '../kube/request-info.ts';
import { SelectorError } from '../kube/errors.ts';
import { matchesFields, parseFieldSelector } from '../kube/selectors/field-selector.ts';
import { matchesLabels, parseLabelSelector } from '../kube/selectors/label-selector.ts';
import type { KubeObject } from '../kube/wire.ts';
import { ApiError } from './errors.ts';
import { child, fieldText, metadataOf, text } from '../kube/plain-object.ts';
import type { ResourceKind } from './resource-kinds.ts';

export interface ListOptions {
  /** Undefined when not given; 0 means "any version". */
  readonly resourceVersion: number | undefined;
  readonly resourceVersionMatch: '' | 'Exact' | 'NotOlderThan';
  /** 0: no limit. */
  readonly limit: number;
  readonly continue: string;
  readonly allowWatchBookmarks: boolean;
  readonly sendInitialEvents: boolean | undefined;
  /** 0: the server's own choice. */
  readonly timeoutSeconds: number;
  readonly hasSelector: boolean;
  readonly selects: (object: KubeObject) => boolean;
}

/** Throws 400 or 422 as the API server would. */
export function listOptions(
  kind: ResourceKind,
  namespace: string,
  query: URLSearchParams,
  isWatch: boolean,
): ListOptions {
  const match = query.get('resourceVersionMatch') ?? '';
  const options = {
    resourceVersion: version(query.get('resourceVersion') ?? ''),
    resourceVersionMatch: match === 'Exact' || match === 'NotOlderThan' ? match : '',
    limit: integer(query, 'limit'),
    continue: query.get('continue') ?? '',
    allowWatchBookmarks: isTrue(query.get('allowWatchBookmarks')),
    sendInitialEvents: query.has('sendInitialEvents') ? isTrue(query.get('sendInitialEvents')) : undefined,
    timeoutSeconds: integer(query, 'timeoutSeconds'),
    hasSelector: (query.get('labelSelector') ?? '') !== '' || (query.get('fieldSelector') ?? '') !== '',
    selects: selection(kind, namespace, query.get('labelSelector') ?? '', query.get('fieldSelector') ?? ''),
  } as const;
  const problem = isWatch ? watchProblem(options, match) : listProblem(options, match);
  if (problem !== undefined) throw new ApiError('Invalid', `ListOptions.meta.k8s.io "" is invalid: ${problem}`);
  return options;
}

function listProblem(options: ListOptions, match: string): string | undefined {
  if (options.sendInitialEvents !== undefined)
    return 'sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list';
  if (match === '') return undefined;
  if (options.resourceVersion === undefined)
    return 'resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided';
  if (options.continue !== '')
    return 'resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided';
  if (options.resourceVersionMatch === '')
    return `resourceVersionMatch: Unsupported value: "${match}": supported values: "Exact", "NotOlderThan"`;
  if (match === 'Exact' && options.resourceVersion === 0)
    return 'resourceVersionMatch: Forbidden: resourceVersionMatch "Exact" is forbidden for resourceVersion "0"';
  return undefined;
}

function watchProblem(options: ListOptions, match: string): string | undefined {
  if (options.sendInitialEvents === undefined) {
    return match === ''
      ? undefined
      : 'resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided';
  }
  if (match === '')
    return 'resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan';
  if (match !== 'NotOlderThan')
    return `resourceVersionMatch: Unsupported value: "${match}": supported values: "NotOlderThan"`;
  return undefined;
}

function version(value: string): number | undefined {
  if (value === '') return undefined;
  if (!/^\d+$/.test(value)) throw new ApiError('BadRequest', `resourceVersion: Invalid value: "${value}"`);
  return Number(value);
}

function integer(query: URLSearchParams, name: string): number {
  const value = query.get(name) ?? '';
  if (!/^\d*$/.test(value)) throw new ApiError('BadRequest', `${name}: Invalid value: "${value}"`);
  return Number(value);
}

/** Labels, fields and namespace as one predicate. A field that the kind does not have is refused, not ignored. */
function selection(
  kind: ResourceKind,
  namespace: string,
  labelSelector: string,
  fieldSelector: string,
): (object: KubeObject) => boolean {
  try {
    const labelRequirements = parseLabelSelector(labelSelector);
    const fieldRequirements = parseFieldSelector(fieldSelector);
    for (const { field } of fieldRequirements) {
      const isMeta = field === 'metadata.name' || (field === 'metadata.namespace' && kind.namespaced);
      if (!isMeta && !Object.hasOwn(kind.selectableFields, field))
        throw new ApiError('BadRequest', `field label not supported: ${field}`);
    }
    return (object) =>
      (namespace === '' || text(metadataOf(object), 'namespace') === namespace) &&
      matchesLabels(labelRequirements, child(metadataOf(object), 'labels') as Record<string, string>) &&
      matchesFields(fieldRequirements, (field) => fieldText(object, field) ?? kind.selectableFields[field] ?? '');
  } catch (error) {
    if (error instanceof SelectorError) throw new ApiError('BadRequest', error.message);
    throw error;
  }
}
