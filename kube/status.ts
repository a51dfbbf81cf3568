// Kubernetes' Status objects: what every refusal of Holdfast's own carries.
import type { KubeObject } from './wire.ts';

/** reason as in metav1.StatusReason */
export type StatusReason =
  | 'BadRequest'
  | 'Unauthorized'
  | 'Forbidden'
  | 'NotFound'
  | 'AlreadyExists'
  | 'Conflict'
  | 'Invalid'
  | 'UnsupportedMediaType'
  | 'Gone'
  | 'Expired'
  | 'NotAcceptable'
  | 'RequestEntityTooLarge'
  | 'TooManyRequests'
  | 'InternalError'
  | 'ServiceUnavailable'
  | 'Timeout'
  | 'MethodNotAllowed';

const codes: Record<StatusReason, number> = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Gone: 410,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
};

export interface StatusError {
  readonly code: number;
  readonly status: KubeObject;
  readonly retryAfterSeconds: number | undefined;
}

/** One of several problems: `field` names the parameter, `reason` is a metav1.CauseType. */
export interface StatusCause {
  readonly reason: string;
  readonly message: string;
  readonly field?: string;
}

/** A failure Status with the HTTP code that belongs to its reason. */
export function failure(reason: StatusReason, message: string, retryAfterSeconds?: number): StatusError {
  return withDetails(reason, message, {}, retryAfterSeconds);
}

/** 404 as the API server says it of an object: `deployments.apps "web" not found`. */
export function notFound(group: string, resource: string, name: string): StatusError {
  const qualified = group === '' ? resource : `${resource}.${group}`;
  const details = { name, ...(group === '' ? {} : { group }), kind: resource };
  return withDetails('NotFound', `${qualified} ${JSON.stringify(name)} not found`, details);
}

/** 504: a version that is not there yet, with the cause that clients look for. */
export function tooLargeVersion(asked: string, current: string): StatusError {
  const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }];
  const message = `Timeout: Too large resource version: ${asked}, current: ${current}`;
  return withDetails('Timeout', message, { causes }, 1);
}

/** 410, with a token by which a list may go on at the price of consistency where there is one. */
export function expired(message: string, continueToken?: string): StatusError {
  const { status, ...rest } = failure('Expired', message);
  const metadata = continueToken === undefined ? {} : { continue: continueToken };
  return { ...rest, status: { ...status, metadata } };
}

/** 422: parameters that exclude each other or have a value that there is not. */
export function invalidListOptions(causes: readonly Required<StatusCause>[]): StatusError {
  const each = causes.map(({ field, message }) => `${field}: ${message}`);
  const problems = each.length === 1 ? (each[0] ?? '') : `[${each.join(', ')}]`;
  const details = { group: 'meta.k8s.io', kind: 'ListOptions', causes };
  return withDetails('Invalid', `ListOptions.meta.k8s.io "" is invalid: ${problems}`, details);
}

/** 500 without a reason: how the API server answers to a malformed version where it reads only after it began. */
export function unexplained(message: string): StatusError {
  const { status } = failure('InternalError', message);
  const { reason: _reason, ...rest } = status;
  return { code: 500, status: rest, retryAfterSeconds: undefined };
}

function withDetails(
  reason: StatusReason,
  message: string,
  details: KubeObject,
  retryAfterSeconds?: number,
): StatusError {
  const code = codes[reason];
  const all = { ...details, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) };
  return {
    code,
    retryAfterSeconds,
    status: {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      reason,
      ...(Object.keys(all).length === 0 ? {} : { details: all }),
      code,
    },
  };
}
