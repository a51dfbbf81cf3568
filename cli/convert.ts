// holdfast convert and holdfast revert: flags, the parts that stand for this node, what is printed.
import { convert, revert } from '../dropin/convert.ts';
import { outcomeText, statusOf, type Outcome } from '../dropin/outcome.ts';
import type { CommandParts } from '../dropin/run.ts';
import type { Progress } from '../dropin/wait.ts';
import type { CommandLineParts } from './command-line.ts';
import { UsageError } from './errors.ts';
import type { Flag } from './flags.ts';
import { archiveOf, nodeFiles, nodeHost } from './this-node.ts';

export const flag = (name: string, key: string, value: string | undefined, doc: string): Flag => ({
  name,
  key,
  value,
  doc,
  repeatable: false,
});

const sharedFlags: readonly Flag[] = [
  flag('dry-run', 'dryRun', undefined, 'Check, print every change that would be made, and change nothing.'),
  flag('output', 'output', 'text|json', 'How the result is printed. Progress goes to standard error. Default: text.'),
  flag('timeout', 'timeout', 'SECONDS', 'Longest wait for any one thing, such as the hub or the kubelet. Default: 90.'),
];
export const convertFlags = sharedFlags;
export const revertFlags: readonly Flag[] = [
  ...sharedFlags,
  flag(
    'force',
    'force',
    undefined,
    'Also when the API server is out of reach: the node then starts no pod until it is back.',
  ),
];

export type Parts = Pick<CommandLineParts, 'out' | 'err' | 'signal' | 'script'>;
export type Values = Record<string, string | string[]>;

/** Exit status: 0 done, 1 rolled back, 2 not understood, 3 refused and nothing changed, 4 neither here nor there. */
export async function runConvertCommand(flags: Values, parts: Parts): Promise<number> {
  const { settings, json } = readSettings(flags);
  return finish(await convert(commandParts(parts), settings), json, parts);
}

/** As runConvertCommand. */
export async function runRevertCommand(flags: Values, parts: Parts): Promise<number> {
  const { settings, json } = readSettings(flags);
  return finish(await revert(commandParts(parts), { ...settings, force: flags['force'] === 'true' }), json, parts);
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

/** A line when something has ended, and every two seconds while it goes on. */
export function progressTo(say: (line: string) => void, now: () => number = () => performance.now()): Progress {
  let current = '';
  let began = 0;
  return {
    begin: (title) => {
      current = title;
      began = now();
    },
    end: () => say(`${seconds(now() - began)}  ${current}`),
    waiting: (what, why, waitedMs) =>
      say(`     …    ${current}: until ${what} (${why}), ${Math.round(waitedMs / 1000)} s`),
  };
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1).padStart(6)} s`;
