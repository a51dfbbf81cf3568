// A refusal: thrown anywhere below the listener, turned into its Status there.
import { failure } from '../kube/status.ts';
import type { StatusError, StatusReason } from '../kube/status.ts';

export class ApiError extends Error {
  readonly code = 'ERR_API';
  readonly answer: StatusError;

  constructor(reason: StatusReason, message: string, retryAfterSeconds?: number) {
    super(message);
    this.name = 'ApiError';
    this.answer = failure(reason, message, retryAfterSeconds);
  }
}
