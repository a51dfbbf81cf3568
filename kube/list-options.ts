// The query of a list or watch, read and judged as kube-apiserver does: k8s.io/apimachinery/pkg/apis/meta/internalversion
// (decoding, defaults with WatchList on, validation) and the parts of apiserver/pkg/storage that refuse a version.
import { decodeContinue, type ContinueToken } from './continue-token.ts';
import { ContinueTokenError, SelectorError } from './errors.ts';
import { isTrue } from './request-info.ts';
import { parseFieldSelector, type FieldRequirement } from './selectors/field-selector.ts';
import { parseLabelSelector, type LabelRequirement } from './selectors/label-selector.ts';
import { failure, invalidListOptions, unexplained, type StatusCause, type StatusError } from './status.ts';

export interface ListOptions {
  readonly labels: readonly LabelRequirement[];
  readonly fields: readonly FieldRequirement[];
  readonly allowWatchBookmarks: boolean;
  /** '' when absent. */
  readonly resourceVersion: string;
  readonly resourceVersionMatch: '' | 'Exact' | 'NotOlderThan';
  /** undefined: as the server likes. */
  readonly timeoutSeconds: number | undefined;
  /** 0: no limit. */
  readonly limit: number;
  readonly continue: ContinueToken | undefined;
  /** Of a watch: all that there is first, as ADDED events. */
  readonly sendInitialEvents: boolean;
}

/** What the API server says to options that it refuses. */
export type ReadOptions = { readonly options: ListOptions } | { readonly refusal: StatusError };

export function listOptions(query: URLSearchParams, verb: 'list' | 'watch'): ReadOptions {
  try {
    return { options: read(query, verb) };
  } catch (error) {
    if (error instanceof RefusedOptions) return { refusal: error.refusal };
    if (error instanceof SelectorError) return { refusal: failure('BadRequest', error.message) };
    if (error instanceof ContinueTokenError)
      return { refusal: failure('BadRequest', `invalid continue token: ${error.message}`) };
    throw error;
  }
}

/** The `resourceVersion` of a GET; a refusal when it is no version. */
export function getVersion(query: URLSearchParams): { version: string } | { refusal: StatusError } {
  const version = query.get('resourceVersion') ?? '';
  return isVersion(version) ? { version } : { refusal: unexplained(badVersion(version)) };
}

class RefusedOptions extends Error {
  readonly refusal: StatusError;

  constructor(refusal: StatusError) {
    super('refused list options');
    this.refusal = refusal;
  }
}

function read(query: URLSearchParams, verb: 'list' | 'watch'): ListOptions {
  const labels = parseLabelSelector(query.get('labelSelector') ?? '');
  const fields = parseFieldSelector(query.get('fieldSelector') ?? '');
  const timeoutSeconds = integer(query, 'timeoutSeconds');
  const limit = integer(query, 'limit') ?? 0;
  const resourceVersion = query.get('resourceVersion') ?? '';
  const token = query.get('continue') ?? '';
  let match = query.get('resourceVersionMatch') ?? '';
  const asked = query.get('sendInitialEvents');
  let sendInitialEvents = asked === null ? undefined : isTrue(asked);
  if (verb === 'watch' && asked === null && match === '' && (resourceVersion === '' || resourceVersion === '0')) {
    // A watch of old from nothing begins with what there is: the same as a watch-list.
    sendInitialEvents = true;
    match = 'NotOlderThan';
  }
  const causes =
    verb === 'watch'
      ? watchCauses(match, sendInitialEvents, token)
      : listCauses(match, sendInitialEvents, token, resourceVersion);
  if (causes.length > 0) throw new RefusedOptions(invalidListOptions(causes));
  if (!isVersion(resourceVersion)) {
    if (verb === 'watch') throw new RefusedOptions(unexplained(badVersion(resourceVersion)));
    const message = `invalid resource version: ${badVersion(resourceVersion)}`;
    throw new RefusedOptions(failure('BadRequest', message));
  }
  const goOn = token === '' ? undefined : decodeContinue(token);
  if (goOn !== undefined && resourceVersion !== '' && resourceVersion !== '0') {
    const message = 'specifying resource version is not allowed when using continue';
    throw new RefusedOptions(failure('BadRequest', message));
  }
  return {
    labels,
    fields,
    allowWatchBookmarks: isTrue(query.get('allowWatchBookmarks')),
    resourceVersion,
    resourceVersionMatch: match as ListOptions['resourceVersionMatch'],
    timeoutSeconds,
    limit: Math.max(0, limit),
    continue: goOn,
    sendInitialEvents: sendInitialEvents === true,
  };
}

function listCauses(
  match: string,
  sendInitialEvents: boolean | undefined,
  token: string,
  resourceVersion: string,
): Required<StatusCause>[] {
  const causes: Required<StatusCause>[] = [];
  const matchForbidden = (problem: string): void => void causes.push(forbidden('resourceVersionMatch', problem));
  if (match !== '') {
    if (resourceVersion === '') matchForbidden('resourceVersionMatch is forbidden unless resourceVersion is provided');
    if (token !== '') matchForbidden('resourceVersionMatch is forbidden when continue is provided');
    if (match !== 'Exact' && match !== 'NotOlderThan')
      causes.push(notSupported('resourceVersionMatch', match, ['Exact', 'NotOlderThan', '']));
    if (match === 'Exact' && resourceVersion === '0')
      matchForbidden('resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
  }
  if (sendInitialEvents !== undefined)
    causes.push(forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list'));
  return causes;
}

function watchCauses(match: string, sendInitialEvents: boolean | undefined, token: string): Required<StatusCause>[] {
  const causes: Required<StatusCause>[] = [];
  const matchForbidden = (problem: string): void => void causes.push(forbidden('resourceVersionMatch', problem));
  if (sendInitialEvents !== undefined && match !== 'NotOlderThan')
    matchForbidden('sendInitialEvents requires setting resourceVersionMatch to NotOlderThan');
  if (match !== '') {
    if (sendInitialEvents === undefined)
      matchForbidden('resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided');
    if (match !== 'NotOlderThan') causes.push(notSupported('resourceVersionMatch', match, ['NotOlderThan']));
    if (token !== '') matchForbidden('resourceVersionMatch is forbidden when continue is provided');
  }
  return causes;
}

function forbidden(field: string, problem: string): Required<StatusCause> {
  return { reason: 'FieldValueForbidden', message: `Forbidden: ${problem}`, field };
}

function notSupported(field: string, value: string, supported: readonly string[]): Required<StatusCause> {
  const names = supported.map((name) => JSON.stringify(name)).join(', ');
  const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${names}`;
  return { reason: 'FieldValueNotSupported', message, field };
}

function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (/^[-+]?\d{1,18}$/.test(text)) return Number(text);
  const message = `strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`;
  throw new RefusedOptions(failure('BadRequest', message));
}

function isVersion(text: string): boolean {
  return /^\d{0,19}$/.test(text);
}

function badVersion(text: string): string {
  const value = JSON.stringify(text);
  return `resourceVersion: Invalid value: ${value}: strconv.ParseUint: parsing ${value}: invalid syntax`;
}
