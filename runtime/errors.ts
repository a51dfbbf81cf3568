// Errors of parts that every daemon shares. Codes are stable; messages may change.

/** Settings that cannot be used; `problems` names every field and the fix. */
export class SettingsError extends Error {
  readonly code = 'ERR_SETTINGS';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'SettingsError';
    this.problems = problems;
  }
}

/** An address that cannot be listened on; the message names the setting. */
export class ListenError extends Error {
  readonly code = 'ERR_LISTEN';

  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'ListenError';
  }
}
