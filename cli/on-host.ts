// holdfast on-host: what the pod of `holdfast convert --node` runs.
import path from 'node:path';
import { realpathSync } from 'node:fs';
import { onHostDefaults, runOnHost } from '../dropin/on-host.ts';
import type { CommandLineParts } from './command-line.ts';
import { UsageError } from './errors.ts';
import type { Argument } from './flags.ts';

export const onHostArgument: Argument = { key: 'command', name: 'COMMAND', doc: 'convert or revert.' };

/** Exit status: that of the command. */
export async function runOnHostCommand(
  { command, timeout, dryRun, force }: Record<string, string | string[]>,
  { script, err, signal }: Pick<CommandLineParts, 'script' | 'err' | 'signal'>,
): Promise<number> {
  if (command !== 'convert' && command !== 'revert')
    throw new UsageError(`on-host runs convert or revert, not ${String(command)}`);
  const args = [
    command,
    ...(timeout === undefined ? [] : ['--timeout', String(timeout)]),
    ...(dryRun === 'true' ? ['--dry-run'] : []),
    ...(force === 'true' ? ['--force'] : []),
  ];
  const archive = path.dirname(path.dirname(realpathSync(script)));
  return await runOnHost({ ...onHostDefaults, archive }, args, err, signal);
}
