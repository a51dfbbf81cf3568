// holdfast status, diagnose and preflight-offline: about this node, from this node.
import { preflightOffline, statusFacts, type LookParts } from '../dropin/look.ts';
import { diagnose, nodeStatus, statusText } from '../dropin/status.ts';
import { checkLines } from '../dropin/outcome.ts';
import type { Check } from '../dropin/preflight.ts';
import type { CommandLineParts } from './command-line.ts';
import { flag } from './convert.ts';
import { UsageError } from './errors.ts';
import { nodeFiles, nodeHost, nodeName } from './this-node.ts';

export const statusFlags = [flag('output', 'output', 'text|json', 'How the result is printed. Default: text.')];

type Parts = Pick<CommandLineParts, 'out' | 'signal'>;
type Values = Record<string, string | string[]>;

/** Exit status: 0 well, 1 something is broken. */
export async function runStatusCommand(flags: Values, parts: Parts): Promise<number> {
  const json = wantsJson(flags);
  const status = nodeStatus(await statusFacts(lookParts(parts)));
  parts.out(json ? JSON.stringify(status, null, 2) : statusText(status));
  return status.verdict === 'broken' ? 1 : 0;
}

/** Exit status: 0 when nothing is broken; warnings do not count. */
export async function runDiagnoseCommand(flags: Values, parts: Parts): Promise<number> {
  const json = wantsJson(flags);
  return say(diagnose(await statusFacts(lookParts(parts))), json, parts);
}

/** Exit status: 0 when every pod comes back. */
export async function runPreflightOfflineCommand(flags: Values, parts: Parts): Promise<number> {
  const json = wantsJson(flags);
  return say(await preflightOffline(lookParts(parts)), json, parts);
}

function say(checks: readonly Check[], json: boolean, { out }: Parts): number {
  const shown = checks.map((check) => ({ ...check, verdict: check.verdict === 'refused' ? 'broken' : check.verdict }));
  out(json ? JSON.stringify(shown, null, 2) : checkLines(shown).join('\n'));
  return checks.some(({ verdict }) => verdict === 'refused') ? 1 : 0;
}

function wantsJson({ output = 'text' }: Values): boolean {
  if (output !== 'text' && output !== 'json') throw new UsageError(`--output is text or json, not ${String(output)}`);
  return output === 'json';
}

function lookParts({ signal }: Parts): LookParts {
  if (process.getuid?.() !== 0) throw new UsageError('this reads what is root’s alone: sudo holdfast …');
  return { host: nodeHost(signal), files: nodeFiles, node: nodeName(), wallSeconds: () => Date.now() / 1_000 };
}
