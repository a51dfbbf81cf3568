// Errors of the tunnel server. Codes are stable; messages may change.

/** The API server answered with a status from 300 on. */
export class ApiRequestError extends Error {
  readonly code = 'ERR_API_REQUEST';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'ApiRequestError';
    this.status = status;
  }
}
