// `holdfast install` and `uninstall` on the control plane, as its administrator would run them: the archive unpacked, the image imported
// without a registry.
import { runFully } from '../../cluster/commands.ts';
import { expectThat } from '../report.ts';
import { bareEnvironment, type Stage } from './stage.ts';

export const cloudFolder = '/var/lib/unpacked/cloud';

/** What the command prints with `--output json`. */
export interface Said {
  readonly outcome: string;
  readonly changes: readonly string[];
  readonly readiness: readonly { readonly object: string; readonly ready: boolean; readonly detail: string }[];
  readonly checks: readonly { readonly name: string; readonly verdict: string; readonly cause: string }[];
  readonly notes: readonly string[];
  readonly seconds: number;
  readonly error?: string;
  readonly message: string;
}

/** The archive of the release in a folder of the control plane. */
export async function unpackOnControlPlane({ cluster, node, folder }: Stage, target = cloudFolder): Promise<void> {
  const plane = cluster.controlPlane;
  await plane.enter(['mkdir', '-p', target]);
  await plane.enter(['cp', '-a', `${node.file(folder)}/.`, target]);
}

/** Ends with exit status `code`, or the check fails with all that was said. */
export async function onControlPlane(
  { cluster }: Stage,
  args: readonly string[],
  code: number,
  from = cloudFolder,
): Promise<Said> {
  const argv = [...bareEnvironment, 'HOME=/nowhere', `${from}/bin/holdfast`, ...args, '--output', 'json'];
  const result = await runFully(cluster.controlPlane.enterArgv(argv), { mayFail: true, timeoutMs: 240_000 });
  const text = `holdfast ${args.join(' ')} ended with ${result.code}:\n${result.stdout}${result.stderr}`;
  expectThat(result.code === code, text);
  return JSON.parse(result.stdout) as Said;
}
