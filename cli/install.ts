// holdfast install and uninstall: flags, and what is printed. What reaches a cluster is a bundle of its own, as the controllers are.
import path from 'node:path';
import { realpathSync } from 'node:fs';
import type { Outcome } from '../install/outcome.ts';
import { exitStatus, outcomeText } from '../install/outcome.ts';
import type { CommandLineParts } from './command-line.ts';
import { UsageError } from './errors.ts';
import { flag, type Flag } from './flags.ts';
import { checkedImage } from './image-name.ts';
import { progressTo } from './progress.ts';

const sharedFlags: readonly Flag[] = [
  flag(
    'kubeconfig',
    'kubeconfig',
    'FILE',
    'An administrator of the cluster. Default: KUBECONFIG, ~/.kube/config, /etc/kubernetes/admin.conf.',
  ),
  flag('dry-run', 'dryRun', undefined, 'Check, print every change that would be made, and change nothing.'),
  flag('output', 'output', 'text|json', 'How the result is printed. Progress goes to standard error. Default: text.'),
  flag('timeout', 'timeout', 'SECONDS', 'Longest wait for any one thing. Default: 120.'),
];
export const installFlags: readonly Flag[] = [
  flag(
    'egress',
    'egress',
    undefined,
    'On a control-plane host, as root, after install: kube-apiserver goes through the tunnel server beside it. It is restarted, and gets its former manifest back if it does not become well.',
  ),
  flag(
    'image',
    'image',
    'IMAGE',
    'Image of controllers and tunnel server, with its tag. Default: localhost/holdfast:VERSION, as it is imported.',
  ),
  {
    ...flag(
      'tunnel-server',
      'tunnelServers',
      'HOST[:PORT]',
      'Where edge nodes find a tunnel server; once for each control plane. Default: what was said before, else their addresses, port 10262.',
    ),
    repeatable: true,
  },
  flag(
    'site-dns',
    'siteDns',
    undefined,
    "Names at sites: the cluster's CoreDNS on every converted node as well, so that names are found there without the cloud.",
  ),
  ...sharedFlags,
];
export const uninstallFlags: readonly Flag[] = [
  flag(
    'egress',
    'egress',
    undefined,
    'On a control-plane host, as root, before uninstall: take back what install --egress did there.',
  ),
  flag('site-dns', 'siteDns', undefined, 'Only what install --site-dns added; everything else stays.'),
  flag('delete-data', 'deleteData', undefined, 'Also pools and applications of yours, and with them their kinds.'),
  flag('force', 'force', undefined, 'Also while nodes are converted: they stay as they are.'),
  ...sharedFlags,
];

type Parts = Pick<CommandLineParts, 'out' | 'err' | 'signal' | 'script' | 'version' | 'kubeconfig'>;
type Values = Record<string, string | string[]>;

/** Exit status: 0 done, 1 not come to its end or taken back, 2 not understood, 3 refused and nothing changed, 4 neither here nor there. */
export async function runInstallCommand(flags: Values, parts: Parts): Promise<number> {
  const { dryRun, timeoutMs, json } = read(flags);
  const { image, tunnelServers = [] } = flags as { image?: string; tunnelServers?: string[] };
  if (flags['egress'] === 'true') return onHost('install', flags, parts);
  const settings = {
    dryRun,
    timeoutMs,
    image: checkedImage(image, parts.version),
    tunnelServers: tunnelServers.map(endpointText),
    siteDns: flags['siteDns'] === 'true',
  };
  const { run } = await import('../install/run.ts');
  return finish(await run({ command: 'install', settings }, facts(flags, parts), parts.signal), json, parts);
}

/** As runInstallCommand. */
export async function runUninstallCommand(flags: Values, parts: Parts): Promise<number> {
  const { dryRun, timeoutMs, json } = read(flags);
  if (flags['egress'] === 'true') return onHost('uninstall', flags, parts);
  const given = (key: string): boolean => flags[key] === 'true';
  const [deleteData, force, siteDnsOnly] = [given('deleteData'), given('force'), given('siteDns')];
  if (siteDnsOnly && (deleteData || force))
    throw new UsageError('--site-dns takes away names at sites alone: neither --delete-data nor --force goes with it');
  const settings = { dryRun, timeoutMs, deleteData, force, siteDnsOnly };
  const { run } = await import('../install/run.ts');
  return finish(await run({ command: 'uninstall', settings }, facts(flags, parts), parts.signal), json, parts);
}

async function onHost(command: 'install' | 'uninstall', flags: Values, parts: Parts): Promise<number> {
  const { dryRun, timeoutMs, json } = read(flags);
  const others = ['image', 'tunnelServers', 'siteDns', 'deleteData', 'force'].filter((key) => flags[key] !== undefined);
  if (others.length > 0)
    throw new UsageError(
      '--egress is about this host alone, and takes --dry-run, --output, --timeout and --kubeconfig only',
    );
  const { run } = await import('../install/run.ts');
  return finish(
    await run(
      { command, egress: { dryRun, timeoutMs } },
      facts(flags, { ...parts, kubeconfig: undefined }),
      parts.signal,
    ),
    json,
    parts,
  );
}

function read({ dryRun, output = 'text', timeout = '120' }: Values): {
  dryRun: boolean;
  timeoutMs: number;
  json: boolean;
} {
  if (output !== 'text' && output !== 'json') throw new UsageError(`--output is text or json, not ${String(output)}`);
  const seconds = Number(timeout);
  if (!Number.isInteger(seconds) || seconds < 5 || seconds > 3_600)
    throw new UsageError(`--timeout is a number of seconds from 5 to 3600, not ${String(timeout)}`);
  return { dryRun: dryRun === 'true', timeoutMs: seconds * 1_000, json: output === 'json' };
}

function facts({ kubeconfig }: Values, { version, script, err, kubeconfig: fromEnvironment }: Parts) {
  // KUBECONFIG may list several files; kubectl merges them, this takes the first.
  const file = typeof kubeconfig === 'string' ? kubeconfig : fromEnvironment?.split(path.delimiter)[0];
  // config/ lies beside the folder of the program, in an archive and in a checkout.
  const folder = path.dirname(path.dirname(realpathSync(script)));
  return { version, folder, kubeconfig: file, progress: progressTo(err) };
}

function finish(outcome: Outcome, json: boolean, { out, err }: Parts): number {
  out(json ? JSON.stringify(outcome, null, 2) : outcomeText(outcome));
  if (!json && outcome.error !== undefined) err(`holdfast ${outcome.command}: ${outcome.error}`);
  return exitStatus[outcome.outcome];
}

/** HOST:PORT, the port added where it is missing. */
function endpointText(text: string): string {
  const [, host, port = '10262'] = /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (host === undefined)
    throw new UsageError(`--tunnel-server is HOST or HOST:PORT, an IPv6 address in brackets, not ${text}`);
  return `${host}:${port}`;
}
