// Errors of what is done to a node. Codes are stable; messages may change.

/**
 * REFUSED: the node is not what the command needs, and nothing was changed. STEP: a step did not come to its end. JOURNAL: the
 * journal of an earlier run cannot be used. CALL: a program or an API of the node did not do what it was asked for.
 */
export class DropInError extends Error {
  override readonly name = 'DropInError';
  readonly code: 'ERR_DROPIN_REFUSED' | 'ERR_DROPIN_STEP' | 'ERR_DROPIN_JOURNAL' | 'ERR_DROPIN_CALL';

  constructor(code: DropInError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
