// holdfast demo: its flags, and which cluster they mean. The demo itself is loaded only when it runs.
import path from 'node:path';
import { UsageError } from './errors.ts';
import type { CommandLineParts } from './command-line.ts';
import type { Flag } from './flags.ts';

export const demoFlags: readonly Flag[] = [
  {
    key: 'kubeconfig',
    name: 'kubeconfig',
    value: 'FILE',
    repeatable: false,
    doc: 'Cluster to put the hub in front of; its user needs a client certificate. Default: KUBECONFIG, and with none an embedded API server.',
  },
  {
    key: 'embedded',
    name: 'embedded',
    value: undefined,
    repeatable: false,
    doc: 'The embedded API server, also when KUBECONFIG is set.',
  },
  {
    key: 'once',
    name: 'once',
    value: undefined,
    repeatable: false,
    doc: 'Play an outage and print what a client saw; exit status 0 if all of it was as it should be. In a cluster of your own this makes a namespace holdfast-demo-… and deletes it.',
  },
];

/** Exit status 0, or 1 when a check of the script failed. */
export async function runDemoCommand(
  flags: Readonly<Record<string, string | string[]>>,
  parts: Pick<CommandLineParts, 'version' | 'out' | 'signal' | 'kubeconfig' | 'terminal'>,
): Promise<number> {
  const named = flags['kubeconfig'];
  const isEmbedded = flags['embedded'] === 'true';
  if (isEmbedded && named !== undefined) throw new UsageError('--embedded and --kubeconfig exclude each other');
  // KUBECONFIG may list several files; kubectl merges them, the demo takes the first.
  const fallback = isEmbedded ? undefined : parts.kubeconfig?.split(path.delimiter)[0];
  const { runDemo } = await import('./demo.ts');
  return await runDemo(parts, {
    kubeconfigFile: typeof named === 'string' ? named : fallback,
    once: flags['once'] === 'true',
  });
}
