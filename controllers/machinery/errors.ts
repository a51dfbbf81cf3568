// Errors of the controllers' way to the API server. Codes are stable; messages may change.

/** The API server refused a request. `reason` as in metav1.StatusReason, '' when the answer has none. */
export class ApiError extends Error {
  readonly code = 'ERR_API_REFUSED';
  readonly status: number;
  readonly reason: string;
  /** When the API server asks for it: not before so many milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, status: number, reason: string, retryAfterMs?: number) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** No answer, or only a part of one: whether a write was carried out is not known. */
export class ApiUnreachableError extends Error {
  readonly code = 'ERR_API_UNREACHABLE';

  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'ApiUnreachableError';
  }
}

/** A kubeconfig, or what a pod finds in its place, cannot be used; the message says what to do. */
export class AccessError extends Error {
  readonly code = 'ERR_CLUSTER_ACCESS';

  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'AccessError';
  }
}

/** Somebody changed the object meanwhile, or made it before: look again, and decide again. */
export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409;
}

export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}

/** 410: what was asked for is too long ago to go on from. */
export function isExpired(error: unknown): boolean {
  return error instanceof ApiError && error.status === 410;
}
