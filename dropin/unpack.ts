// The archive of a release as a folder: it is one already, or it is unpacked beside the versions that are installed, for as long as
// it is looked at.
import { execFile } from 'node:child_process';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { ownArchive, type Archive } from './facts.ts';

const unpackMs = 300_000;

/** `source`: a .tar.gz, or a folder in which one was unpacked. `folder` is made, and gone afterwards; its parent is there. */
export async function withUnpacked<T>(
  source: string,
  folder: string,
  use: (archive: Archive | { readonly problem: string }) => Promise<T>,
): Promise<T> {
  const isFolder = await stat(source).then(
    (found) => found.isDirectory(),
    () => false, // tar says that it is not there
  );
  if (isFolder) return use(archiveIn(source));
  await rm(folder, { recursive: true, force: true }); // of a run that was killed
  try {
    await mkdir(folder, { mode: 0o700 });
    // No shell: the name is the user's. Owners and modes are those of a user who unpacks it.
    const args = ['--extract', '--gzip', '--no-same-owner', '--file', path.resolve(source), '--directory', folder];
    await promisify(execFile)('tar', args, { timeout: unpackMs });
    const [top, ...others] = await readdir(folder);
    if (top === undefined || others.length > 0) return await use({ problem: `${source} is no archive of Holdfast` });
    return await use(archiveIn(path.join(folder, top)));
  } catch (error) {
    if (!isTarError(error)) throw error;
    return await use({ problem: `${source} cannot be unpacked: ${error.stderr.trim().split('\n')[0]}` });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function archiveIn(folder: string): Archive | { readonly problem: string } {
  return (
    ownArchive(path.join(path.resolve(folder), 'lib', 'holdfast.mjs')) ?? { problem: `${folder} holds no Holdfast` }
  );
}

function isTarError(error: unknown): error is Error & { stderr: string } {
  return error instanceof Error && typeof (error as { stderr?: unknown }).stderr === 'string';
}
