// holdfast convert and holdfast revert: flags, the parts that stand for this node, what is printed.
import { readFileSync, realpathSync } from 'node:fs';
import { convert, revert, statusOf, type CommandParts } from '../dropin/convert.ts';
import { ownArchive } from '../dropin/facts.ts';
import { NodeFiles } from '../dropin/files.ts';
import { readKubeletConf } from '../dropin/kubelet-conf.ts';
import { HttpsApi, NodeHost, type ApiTarget } from '../dropin/node-host.ts';
import { outcomeText, type Outcome } from '../dropin/outcome.ts';
import { hubUrl, kubeadm, ours } from '../dropin/places.ts';
import type { Progress } from '../dropin/wait.ts';
import type { CommandLineParts } from './command-line.ts';
import { UsageError } from './errors.ts';
import type { Flag } from './flags.ts';

const flag = (name: string, key: string, value: string | undefined, doc: string): Flag => ({
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

type Parts = Pick<CommandLineParts, 'out' | 'err' | 'signal' | 'script'>;
type Values = Record<string, string | string[]>;

/** Exit status: 0 done, 1 rolled back, 2 not understood, 3 refused and nothing changed, 4 neither here nor there. */
export async function runConvertCommand(flags: Values, parts: Parts): Promise<number> {
  const { settings, json } = read(flags);
  return finish(await convert(commandParts(parts), settings), json, parts);
}

/** As runConvertCommand. */
export async function runRevertCommand(flags: Values, parts: Parts): Promise<number> {
  const { settings, json } = read(flags);
  return finish(await revert(commandParts(parts), { ...settings, force: flags['force'] === 'true' }), json, parts);
}

function read({ dryRun, output = 'text', timeout = '90' }: Values): {
  settings: { dryRun: boolean; timeoutMs: number };
  json: boolean;
} {
  if (output !== 'text' && output !== 'json') throw new UsageError(`--output is text or json, not ${String(output)}`);
  const seconds = Number(timeout);
  if (!Number.isInteger(seconds) || seconds < 5 || seconds > 3_600)
    throw new UsageError(`--timeout is a number of seconds from 5 to 3600, not ${String(timeout)}`);
  return { settings: { dryRun: dryRun === 'true', timeoutMs: seconds * 1_000 }, json: output === 'json' };
}

function finish(outcome: Outcome, json: boolean, { out, err }: Parts): number {
  out(json ? JSON.stringify(outcome, null, 2) : outcomeText(outcome));
  if (!json && outcome.error !== undefined) err(`holdfast ${outcome.command}: ${outcome.error}`);
  return statusOf(outcome);
}

function commandParts({ err, signal, script }: Parts): CommandParts {
  const apis = { cloud: new HttpsApi(cloudTarget), hub: new HttpsApi(hubTarget) };
  return {
    host: new NodeHost(apis, signal),
    steadyHost: new NodeHost(apis, new AbortController().signal),
    files: new NodeFiles(),
    progress: progressTo(err),
    archive: ownArchive(realpathSync(script)),
    wallTime: () => new Date().toISOString(),
  };
}

/** As kubeadm's kubelet.conf says now. */
function cloudTarget(): ApiTarget {
  const { kubeconfig } = readKubeletConf(readFileSync(kubeadm.kubeconfig, 'utf8'), (file) =>
    readFileSync(file, 'utf8'),
  );
  const { server, tlsServerName, certificateAuthority, clientCertificate, clientKey } = kubeconfig;
  if (certificateAuthority === undefined || clientCertificate === undefined || clientKey === undefined)
    throw new Error(`${kubeadm.kubeconfig} lacks a certificate authority, a client certificate or its key`);
  return { server, tlsServerName, certificateAuthority, certificate: clientCertificate, key: clientKey };
}

function hubTarget(): ApiTarget {
  return { ...cloudTarget(), server: hubUrl, tlsServerName: undefined, certificateAuthority: { file: ours.hubCa } };
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
