// How members of a view look to local clients where that differs from what the cloud gave, as clients were last told. So
// that a filter that changes its mind can be turned into the right events, and a restart notices that it has.
import { hash } from 'node:crypto';
import { memberChecksum } from './records.ts';

export class Appearances {
  /** Digest of what is shown; '' for a member that is hidden. Members shown as they are have no entry. */
  readonly #digests = new Map<string, string>();
  #checksum = 0;

  /** Over all members that are not shown as they are; 0 when there is none. */
  get checksum(): number {
    return this.#checksum;
  }

  /** Takes note of how a member is shown from now on: undefined when it is hidden. */
  note(key: string, bytes: Buffer, shown: Buffer | undefined): { wasHidden: boolean; changed: boolean } {
    const before = this.#digests.get(key);
    const now = shown === bytes ? undefined : shown === undefined ? '' : hash('sha256', shown, 'base64url');
    if (before === now) return { wasHidden: now === '', changed: false };
    this.#checksum = (this.#checksum - share(key, before) + share(key, now)) >>> 0;
    if (now === undefined) this.#digests.delete(key);
    else this.#digests.set(key, now);
    return { wasHidden: before === '', changed: true };
  }

  /** To be called when a member is gone; true when it was hidden. */
  forget(key: string): boolean {
    const before = this.#digests.get(key);
    this.#digests.delete(key);
    this.#checksum = (this.#checksum - share(key, before)) >>> 0;
    return before === '';
  }
}

function share(key: string, digest: string | undefined): number {
  return digest === undefined ? 0 : memberChecksum(key, digest);
}
