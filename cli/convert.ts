// holdfast convert and holdfast revert: flags, the parts that stand for this node, what is printed. With --node: cli/on-node.ts.
import { convert, revert } from '../dropin/convert.ts';
import { outcomeText, statusOf, type Outcome } from '../dropin/outcome.ts';
import type { CommandParts } from '../dropin/run.ts';
import type { CommandLineParts } from './command-line.ts';
import { UsageError } from './errors.ts';
import { flag, type Flag } from './flags.ts';
import { isOnNode, onNode, onNodeFlags, type OnNodeParts } from './on-node.ts';
import { progressTo } from './progress.ts';
import { archiveOf, nodeFiles, nodeHost } from './this-node.ts';

/** Of every command that changes this node. */
export const localFlags: readonly Flag[] = [
  flag('dry-run', 'dryRun', undefined, 'Check, print every change that would be made, and change nothing.'),
  flag('output', 'output', 'text|json', 'How the result is printed. Progress goes to standard error. Default: text.'),
  flag('timeout', 'timeout', 'SECONDS', 'Longest wait for any one thing, such as the hub or the kubelet. Default: 90.'),
];
const forceFlag = flag(
  'force',
  'force',
  undefined,
  'Also when the API server is out of reach: the node then starts no pod until it is back.',
);
export const convertFlags: readonly Flag[] = [...localFlags, ...onNodeFlags];
export const revertFlags: readonly Flag[] = [...localFlags, forceFlag, ...onNodeFlags];
/** Of the part of both that runs in a pod. */
export const onHostFlags: readonly Flag[] = [...localFlags.filter(({ name }) => name !== 'output'), forceFlag];

export type Parts = Pick<CommandLineParts, 'out' | 'err' | 'signal' | 'script'>;
export type Values = Record<string, string | string[]>;

/** Exit status: 0 done, 1 rolled back, 2 not understood, 3 refused and nothing changed, 4 neither here nor there. */
export async function runConvertCommand(flags: Values, parts: OnNodeParts): Promise<number> {
  const { settings, json } = readSettings(flags);
  if (isOnNode(flags)) return finish(await onNode('convert', { ...settings, force: false }, flags, parts), json, parts);
  return finish(await convert(commandParts(parts), settings), json, parts);
}

/** As runConvertCommand. */
export async function runRevertCommand(flags: Values, parts: OnNodeParts): Promise<number> {
  const { settings, json } = readSettings(flags);
  const all = { ...settings, force: flags['force'] === 'true' };
  if (isOnNode(flags)) return finish(await onNode('revert', all, flags, parts), json, parts);
  return finish(await revert(commandParts(parts), all), json, parts);
}

export function readSettings({ dryRun, output = 'text', timeout = '90' }: Values): {
  settings: { dryRun: boolean; timeoutMs: number };
  json: boolean;
} {
  if (output !== 'text' && output !== 'json') throw new UsageError(`--output is text or json, not ${String(output)}`);
  const seconds = Number(timeout);
  if (!Number.isInteger(seconds) || seconds < 5 || seconds > 3_600)
    throw new UsageError(`--timeout is a number of seconds from 5 to 3600, not ${String(timeout)}`);
  return { settings: { dryRun: dryRun === 'true', timeoutMs: seconds * 1_000 }, json: output === 'json' };
}

export function finish(outcome: Outcome, json: boolean, { out, err }: Parts): number {
  out(json ? JSON.stringify(outcome, null, 2) : outcomeText(outcome));
  if (!json && outcome.error !== undefined) err(`holdfast ${outcome.command}: ${outcome.error}`);
  return statusOf(outcome);
}

export function commandParts({ err, signal, script }: Parts): CommandParts {
  return {
    host: nodeHost(signal),
    steadyHost: nodeHost(new AbortController().signal),
    files: nodeFiles,
    progress: progressTo(err),
    archive: archiveOf(script),
    wallTime: () => new Date().toISOString(),
  };
}
