// Which records lie encrypted in the store: Secrets, in views and as single objects.
import type { Seal } from './seal.ts';
import type { RecordCipher } from '../views/view-storage.ts';

export class SecretCipher implements RecordCipher {
  readonly #seal: Seal;

  constructor(seal: Seal) {
    this.#seal = seal;
  }

  hides(of: { group: string; resource: string }): boolean {
    return isSecret(of);
  }

  protect(of: { group: string; resource: string }, recordKey: string, record: Buffer): Buffer {
    return isSecret(of) ? this.#seal.seal(record, recordKey) : record;
  }

  /** Throws SealError when the record was written with another key or altered. */
  reveal(of: { group: string; resource: string }, recordKey: string, record: Buffer): Buffer {
    return isSecret(of) ? this.#seal.open(record, recordKey) : record;
  }
}

function isSecret(of: { group: string; resource: string }): boolean {
  return of.group === '' && of.resource === 'secrets';
}
