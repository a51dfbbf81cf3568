// holdfast status, diagnose and preflight-offline: about this node, from this node; and status of all nodes, from the cloud.
import path from 'node:path';
import { DropInError } from '../dropin/errors.ts';
import { preflightOffline, statusFacts, type LookParts } from '../dropin/look.ts';
import { diagnose, nodeStatus, statusText } from '../dropin/status.ts';
import { checkLines } from '../dropin/outcome.ts';
import type { Check } from '../dropin/preflight.ts';
import { fleetText, nodeText } from '../fleet/text.ts';
import type { CommandLineParts } from './command-line.ts';
import { UsageError } from './errors.ts';
import { flag, type Argument } from './flags.ts';
import { nodeFiles, nodeHost, nodeName } from './this-node.ts';

export const lookFlags = [flag('output', 'output', 'text|json', 'How the result is printed. Default: text.')];
export const statusFlags = [
  ...lookFlags,
  flag(
    'kubeconfig',
    'kubeconfig',
    'FILE',
    'From the cloud: all nodes with Holdfast. Needs to read Nodes. Default on a machine that is no node: KUBECONFIG, ~/.kube/config, /etc/kubernetes/admin.conf.',
  ),
];
export const statusArgument: Argument = {
  key: 'node',
  name: 'NODE',
  doc: 'One node, with all that the cloud knows of it. Without it all nodes; on a node, and without --kubeconfig, that node.',
};

type Parts = Pick<CommandLineParts, 'out' | 'signal'>;
type FleetParts = Parts & Pick<CommandLineParts, 'version' | 'kubeconfig'>;
type Values = Record<string, string | string[]>;

/** Exit status: 0 well, 1 something is broken. */
export async function runStatusCommand(flags: Values, parts: FleetParts): Promise<number> {
  const json = wantsJson(flags);
  const own = nodeName();
  const isAsked = flags['kubeconfig'] !== undefined || (flags['node'] !== undefined && flags['node'] !== own);
  if (isAsked || own === undefined) return fleetStatus(flags, json, parts);
  const status = nodeStatus(await statusFacts(lookParts(parts)));
  parts.out(json ? JSON.stringify(status, null, 2) : statusText(status));
  return status.verdict === 'broken' ? 1 : 0;
}

/** Exit status: 0 when no node is broken, 1 when one is, or the one that was asked for has no Holdfast. */
async function fleetStatus(flags: Values, json: boolean, parts: FleetParts): Promise<number> {
  const { kubeconfig, node } = flags as { kubeconfig?: string; node?: string };
  // KUBECONFIG may list several files; kubectl merges them, this takes the first.
  const file = kubeconfig ?? parts.kubeconfig?.split(path.delimiter)[0];
  const { run } = await import('../fleet/run.ts');
  const rows = await run({ kubeconfig: file, version: parts.version }, node, parts.signal);
  const [only] = rows;
  if (node === undefined) parts.out(json ? JSON.stringify(rows, null, 2) : fleetText(rows, Date.now()));
  else if (only === undefined) throw new DropInError('ERR_DROPIN_REFUSED', `there is no node ${node} with Holdfast`);
  else parts.out(json ? JSON.stringify(only, null, 2) : nodeText(only, Date.now()));
  return rows.some(({ verdict }) => verdict === 'broken') ? 1 : 0;
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
