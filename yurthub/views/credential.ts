// As whom a view asks the API server.
import type { Lane, ViewKey } from '../types.ts';

export interface Credential {
  readonly lane: Lane;
  /** Of a service account; '' on the node's lane. */
  readonly token: string;
  /** False once another one has to take over: expired, rejected, or its bearer may not read the view any more. */
  isGood(): boolean;
  /** Hears what the API server said to a list or a watch with it. */
  answered(statusCode: number): void;
}

export const nodeCredential: Credential = {
  lane: 'node',
  token: '',
  isGood: () => true,
  answered: () => undefined,
};

/** What the views need to know of service accounts. */
export interface AccountCredentials {
  /** Of an account that may read the view; undefined when none is known. */
  credentialFor(key: ViewKey): Credential | undefined;
  /** Calls back when some have come or gone; returns the way to stop that. */
  onChange(listener: () => void): () => void;
}

/** Nobody may fill the view at present: its requests pass through. */
export class NoCredentialError extends Error {
  readonly code = 'ERR_NO_CREDENTIAL';

  constructor() {
    super('no live token of an account that may read the view');
    this.name = 'NoCredentialError';
  }
}
