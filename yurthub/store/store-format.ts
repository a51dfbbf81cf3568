// Which form the records of a store have. A later version that changes it so that earlier ones cannot read it raises the number:
// `holdfast upgrade` then refuses the way back, and an earlier hub does not take those records for its own.
import { readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { syncFolder, writeNewFile } from '../../runtime/durable-file.ts';

/** What this version writes, and reads up to. */
export const storeFormat = 1;

/** In the store's folder; LevelDB leaves it alone. `dropin/` reads it. */
export const storeFormatName = 'format';

/** Of the store in `directory`; `otherwise` where nothing says so: stores were written before there was a file for it. */
export async function formatOf(directory: string, otherwise: number): Promise<number> {
  try {
    const found = Number.parseInt(await readFile(path.join(directory, storeFormatName), 'utf8'), 10);
    return Number.isNaN(found) ? otherwise : found;
  } catch {
    return otherwise; // not there; and what keeps it from being read keeps the store from being opened, which says why
  }
}

/** On disk when it resolves. */
export async function writeFormat(directory: string): Promise<void> {
  const next = path.join(directory, `${storeFormatName}.new`);
  await rm(next, { force: true });
  await writeNewFile(next, `${storeFormat}\n`, 0o600);
  await rename(next, path.join(directory, storeFormatName));
  await syncFolder(directory);
}
