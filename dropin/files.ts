// What is done to files on a node. Each change is whole or not there at all, also after a power cut: a file comes by a new name,
// and is on disk before it gets its own.
import {
  chmod,
  chown,
  copyFile,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  rmdir,
  symlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { syncFolder, writeNewFile } from '../runtime/durable-file.ts';

export type Entry =
  | { readonly kind: 'file'; readonly mode: number; readonly uid: number; readonly gid: number }
  | { readonly kind: 'folder'; readonly mode: number }
  | { readonly kind: 'link'; readonly target: string };

/** Paths are absolute, as on the node. Rejects with the file system's errors. */
export interface Files {
  /** Undefined when there is nothing. */
  stat(file: string): Promise<Entry | undefined>;
  /** Undefined when there is nothing. */
  read(file: string): Promise<Buffer | undefined>;
  /** Names; empty when there is no such folder. */
  list(folder: string): Promise<string[]>;
  write(
    file: string,
    content: string | Buffer,
    attributes: { mode: number; uid?: number; gid?: number },
  ): Promise<void>;
  link(file: string, target: string): Promise<void>;
  /** Makes the folder; its parent is there. */
  makeFolder(folder: string, mode: number): Promise<void>;
  /** A file, a link or a whole folder; nothing is as good. */
  remove(file: string): Promise<void>;
  /** False when something is in it, or it is not there. */
  removeEmptyFolder(folder: string): Promise<boolean>;
  /** Copies a folder with all that is in it; whole or not at all, in place of what is there. */
  copyTree(from: string, to: string): Promise<void>;
}

const temporary = (file: string): string => path.join(path.dirname(file), `.${path.basename(file)}.holdfast-new`);

/** The node's own files, or those of a folder in its place. */
export class NodeFiles implements Files {
  readonly #root: string;
  readonly #durable: boolean;

  /** `root`: '' on a node; a folder that stands for / in tests, which need not outlive a power cut. */
  constructor(root = '', durable = true) {
    this.#root = root;
    this.#durable = durable;
  }

  async stat(file: string): Promise<Entry | undefined> {
    const at = this.#at(file);
    const found = await lstat(at).catch(missing);
    if (found === undefined) return undefined;
    if (found.isSymbolicLink()) return { kind: 'link', target: await readlink(at) };
    if (found.isDirectory()) return { kind: 'folder', mode: found.mode & 0o7777 };
    return { kind: 'file', mode: found.mode & 0o7777, uid: found.uid, gid: found.gid };
  }

  read(file: string): Promise<Buffer | undefined> {
    return readFile(this.#at(file)).catch(missing);
  }

  async list(folder: string): Promise<string[]> {
    return ((await readdir(this.#at(folder)).catch(missing)) ?? []).sort();
  }

  async write(
    file: string,
    content: string | Buffer,
    { mode, uid, gid }: { mode: number; uid?: number; gid?: number },
  ): Promise<void> {
    const at = this.#at(file);
    const next = temporary(at);
    await rm(next, { force: true });
    if (this.#durable) await writeNewFile(next, content, 0o600);
    else await writeFile(next, content, { mode: 0o600 });
    await chmod(next, mode); // exactly: the process's umask has no say
    if (uid !== undefined && gid !== undefined && process.getuid?.() === 0) await chown(next, uid, gid);
    await rename(next, at);
    await this.#sync(path.dirname(at));
  }

  async link(file: string, target: string): Promise<void> {
    const at = this.#at(file);
    const next = temporary(at);
    await rm(next, { force: true });
    await symlink(target, next);
    await rename(next, at);
    await this.#sync(path.dirname(at));
  }

  async makeFolder(folder: string, mode: number): Promise<void> {
    const at = this.#at(folder);
    await mkdir(at, { mode }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    await chmod(at, mode);
    await this.#sync(path.dirname(at));
  }

  async remove(file: string): Promise<void> {
    const at = this.#at(file);
    await rm(temporary(at), { recursive: true, force: true });
    await rm(at, { recursive: true, force: true });
    await this.#sync(path.dirname(at)).catch(missing);
  }

  async removeEmptyFolder(folder: string): Promise<boolean> {
    try {
      await rmdir(this.#at(folder));
      return true;
    } catch (error) {
      if (['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
      throw error;
    }
  }

  async copyTree(from: string, to: string): Promise<void> {
    const at = this.#at(to);
    const next = temporary(at);
    await rm(next, { recursive: true, force: true });
    await copyFolder(this.#at(from), next);
    await rm(at, { recursive: true, force: true });
    await rename(next, at);
    await this.#sync(path.dirname(at));
  }

  async #sync(folder: string): Promise<void> {
    if (this.#durable) await syncFolder(folder);
  }

  #at(file: string): string {
    return `${this.#root}${file}`;
  }
}

async function copyFolder(from: string, to: string): Promise<void> {
  await mkdir(to, { mode: 0o755 });
  await chmod(to, 0o755);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const source = path.join(from, entry.name);
    const target = path.join(to, entry.name);
    if (entry.isDirectory()) await copyFolder(source, target);
    else if (entry.isSymbolicLink()) await symlink(await readlink(source), target);
    else {
      await copyFile(source, target);
      const handle = await open(target, 'r');
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    }
  }
  await syncFolder(to);
}

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
  throw error;
}
