// Errors of the hub. Codes are stable; messages may change.

/** No API server answered. `sent` tells whether the request may have been carried out all the same. */
export class CloudUnreachableError extends Error {
  readonly code = 'ERR_CLOUD_UNREACHABLE';
  readonly sent: boolean;

  constructor(message: string, options: { sent: boolean; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.name = 'CloudUnreachableError';
    this.sent = options.sent;
  }
}

export class BodyTooLargeError extends Error {
  readonly code = 'ERR_BODY_TOO_LARGE';
  readonly maxBytes: number;

  constructor(maxBytes: number) {
    super(`the body is larger than ${maxBytes} bytes`);
    this.name = 'BodyTooLargeError';
    this.maxBytes = maxBytes;
  }
}

/** The client left before its answer was complete: nothing is wrong with the cloud. */
export class ClientGoneError extends Error {
  readonly code = 'ERR_CLIENT_GONE';

  constructor() {
    super('the client has left');
    this.name = 'ClientGoneError';
  }
}

/** The store cannot be written at present (disk full, read-only, I/O error). Reads go on. */
export class StoreWriteError extends Error {
  readonly code = 'ERR_STORE_WRITE';

  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'StoreWriteError';
  }
}

/** The store cannot be read at present. It says nothing about whether a key exists. A scan may be started again. */
export class StoreReadError extends Error {
  readonly code = 'ERR_STORE_READ';

  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'StoreReadError';
  }
}

/** A sealed record cannot be opened, the key it needs cannot be used, or the whole store was sealed with another one. */
export class SealError extends Error {
  readonly code: 'ERR_SEAL_KEY' | 'ERR_SEAL_RECORD' | 'ERR_SEAL_STORE';

  constructor(code: SealError['code'], message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'SealError';
    this.code = code;
  }
}

/** The store cannot be opened for a reason that setting it aside would not mend: locked by another hub, no access. */
export class StoreOpenError extends Error {
  readonly code: 'ERR_STORE_LOCKED' | 'ERR_STORE_ACCESS';

  constructor(code: StoreOpenError['code'], message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'StoreOpenError';
    this.code = code;
  }
}

/** The hub cannot serve its clients. */
export class FrontError extends Error {
  readonly code: 'ERR_FRONT_LISTEN';

  constructor(code: FrontError['code'], message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'FrontError';
    this.code = code;
  }
}
