// Errors of the command line. Codes are stable; messages may change.

/** What was typed cannot be carried out; exit status 2. */
export class UsageError extends Error {
  readonly code = 'ERR_USAGE';

  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** The demo cannot go on; the message says why. */
export class DemoError extends Error {
  readonly code = 'ERR_DEMO';

  constructor(message: string) {
    super(message);
    this.name = 'DemoError';
  }
}
