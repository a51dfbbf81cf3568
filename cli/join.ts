// holdfast join: where the token comes from, and what is printed. The token is on no command line, which every process of the machine could read.
import { readFileSync, statSync } from 'node:fs';
import { join } from '../dropin/join.ts';
import { joinTarget } from '../dropin/join-target.ts';
import { KubeadmProgram } from '../dropin/kubeadm-program.ts';
import { commandParts, finish, localFlags, readSettings, type Parts, type Values } from './convert.ts';
import { UsageError } from './errors.ts';
import { flag, type Argument, type Flag } from './flags.ts';

export const joinArgument: Argument = {
  key: 'server',
  name: 'HOST:PORT',
  doc: 'The API server. Not needed where the command that kubeadm printed is given instead of a token.',
};

export const joinFlags: readonly Flag[] = [
  flag(
    'token-file',
    'tokenFile',
    'FILE',
    'Readable by root alone: a bootstrap token, or what `kubeadm token create --print-join-command` printed. Default: standard input.',
  ),
  {
    ...flag(
      'ca-cert-hash',
      'caCertHash',
      'sha256:HEX',
      "Digest of the cluster's certificate authority, as kubeadm prints it.",
    ),
    repeatable: true,
  },
  flag('node-name', 'nodeName', 'NAME', "The node's name. Default: the host's."),
  flag(
    'ignore-preflight-errors',
    'ignorePreflightErrors',
    'LIST',
    'Checks of kubeadm, separated by commas, that may fail: see kubeadm join.',
  ),
  ...localFlags,
];

/** Exit status: 0 done, 1 the machine is as before or a node without the hub, 2 not understood, 3 refused and nothing changed, 4 neither here nor there. */
export async function runJoinCommand(flags: Values, parts: Parts): Promise<number> {
  const { settings, json } = readSettings(flags);
  const { server, tokenFile, caCertHash = [], nodeName, ignorePreflightErrors = '' } = flags;
  if (typeof server === 'string' && /^[a-z0-9]{6}\.[a-z0-9]{16}$/.test(server))
    throw new UsageError(
      'a token on a command line can be read by every process of this machine: give it by --token-file or on standard input',
    );
  const text = tokenText(typeof tokenFile === 'string' ? tokenFile : undefined);
  const target = joinTarget(text, {
    server: typeof server === 'string' ? server : undefined,
    caHashes: [caCertHash].flat(),
  });
  const joining = {
    nodeName: typeof nodeName === 'string' ? nodeName : undefined,
    ignorePreflightErrors: String(ignorePreflightErrors)
      .split(',')
      .filter((name) => name !== ''),
  };
  return finish(
    await join({ ...commandParts(parts), kubeadm: new KubeadmProgram() }, target, joining, settings),
    json,
    parts,
  );
}

function tokenText(file: string | undefined): string {
  if (file === undefined) {
    if (process.stdin.isTTY)
      throw new UsageError('give the token by --token-file, or on standard input: … | holdfast join');
    return readFileSync(0, 'utf8');
  }
  try {
    const mode = statSync(file).mode & 0o777;
    if ((mode & 0o077) !== 0)
      throw new UsageError(`${file} can be read by others (mode ${mode.toString(8)}): chmod 600 ${file}`);
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`--token-file ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
