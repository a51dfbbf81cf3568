// What `holdfast …` means: the table of subcommands, help, version, exit status. Gets its process from main.
import { nearest } from '../runtime/nearest.ts';
import { controllersFlags, runControllersCommand } from './controllers.ts';
import { convertFlags, localFlags, onHostFlags, revertFlags, runConvertCommand, runRevertCommand } from './convert.ts';
import { completionScript } from './completion.ts';
import { demoFlags, runDemoCommand } from './demo-command.ts';
import { UsageError } from './errors.ts';
import { flagHelp, parseFlags, type Argument, type Flag } from './flags.ts';
import { installFlags, runInstallCommand, runUninstallCommand, uninstallFlags } from './install.ts';
import { joinArgument, joinFlags, runJoinCommand } from './join.ts';
import { onHostArgument, runOnHostCommand } from './on-host.ts';
import { hubFlags, runNodeCommand, runRotateKeyCommand } from './node.ts';
import {
  lookFlags,
  runDiagnoseCommand,
  runPreflightOfflineCommand,
  runStatusCommand,
  statusArgument,
  statusFlags,
} from './status.ts';
import type { Terminal } from './terminal.ts';
import { runUpgradeCommand, upgradeArgument } from './upgrade.ts';
import { runTunnelAgentCommand, runTunnelServerCommand, tunnelAgentFlags, tunnelServerFlags } from './tunnel.ts';

export interface CommandLineParts {
  readonly version: string;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Aborts on the first SIGTERM or SIGINT. */
  readonly signal: AbortSignal;
  /** The file that runs; a release archive is known by it. */
  readonly script: string;
  /** The value of KUBECONFIG; undefined when unset or empty. */
  readonly kubeconfig: string | undefined;
  /** The values of HTTPS_PROXY and NO_PROXY; empty when unset. */
  readonly proxy: { readonly httpsProxy: string; readonly noProxy: string };
  /** Undefined when input or output is no terminal. */
  readonly terminal: Terminal | undefined;
}

interface Command {
  readonly summary: string;
  readonly flags: readonly Flag[];
  /** May be given without dashes. */
  readonly argument?: Argument;
  /** For a program of ours, and in no list for people. */
  readonly isInternal?: true;
  run(flags: Record<string, string | string[]>, parts: CommandLineParts): Promise<number>;
}

const commands: Readonly<Record<string, Command>> = {
  node: {
    summary: 'Run the hub of this node: kubelet and others reach the API server through it, and live on without it.',
    flags: hubFlags,
    run: async (flags, parts) => {
      await runNodeCommand(flags, parts);
      return 0;
    },
  },
  'tunnel-agent': {
    summary: 'Let tunnel servers in the cloud reach this node: kubectl logs, exec, port-forward behind NAT.',
    flags: tunnelAgentFlags,
    run: async (flags, parts) => {
      await runTunnelAgentCommand(flags, parts);
      return 0;
    },
  },
  'tunnel-server': {
    summary: 'Beside an API server: take its connections to nodes behind NAT to their agents.',
    flags: tunnelServerFlags,
    run: async (flags, parts) => {
      await runTunnelServerCommand(flags, parts);
      return 0;
    },
  },
  controllers: {
    summary: 'In the cloud: node pools and what belongs to them; of several replicas one leads.',
    flags: controllersFlags,
    run: async (flags, parts) => {
      await runControllersCommand(flags, parts);
      return 0;
    },
  },
  install: {
    summary:
      'Put the cloud side into a cluster: kinds, rights, controllers, tunnel server. Run it again to upgrade it.',
    flags: installFlags,
    run: (flags, parts) => runInstallCommand(flags, parts),
  },
  uninstall: {
    summary: 'Take the cloud side out of a cluster, when no node is converted any more.',
    flags: uninstallFlags,
    run: (flags, parts) => runUninstallCommand(flags, parts),
  },
  convert: {
    summary:
      'Put the hub on this kubeadm node, in place: its kubelet then lives on without the cloud. No pod is restarted.',
    flags: convertFlags,
    run: (flags, parts) => runConvertCommand(flags, parts),
  },
  revert: {
    summary: 'Take the hub off this node: everything is as it was before it was converted.',
    flags: revertFlags,
    run: (flags, parts) => runRevertCommand(flags, parts),
  },
  join: {
    summary:
      'Make this machine a node of a kubeadm cluster, and put the hub on it. The bootstrap token comes by a file or standard input.',
    flags: joinFlags,
    argument: joinArgument,
    run: (flags, parts) => runJoinCommand(flags, parts),
  },
  upgrade: {
    summary: 'Change the version of the hub on this node; if the new one does not work, the node goes back by itself.',
    flags: localFlags,
    argument: upgradeArgument,
    run: (flags, parts) => runUpgradeCommand(flags, parts),
  },
  status: {
    summary:
      'How this node is, without the cloud as well: hub, cloud, what is kept and what waits. In the cloud: how all nodes are.',
    flags: statusFlags,
    argument: statusArgument,
    run: (flags, parts) => runStatusCommand(flags, parts),
  },
  diagnose: {
    summary: 'Check this node: each finding with its cause and what to do. Works without the cloud.',
    flags: lookFlags,
    run: (flags, parts) => runDiagnoseCommand(flags, parts),
  },
  'preflight-offline': {
    summary:
      'Would every pod of this node come back after a reboot with the cloud gone? If not, which, why, and what to do.',
    flags: lookFlags,
    run: (flags, parts) => runPreflightOfflineCommand(flags, parts),
  },
  'on-host': {
    summary: 'What the pod of `holdfast convert --node` runs: puts its archive on the host and runs the command there.',
    flags: onHostFlags,
    argument: onHostArgument,
    isInternal: true,
    run: (flags, parts) => runOnHostCommand(flags, parts),
  },
  'rotate-key': {
    summary: 'Make a new key for the Secrets and tokens in the store; the hub takes it up when it is restarted.',
    flags: hubFlags,
    run: async (flags, { out }) => {
      out(await runRotateKeyCommand(flags));
      return 0;
    },
  },
  demo: {
    summary: 'Try it out: the hub in front of a cluster or of an embedded one, with a link that a key cuts and heals.',
    flags: demoFlags,
    run: (flags, parts) => runDemoCommand(flags, parts),
  },
};

