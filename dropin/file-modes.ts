// Files of ours that others than root can read or change, though that would give them the node: for `holdfast diagnose`.
import path from 'node:path';
import type { Files } from './files.ts';
import { currentLink, ours } from './places.ts';

/** Of the hub's folder: keys, and kubeconfigs that hold one. */
const secretName = /\.key(\.old)?$|\.kubeconfig$/;
/** What root runs, or believes. */
const trusted = [
  ours.unitFile,
  ours.dropIn,
  ours.settings,
  ours.tunnelSettings,
  ours.tunnelCa,
  ours.hubCa,
  ...['bin/holdfast', 'lib/node', 'lib/holdfast.mjs', 'lib/supervise.sh'].map((file) => path.join(currentLink, file)),
];

export interface LooseFile {
  readonly file: string;
  readonly problem: string;
  /** What mends it. */
  readonly fix: string;
}

/** `owner`: the uid that they should have, of root. What is not there is no problem here. */
export async function looseFiles(files: Files, owner = 0): Promise<LooseFile[]> {
  const inside = (await files.list(ours.data)).filter((name) => secretName.test(name));
  const secret = [ours.data, ours.journal, ours.kubeconfig, ...inside.map((name) => path.join(ours.data, name))];
  const found: LooseFile[] = [];
  for (const [names, bits, may] of [
    [secret, 0o077, 'read'],
    [trusted, 0o022, 'change'],
  ] as const)
    for (const file of names) {
      const entry = await files.stat(file);
      if (entry === undefined || entry.kind === 'link') continue;
      if (entry.kind === 'file' && entry.uid !== owner)
        found.push({ file, problem: `${file} belongs to uid ${entry.uid}`, fix: `chown root: ${file}` });
      if ((entry.mode & bits) !== 0)
        found.push({
          file,
          problem: `others may ${may} ${file} (mode ${entry.mode.toString(8).padStart(4, '0')})`,
          fix: `chmod go-${may === 'read' ? 'rwx' : 'w'} ${file}`,
        });
    }
  return found;
}
