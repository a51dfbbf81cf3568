// Opens a LevelDB folder, whatever state it is in, and never lets LevelDB throw away what repair could save: with its
// default createIfMissing a folder that has lost its CURRENT file opens empty and every table in it is deleted.
import { Level } from 'level';
import type { ClassicLevel } from 'classic-level';
import { constants } from 'node:fs';
import { access, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Log } from '../../runtime/log.ts';
import { StoreOpenError } from '../errors.ts';
import { classifyFailure, errorText } from './failure-class.ts';
import { formatOf, storeFormat, storeFormatName, writeFormat } from './store-format.ts';

// `level` is ClassicLevel under Node.js, but its types leave out what browsers lack: repair and compactRange. (Importing
// classic-level itself would load LevelDB's native part as soon as the bundle starts, for `holdfast --help` as well.)
const LevelDb = Level as unknown as typeof ClassicLevel;

export type LevelHandle = ClassicLevel<string, Buffer>;

export interface LevelTuning {
  /** Bytes of the log held in memory before they become a table; up to two of these exist at a time. */
  readonly writeBufferBytes: number;
  /** Bytes of uncompressed blocks cached by LevelDB. */
  readonly cacheBytes: number;
  readonly maxOpenFiles: number;
}

/** A file of the store's owner in the folder, which LevelDB leaves alone: see yurthub/at-rest/sealed-store.ts. */
export const keyCheckName = 'key-check';

/** The folder of the large collections, which LevelDB leaves alone as well: see segment-files.ts. */
export const segmentsName = 'segments';

/** Objects are a few KB: with LevelDB's 4 KB nearly every one would be a block of its own, with its own index entry. */
const blockBytes = 16 * 1024;

/** What had to be done to open: nothing, LevelDB's repair, or a start with an empty folder. */
export type Recovery = 'none' | 'repaired' | 'set_aside';

/**
 * Opens `directory`, made if it is missing. With `damaged` it is repaired first. What a later version wrote is set aside.
 * Throws StoreOpenError (locked, no access) and, when the disk is full, what LevelDB threw: neither is mended by repair.
 */
export async function openLevelFolder(
  log: Log,
  directory: string,
  tuning: LevelTuning,
  damaged: boolean,
): Promise<{ handle: LevelHandle; recovery: Recovery }> {
  await makeWritable(directory);
  const opened = await openFolder(log, directory, tuning, damaged);
  if ((await formatOf(directory, 0)) !== storeFormat)
    await writeFormat(directory).catch((error: unknown) => {
      // A full disk: the next start tries again, and until then only a version that does not exist yet would read it wrongly.
      log.warn('the format of the store could not be written down', { directory, error: errorText(error) });
    });
  return opened;
}

async function openFolder(
  log: Log,
  directory: string,
  tuning: LevelTuning,
  damaged: boolean,
): Promise<{ handle: LevelHandle; recovery: Recovery }> {
  const format = await formatOf(directory, storeFormat);
  if (format > storeFormat) {
    await takeLock(log, directory);
    log.error('the store is of a later version; it is set aside, and filled again from the API server', {
      directory,
      format,
      known: storeFormat,
    });
    await setAside(directory);
    return { handle: await openHandle(directory, tuning, true), recovery: 'set_aside' };
  }
  const names = await databaseFiles(directory);
  if (names.length === 0) return { handle: await openHandle(directory, tuning, true), recovery: 'none' };
  if (!damaged) {
    try {
      // createIfMissing stays off: this attempt also takes the lock, so that nobody repairs under another hub's hands.
      return { handle: await openHandle(directory, tuning, false), recovery: 'none' };
    } catch (error) {
      translate(error, directory);
      log.warn('the store does not open; repairing it', { directory, error: errorText(error) });
    }
  }
  try {
    const handle = await repairAndOpen(directory, tuning);
    return { handle, recovery: 'repaired' };
  } catch (error) {
    translate(error, directory);
    log.error('the store cannot be repaired; it is set aside and filled again from the API server', {
      directory,
      error: errorText(error),
    });
  }
  await setAside(directory);
  return { handle: await openHandle(directory, tuning, true), recovery: 'set_aside' };
}

/** Throws StoreOpenError (ERR_STORE_LOCKED) while another process has the store open. What else keeps it from opening does not matter. */
export async function takeLock(log: Log, directory: string): Promise<void> {
  const tuning = { writeBufferBytes: 64 << 10, cacheBytes: 64 << 10, maxOpenFiles: 20 };
  try {
    await (await openHandle(directory, tuning, false)).close();
  } catch (error) {
    if (classifyFailure(error) === 'locked') translate(error, directory);
    log.warn('the store does not open', { directory, error: errorText(error) });
  }
}

