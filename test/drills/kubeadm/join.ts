// A machine that comes later: from the command that kubeadm prints to a node with the hub, and no token left anywhere.
import { writeFileSync } from 'node:fs';
import type { RunResult } from '../../cluster/commands.ts';
import { runFully } from '../../cluster/commands.ts';
import type { KubeadmMachine } from '../../cluster/kubeadm/kubeadm-machine.ts';
import { expectThat } from '../report.ts';
import { bareEnvironment, unpackedIn, type Stage } from './stage.ts';

const machineName = 'c1';
const tokenFile = '/run/join-command';
/** About as long as a join and a conversion take. */
const spanMs = 20_000;

export async function joined(stage: Stage): Promise<void> {
  const { report, cluster, quick } = stage;
  const plane = cluster.controlPlane;
  const printed = (): Promise<string> =>
    plane.enter(['kubeadm', '--kubeconfig', '/etc/kubernetes/admin.conf', 'token', 'create', '--print-join-command']);
  const command = await printed();
  const token = /--token (\S+)/.exec(command)?.[1] ?? '';
  await report.check('a node that has joined is refused', async () => {
    const { code, stdout } = await join(stage, stage.node, command);
    expectThat(
      code === 3 && /refused\s+joined: this machine has joined a cluster already/.test(stdout),
      `exit ${code}: ${stdout}`,
    );
  });
  const machine = await cluster.addMachine(machineName, { lan: 7 });
  await machine.enter(['mkdir', '-p', unpackedIn]);
  await machine.enter(['tar', '-xzf', stage.archive, '-C', unpackedIn]);
  if (!quick)
    await report.check('a token that the cluster does not know leaves the machine as it was', async () => {
      const before = await stage.snapshot(machine);
      const unknown = command.replace(token, 'aaaaaa.0123456789abcdef');
      const { code, stdout, stderr } = await join(stage, machine, unknown, ['--timeout', '5']);
      expectThat(code === 1, `exit ${code}: ${stdout}${stderr}`);
      return stage.expectSame(before, machine);
    });
  await report.check('a machine becomes a node with the hub, from what kubeadm printed', async () => {
    const started = Date.now();
    if (!quick) {
      await killedOnce(stage, machine, command);
      report.say('killed once, and run again');
    }
    const { code, stdout, stderr } = await join(stage, machine, command);
    expectThat(code === 0, `exit ${code}: ${stdout}${stderr}`);
    expectThat(!`${stdout}${stderr}`.includes(token), 'the token is in what the command said');
    await cluster.waitForNode(machineName, 30_000);
    return `${((Date.now() - started) / 1000).toFixed(1)} s`;
  });
  await report.check('the token is in no file of the machine', async () => {
    const script = `grep -rlF '${token}' /etc /opt /run /var/lib/holdfast /var/lib/kubelet /var/log 2>/dev/null || true`;
    const found = (await machine.enter(['sh', '-c', script])).trim();
    expectThat(found === '', found);
  });
  await report.check('its kubelet asks the hub', async () => {
    const text = await machine.enter([...bareEnvironment, '/usr/local/bin/holdfast', 'status', '--output', 'json']);
    const { converted, watches } = JSON.parse(text) as { converted: boolean; watches: number };
    expectThat(converted && watches > 0, text);
    return `${watches} watches`;
  });
  await report.check('given back, it is a node without the hub', async () => {
    await machine.enter([...bareEnvironment, '/usr/local/bin/holdfast', 'revert']);
    await cluster.waitForNode(machineName, 60_000);
  });
}

/** As an administrator would, with the command in standard input. cgroup version 1 is all that kubeadm's check complains of. */
function join(
  stage: Stage,
  machine: KubeadmMachine,
  command: string,
  more: readonly string[] = [],
): Promise<RunResult> {
  return runFully(machine.enterArgv(joinArgv(stage, machine, command, more)), { mayFail: true, timeoutMs: 180_000 });
}

function joinArgv(stage: Stage, machine: KubeadmMachine, command: string, more: readonly string[]): string[] {
  writeFileSync(machine.file('/var/lib/join-command'), command, { mode: 0o600 });
  const program = [stage.command, 'join', '--ignore-preflight-errors', 'SystemVerification', ...more].join(' ');
  // The file of the drill is no file of the machine while the join goes on.
  return [
    ...bareEnvironment,
    'sh',
    '-c',
    `mv /var/lib/join-command ${tokenFile}; exec 3< ${tokenFile}; rm ${tokenFile}; exec ${program} <&3`,
  ];
}

async function killedOnce(stage: Stage, machine: KubeadmMachine, command: string): Promise<void> {
  await machine.startProcess('holdfast', joinArgv(stage, machine, command, []));
  await new Promise((resolve) => setTimeout(resolve, Math.round(Math.random() * spanMs)));
  await machine.kill9('holdfast');
}
