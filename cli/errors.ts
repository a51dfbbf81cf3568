// Errors of the command line. Codes are stable; messages may change.

/** What was typed cannot be carried out; exit status 2. */
export class UsageError extends Error {
  readonly code = 'ERR_USAGE';

  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}
