// What an edit of kube-apiserver found before it, on disk before the edit is made: what is put back, by this run or a later one.
import { createHash } from 'node:crypto';
import type { Files } from '../../dropin/files.ts';
import { InstallError } from '../errors.ts';

/** Root's alone, and outside the folder whose every file the kubelet runs. */
const folder = '/var/lib/holdfast/egress';
const file = `${folder}/state.json`;

export interface EgressState {
  readonly format: 1;
  /** applying: it may be in force or not. applied: kube-apiserver was well with it. */
  readonly phase: 'applying' | 'applied';
  /** Base64. */
  readonly manifestBefore: string;
  /** Hexadecimal SHA-256 of what was written: while it is that, the one before can be put back byte for byte. */
  readonly manifestAfter: string;
  /** Of the ConfigMap, once it was edited by this host. */
  readonly configBefore?: string;
  readonly configAfter?: string;
}

export const digest = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex');

/** Undefined when this host has none. Rejects with ERR_INSTALL_EGRESS for one that cannot be read. */
export async function readState(files: Files): Promise<EgressState | undefined> {
  const bytes = await files.read(file);
  if (bytes === undefined) return undefined;
  try {
    const state = JSON.parse(bytes.toString('utf8')) as EgressState;
    if (state.format === 1) return state;
  } catch {
    // said below
  }
  throw new InstallError('ERR_INSTALL_EGRESS', `${file} cannot be read; it may be of another version of Holdfast`);
}

/** On disk when it resolves. */
export async function writeState(files: Files, state: EgressState): Promise<void> {
  for (const each of ['/var/lib/holdfast', folder])
    if ((await files.stat(each)) === undefined) await files.makeFolder(each, 0o700);
  await files.write(file, `${JSON.stringify(state, null, 1)}\n`, { mode: 0o600 });
}

export async function removeState(files: Files): Promise<void> {
  await files.remove(folder);
  await files.removeEmptyFolder('/var/lib/holdfast');
}