const forPeople = Object.entries(commands).filter(([, { isInternal }]) => isInternal !== true);

/** Gives the exit status: 0 done, 1 failed, 2 not understood. */
export async function runCommandLine(parts: CommandLineParts, argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  try {
    if (name === undefined) {
      parts.err(overview());
      return 2;
    }
    if (name === '--version' || name === 'version') {
      parts.out(`holdfast ${parts.version}`);
      return 0;
    }
    if (name === '--help' || name === '-h' || (name === 'help' && rest.length === 0)) {
      parts.out(overview());
      return 0;
    }
    if (name === 'completion' && !rest.includes('--help')) {
      const table = forPeople.map(([command, { summary, flags }]) => ({
        name: command,
        summary,
        flags,
      }));
      parts.out(completionScript(rest[0], table));
      return 0;
    }
    const wanted = name === 'help' ? rest[0]! : name;
    const command = Object.hasOwn(commands, wanted) ? commands[wanted] : undefined;
    if (command === undefined) {
      const guess = nearest(wanted, [...forPeople.map(([each]) => each), 'completion', 'help', 'version']);
      throw new UsageError(
        `unknown command ${JSON.stringify(wanted)}${guess === undefined ? '' : `; did you mean ${guess}?`}`,
      );
    }
    if (name === 'help' || rest.includes('--help') || rest.includes('-h')) {
      const { summary, flags, argument } = command;
      const usage = `Usage: holdfast ${wanted}${argument === undefined ? '' : ` [${argument.name}]`} [flags]`;
      const what = argument === undefined ? [] : [`  ${argument.name}: ${argument.doc}`];
      parts.out([summary, usage, ...what, flagHelp(flags)].join('\n\n'));
      return 0;
    }
    return await command.run(parseFlags(rest, command.flags, command.argument), parts);
  } catch (error) {
    if (error instanceof UsageError) {
      parts.err(
        `holdfast: ${error.message}\nTry: holdfast ${name !== undefined && name in commands ? `${name} ` : ''}--help`,
      );
      return 2;
    }
    if (error instanceof Error && typeof (error as NodeJS.ErrnoException).code === 'string') {
      const problems = (error as { problems?: readonly string[] }).problems ?? [error.message];
      for (const problem of problems) parts.err(`holdfast ${name}: ${problem}`);
      return 1;
    }
    parts.err(
      `holdfast ${name}: unexpected: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
    return 1;
  }
}

function overview(): string {
  const rows: [string, string][] = [
    ...forPeople.map(([name, command]): [string, string] => [name, command.summary]),
    ['help', 'Show this, or the help of one command: holdfast help node.'],
    ['completion', 'Print what bash, zsh or fish complete: eval "$(holdfast completion bash)".'],
    ['version', 'Show the version.'],
  ];
  return [
    'Holdfast keeps Kubernetes nodes working where the network does not.',
    '',
    'Usage: holdfast COMMAND [flags]',
    '',
    ...rows.map(([name, summary]) => `  ${name.padEnd(19)}${summary}`),
    '',
    'holdfast COMMAND --help lists the flags of a command.',
  ].join('\n');
}
