// Errors of the YurtAppSet controller. Codes are stable; messages may change.

/** The template or a tweak cannot be turned into a workload for a pool; the message names the field and the fix. */
export class TemplateError extends Error {
  readonly code = 'ERR_APP_SET_TEMPLATE';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TemplateError';
  }
}