/** True when `bytes` can be written to the folder's disk now: LevelDB needs room to open, and has no way back if it fails. */
export async function hasRoom(directory: string, bytes: number): Promise<boolean> {
  const probe = path.join(directory, 'room.probe');
  const chunk = Buffer.alloc(64 * 1024);
  try {
    const file = await open(probe, 'w', 0o600);
    try {
      for (let written = 0; written < bytes; written += chunk.length) await file.write(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    return true;
  } catch {
    // Full, read-only or failing: all of them mean "not now", and the store says so by staying degraded.
    return false;
  } finally {
    await rm(probe, { force: true }).catch(() => undefined); // on a read-only disk there is nothing to remove
  }
}

/** Bytes of all files in the folder, as `ls` shows them; not of those in folders within. */
export async function folderBytes(directory: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(directory)) {
    try {
      bytes += (await stat(path.join(directory, name))).size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // compaction removes files as we look
    }
  }
  return bytes;
}

async function openHandle(directory: string, tuning: LevelTuning, createIfMissing: boolean): Promise<LevelHandle> {
  const handle = new LevelDb<string, Buffer>(directory, { keyEncoding: 'utf8', valueEncoding: 'buffer' });
  try {
    await handle.open({
      createIfMissing,
      compression: true,
      blockSize: blockBytes,
      writeBufferSize: tuning.writeBufferBytes,
      cacheSize: tuning.cacheBytes,
      maxOpenFiles: tuning.maxOpenFiles,
    });
  } catch (error) {
    if (createIfMissing) translate(error, directory);
    throw error;
  }
  return handle;
}

async function repairAndOpen(directory: string, tuning: LevelTuning): Promise<LevelHandle> {
  // Damaged tables of an earlier repair would pile up: one generation is kept for whoever looks into it.
  await rm(path.join(directory, 'lost'), { recursive: true, force: true });
  await LevelDb.repair(directory);
  const handle = await openHandle(directory, tuning, false);
  try {
    // Repair puts every table into level 0, where a read takes the highest file number, not the newest version: a value
    // long replaced could come back. One compaction of everything sorts the versions out.
    await handle.compactRange('', '\x7f', { keyEncoding: 'utf8' });
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function makeWritable(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const full = classifyFailure(error) === 'full';
    throw new StoreOpenError(
      'ERR_STORE_ACCESS',
      `the store folder ${directory} cannot be ${full ? 'created: no space is left on its disk' : 'written'} (${errorText(error)}); ` +
        (full
          ? 'free some space'
          : 'give the user that runs holdfast write access, or set dataDir to a folder on a writable disk'),
      error,
    );
  }
}

/** What a LevelDB consists of; LOCK and its text logs alone are left by an attempt that never got further. */
async function databaseFiles(directory: string): Promise<string[]> {
  const names = await readdir(directory);
  const others = new Set([
    'LOCK',
    'LOG',
    'LOG.old',
    'lost',
    'room.probe',
    segmentsName,
    keyCheckName,
    `${keyCheckName}.new`,
    storeFormatName,
    `${storeFormatName}.new`,
  ]);
  return names.filter((name) => !others.has(name));
}

/** The folder becomes `<directory>.set-aside`, in place of an earlier one. A mount point cannot be renamed: it is emptied. */
async function setAside(directory: string): Promise<void> {
  const aside = `${directory}.set-aside`;
  try {
    await rm(aside, { recursive: true, force: true });
    await rename(directory, aside);
    await mkdir(directory, { mode: 0o700 });
  } catch {
    // A mount point (EBUSY), or a parent that is not ours: then the damaged files cannot be kept.
    for (const name of await readdir(directory)) await rm(path.join(directory, name), { recursive: true, force: true });
  }
}

/** Throws where neither repair nor a new folder would help. */
function translate(error: unknown, directory: string): void {
  const failure = classifyFailure(error);
  if (failure === 'locked') {
    throw new StoreOpenError(
      'ERR_STORE_LOCKED',
      `the store folder ${directory} is in use by another process; stop the other holdfast, or give this one its own dataDir`,
      error,
    );
  }
  if (failure === 'access') {
    throw new StoreOpenError(
      'ERR_STORE_ACCESS',
      `the store folder ${directory} cannot be opened (${errorText(error)}); check its permissions, its disk and the limit of open files`,
      error,
    );
  }
  if (failure === 'full') throw error;
}
