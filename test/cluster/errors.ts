// What can go wrong with the harness itself, as opposed to what a drill finds wrong with Holdfast.

export type HarnessErrorCode =
  | 'COMMAND_FAILED'
  | 'DEADLINE'
  | 'PROCESS_ENDED'
  | 'NO_BINARY'
  | 'NO_CLUSTER'
  | 'NO_NODE'
  | 'NEEDS_ROOT'
  | 'API_STATUS';

export class HarnessError extends Error {
  override readonly name: string = 'HarnessError';
  readonly code: HarnessErrorCode;

  constructor(code: HarnessErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** An answer of 400 or above from the API server; `status` is the HTTP code, `body` what came with it. */
export class ApiStatusError extends HarnessError {
  override readonly name = 'ApiStatusError';
  readonly status: number;
  readonly body: string;

  constructor(method: string, path: string, status: number, body: string) {
    super('API_STATUS', `${method} ${path}: ${status} ${body.slice(0, 500)}`);
    this.status = status;
    this.body = body;
  }
}
