// convert and revert with --node: by a pod on that node, from wherever the API server is in reach.
import path from 'node:path';
import type { Outcome } from '../dropin/outcome.ts';
import type { CommandSettings } from '../dropin/run.ts';
import type { CommandLineParts } from './command-line.ts';
import { UsageError } from './errors.ts';
import { flag, type Flag } from './flags.ts';
import { checkedImage } from './image-name.ts';
import { progressTo } from './progress.ts';

export const onNodeFlags: readonly Flag[] = [
  flag(
    'node',
    'node',
    'NODE',
    'From the cloud: on that node, by a pod that is removed afterwards. Needs to make pods with the files of a host in kube-system.',
  ),
  flag(
    'image',
    'image',
    'IMAGE',
    'With --node: where that node gets Holdfast from, with its tag. Default: the image of the controllers, or localhost/holdfast:VERSION, as it is imported.',
  ),
  flag(
    'kubeconfig',
    'kubeconfig',
    'FILE',
    'With --node: an administrator of the cluster. Default: KUBECONFIG, ~/.kube/config, /etc/kubernetes/admin.conf.',
  ),
];

export type OnNodeParts = Pick<CommandLineParts, 'out' | 'err' | 'signal' | 'script' | 'version' | 'kubeconfig'>;
type Values = Record<string, string | string[]>;

/** Throws UsageError where a flag has no meaning without --node. */
export function isOnNode(flags: Values): boolean {
  if (flags['node'] !== undefined) return true;
  const alone = ['image', 'kubeconfig'].find((key) => flags[key] !== undefined);
  if (alone !== undefined) throw new UsageError(`--${alone} goes with --node NODE; without it this node is meant`);
  return false;
}

/** Rejects with AccessError, ApiError and ApiUnreachableError before anything has been made. */
export async function onNode(
  command: 'convert' | 'revert',
  settings: CommandSettings & { readonly force: boolean },
  flags: Values,
  parts: OnNodeParts,
): Promise<Outcome> {
  const { node = '', image, kubeconfig } = flags as { node?: string; image?: string; kubeconfig?: string };
  if (!/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(node))
    throw new UsageError(`--node is the name of a node, not ${node}`);
  const { version, err, signal } = parts;
  const checked = checkedImage(image, version);
  // KUBECONFIG may list several files; kubectl merges them, this takes the first.
  const file = kubeconfig ?? parts.kubeconfig?.split(path.delimiter)[0];
  const { runOnNode } = await import('../fleet/run.ts');
  return await runOnNode(
    { kubeconfig: file, version },
    { ...settings, command, node, image: checked, defaultImage: `localhost/holdfast:${version}` },
    { progress: progressTo(err), say: err },
    signal,
  );
}
