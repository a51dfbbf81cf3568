// Opens the store only with a key that belongs to it: a file in its folder says, sealed, which one that is. With another key its
// Secrets and tokens could not be read, and would be missing without anyone being told why.
import { createHash } from 'node:crypto';
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { syncFolder, writeNewFile } from '../../runtime/durable-file.ts';
import { SealError } from '../errors.ts';
import type { Seal } from './seal.ts';
import { keyCheckName, takeLock } from '../store/level-folder.ts';
import { openStore, type OpenedStore, type StoreParts, type StoreSettings } from '../store/level-store.ts';

const context = 'key-check';
const plain = Buffer.from('holdfast');
const checksumBytes = 8;
/** Beyond, somebody changes keys without knowing it, and the disk fills. */
const maxAside = 3;

/**
 * As openStore. A store that was sealed with another key is set aside as `<directory>.other-key-<milliseconds>` and not touched
 * again. Throws SealError (ERR_SEAL_STORE) where that cannot be done, StoreOpenError as openStore does.
 */
export async function openSealedStore(parts: StoreParts, settings: StoreSettings, seal: Seal): Promise<OpenedStore> {
  const { directory } = settings;
  const fits = await keyFits(directory, seal);
  if (fits === false) await setAside(parts, directory);
  const store = await openStore(parts, settings);
  if (fits !== true) {
    await writeKeyCheck(directory, seal).catch((error: unknown) => {
      // Nothing is sealed yet that the next start could not read; it tries again.
      parts.log.warn('which key the store is sealed with could not be written down', { error: String(error) });
    });
  }
  return store;
}

/** Writes down that the store is sealed with the present key: on disk when it resolves. */
export async function writeKeyCheck(directory: string, seal: Seal): Promise<void> {
  const file = path.join(directory, keyCheckName);
  const next = `${file}.new`;
  await rm(next, { force: true });
  const sealed = seal.seal(plain, context);
  await writeNewFile(next, Buffer.concat([sealed, checksum(sealed)]), 0o600);
  await rename(next, file);
  await syncFolder(directory);
}

/** Undefined for a store that has not been sealed with any, or of which damage has made that unknown: records tell for themselves. */
async function keyFits(directory: string, seal: Seal): Promise<boolean | undefined> {
  let check: Buffer;
  try {
    check = await readFile(path.join(directory, keyCheckName));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new SealError('ERR_SEAL_STORE', `the store in ${directory} cannot be read: ${String(error)}`, error);
  }
  const sealed = check.subarray(0, -checksumBytes);
  if (!checksum(sealed).equals(check.subarray(-checksumBytes))) return undefined;
  try {
    return seal.open(sealed, context).equals(plain);
  } catch (error) {
    if (error instanceof SealError) return false;
    throw error;
  }
}

/** Tells a damaged file from another key. */
function checksum(sealed: Buffer): Buffer {
  return createHash('sha256').update(sealed).digest().subarray(0, checksumBytes);
}

async function setAside({ log, clock }: StoreParts, directory: string): Promise<void> {
  // Never under the hands of a hub that has the right key.
  await takeLock(log, directory);
  const aside = `${directory}.other-key-${clock.wallMs()}`;
  const prefix = `${path.basename(directory)}.other-key-`;
  const earlier = (await readdir(path.dirname(directory))).filter((name) => name.startsWith(prefix));
  if (earlier.length >= maxAside)
    throw new SealError(
      'ERR_SEAL_STORE',
      `the store in ${directory} was sealed with another key, and ${earlier.length} others were set aside before (${prefix}*); give the right key, or remove those that nobody needs`,
    );
  try {
    await rename(directory, aside);
    await syncFolder(path.dirname(directory));
  } catch (error) {
    throw new SealError(
      'ERR_SEAL_STORE',
      `the store in ${directory} was sealed with another key and cannot be set aside as ${aside} (${String(error)}); give the right key, or move the folder away`,
      error,
    );
  }
  log.error('the store was sealed with another key; it is set aside whole, and filled again from the API server', {
    code: 'ERR_SEAL_STORE',
    aside,
    fix: 'with its key back in place, stop the hub and move that folder back',
  });
}
