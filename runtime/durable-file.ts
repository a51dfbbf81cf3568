// Files that survive a power cut: a file is durable when its bytes are, and its name when its folder is.
import { open } from 'node:fs/promises';

/** A new file, its bytes on disk when it resolves; `syncFolder` makes its name durable. Rejects with EEXIST if it is there. */
export async function writeNewFile(file: string, content: string | Buffer, mode: number): Promise<void> {
  const handle = await open(file, 'wx', mode);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** What was created, renamed or removed in the folder is on disk when it resolves. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
