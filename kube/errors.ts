// Errors of the kube folder. Codes are stable; messages may change.

export class WireError extends Error {
  readonly code: 'ERR_WIRE_MALFORMED' | 'ERR_WIRE_TRUNCATED' | 'ERR_WIRE_TOO_LARGE';

  constructor(code: WireError['code'], message: string) {
    super(message);
    this.name = 'WireError';
    this.code = code;
  }
}

/** The schema table has no such kind, so the object can be carried but not decoded. */
export class UnknownKindError extends Error {
  readonly code = 'ERR_UNKNOWN_KIND';

  constructor(apiVersion: string, kind: string) {
    super(`no schema for ${apiVersion} ${kind}`);
    this.name = 'UnknownKindError';
  }
}

/** A patch that cannot be applied to this object. */
export class PatchError extends Error {
  readonly code = 'ERR_PATCH';

  constructor(message: string) {
    super(message);
    this.name = 'PatchError';
  }
}

/** A label or field selector that the API server would refuse; the message is the API server's. */
export class SelectorError extends Error {
  readonly code = 'ERR_SELECTOR';
  readonly selector: string;

  constructor(selector: string, problem: string) {
    super(problem);
    this.name = 'SelectorError';
    this.selector = selector;
  }
}

/** A continue token that the API server would refuse; the message is the API server's. */
export class ContinueTokenError extends Error {
  readonly code = 'ERR_CONTINUE_TOKEN';

  constructor(message: string) {
    super(message);
    this.name = 'ContinueTokenError';
  }
}

/** A kubeconfig that cannot be used; the message names the field and the fix. */
export class KubeconfigError extends Error {
  readonly code = 'ERR_KUBECONFIG';

  constructor(message: string) {
    super(message);
    this.name = 'KubeconfigError';
  }
}
