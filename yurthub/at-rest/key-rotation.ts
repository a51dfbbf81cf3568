// The second step of a rotation: every record that the old key sealed is sealed with the new one, in small batches beside the
// hub's work, and then the old key is removed. A crash at any moment leaves both keys and the next start goes on.
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { syncFolder } from '../../runtime/durable-file.ts';
import { delay, type Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { StoreReadError, StoreWriteError } from '../errors.ts';
import { oldKeyFile, type Seal } from './seal.ts';
import { writeKeyCheck } from './sealed-store.ts';
import { accountPrefix, nodePrefix } from '../single-objects.ts';
import type { OpenedStore } from '../store/level-store.ts';

export interface KeyRotationParts {
  readonly store: Pick<OpenedStore, 'rewrite' | 'compact' | 'write'>;
  readonly seal: Seal;
  readonly log: Log;
  readonly clock: Clock;
}

/** Where sealed records stand, and after how many bytes of each the sealed part begins. */
const sealedRecords = [
  { prefix: 'object/protobuf,,v1,secrets,', at: 0 },
  { prefix: 'object/json,,v1,secrets,', at: 0 },
  { prefix: nodePrefix, at: 0 },
  { prefix: accountPrefix, at: 0 },
  { prefix: 'token/', at: 8 },
] as const;

export interface KeyRotationSettings {
  readonly storeDirectory: string;
  readonly keyFile: string;
  /** Bytes of records that are looked at with no other write in between, and the pause after them. */
  readonly batchBytes: number;
  readonly pauseMs: number;
}

export const keyRotationDefaults = { batchBytes: 256 << 10, pauseMs: 20 };
const retryMs = 60_000;

export class KeyRotation {
  readonly #parts: KeyRotationParts;
  readonly #settings: KeyRotationSettings;

  constructor(parts: KeyRotationParts, settings: KeyRotationSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** Resolves when the rotation is over, at once if there is none, or when `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { seal, log, clock } = this.#parts;
    let over = !seal.rotating;
    while (!over && !signal.aborted) {
      try {
        over = await this.#rotate(signal);
      } catch (error) {
        if (!(error instanceof StoreWriteError || error instanceof StoreReadError) && !isSystemError(error))
          throw error;
        log.warn('the rotation of the key waits for the store', { error: String(error) });
        await delay(clock, retryMs, signal);
      }
    }
  }

  /** False when `signal` aborts before the end. */
  async #rotate(signal: AbortSignal): Promise<boolean> {
    const { store, seal, log, clock } = this.#parts;
    const { batchBytes, pauseMs } = this.#settings;
    let records = 0;
    for (const { prefix, at } of sealedRecords) {
      let from: string = prefix;
      for (;;) {
        if (signal.aborted) return false;
        const { next } = await store.rewrite(prefix, from, batchBytes, (key, value) => {
          const sealed = value.subarray(at);
          if (!seal.isOld(sealed)) return undefined;
          records += 1;
          return Buffer.concat([value.subarray(0, at), resealed(seal, sealed, key)]);
        });
        if (next === undefined) break;
        from = next;
        await delay(clock, pauseMs, signal);
      }
    }
    // Synced, and with it everything that was written before.
    await store.write([], 'synced');
    await writeKeyCheck(this.#settings.storeDirectory, seal);
    // What the old key sealed lies in tables that nobody reads any more until they are compacted.
    for (const { prefix } of sealedRecords) await store.compact(prefix);
    await this.#removeOldKey();
    log.info('the key of the store was rotated', { records });
    return true;
  }

  async #removeOldKey(): Promise<void> {
    const file = oldKeyFile(this.#settings.keyFile);
    try {
      await rm(file, { force: true });
      await syncFolder(path.dirname(file));
    } catch (error) {
      // A credential of systemd, for one: it is not ours to remove.
      this.#parts.log.warn('the old key is needed no more and could not be removed', { file, error: String(error) });
    }
  }
}

/** One that cannot be opened under its own key is left as it is: whoever reads it says so. */
function resealed(seal: Seal, sealed: Buffer, key: string): Buffer {
  try {
    return seal.seal(seal.open(sealed, key), key);
  } catch {
    return sealed;
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string';
}
