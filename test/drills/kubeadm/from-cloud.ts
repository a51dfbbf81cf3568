// A node behind NAT is converted and given back by a pod, from where only the API server is in reach.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { once } from 'node:events';
import { runFully, waitFor, type RunResult } from '../../cluster/commands.ts';
import { projectRoot } from '../../cluster/project-root.ts';
import { expectThat } from '../report.ts';
import type { Stage } from './stage.ts';

/** About as long as a conversion takes from here, with its pod. */
const spanMs = 20_000;

interface Said {
  readonly outcome: string;
  readonly seconds: number;
  readonly kubeletDownSeconds?: number;
  readonly checks: readonly { readonly name: string; readonly verdict: string; readonly cause: string }[];
}

export async function fromCloud(stage: Stage): Promise<void> {
  const { report, node, cluster, quick } = stage;
  const pod = `holdfast-on-${node.name}`;
  const argvOf = (args: readonly string[]): string[] => [
    process.execPath,
    path.join(projectRoot(), 'dist', 'holdfast.mjs'),
    ...args,
    '--node',
    node.name,
    '--kubeconfig',
    cluster.adminKubeconfig,
  ];
  const run = async (args: readonly string[], code: number): Promise<RunResult> => {
    const result = await runFully(argvOf(args), { mayFail: true, timeoutMs: 240_000 });
    expectThat(
      result.code === code,
      `holdfast ${args.join(' ')} ended with ${result.code}:\n${result.stdout}${result.stderr}`,
    );
    return result;
  };
  const say = async (args: readonly string[], code = 0): Promise<Said> =>
    JSON.parse((await run([...args, '--output', 'json'], code)).stdout) as Said;
  const isConverted = async (): Promise<boolean> => {
    const { stdout } = await stage.holdfast(['status', '--output', 'json']);
    return (JSON.parse(stdout) as { converted: boolean }).converted;
  };
  /** The kubelet takes a pod away a moment after it was told to. */
  const podIsGone = async (): Promise<void> => {
    await waitFor('the pod is gone', async () => (await podLine()) === '', { deadlineMs: 60_000, everyMs: 500 });
  };
  const podLine = async (): Promise<string> =>
    (await cluster.kubectl('-n', 'kube-system', 'get', 'pod', pod, '--ignore-not-found', '--no-headers')).trim();

  await stage.podsAreReady();
  const before = await stage.snapshot();
  const containers = await stage.containers();
  const counted = stage.counted();
  await report.check('without the image on the node: refused, and nothing is left', async () => {
    const { checks } = await say(['convert', '--timeout', '60'], 3);
    const cause = checks.find(({ name, verdict }) => name === 'image' && verdict === 'refused')?.cause;
    expectThat(cause !== undefined, JSON.stringify(checks));
    await podIsGone();
    await stage.expectSame(before);
    return cause;
  });
  await node.importArchive(stage.image);
  await report.check(
    'a dry run says what would be changed, though nobody reaches the kubelet, and changes nothing',
    async () => {
      const { stdout } = await run(['convert', '--dry-run'], 0);
      expectThat(stdout.includes('write /etc/systemd/system/kubelet.service.d/20-holdfast.conf'), stdout);
      await podIsGone();
      return stage.expectSame(before);
    },
  );
  await report.check('convert --node', async () => {
    const { seconds, kubeletDownSeconds } = await say(['convert']);
    expectThat(await isConverted(), 'the node is not converted');
    await podIsGone();
    return `${seconds} s on the node, kubelet down for ${kubeletDownSeconds} s`;
  });
  await report.check('convert --node once more: nothing to do', async () => {
    const { stdout } = await run(['convert'], 0);
    expectThat(stdout.includes('is converted already'), stdout);
  });
  await report.check('revert --node: files and units are byte for byte as before', async () => {
    const { seconds } = await say(['revert']);
    await podIsGone();
    return `${seconds} s on the node; ${await stage.expectSame(before)}`;
  });
  for (let round = 1; round <= (quick ? 1 : 5); round += 1) {
    await report.check(`round ${round}: the command is killed, and run again`, async () => {
      const afterMs = Math.round(Math.random() * spanMs);
      await killedAfter(argvOf(['convert']), afterMs);
      await run(['convert'], 0);
      expectThat(await isConverted(), 'the node is not converted');
      return `killed after ${afterMs} ms`;
    });
    await report.check(`round ${round}: what runs in the pod is killed, and run again`, async () => {
      const command = spawn(argvOf(['revert'])[0] ?? '', argvOf(['revert']).slice(1), { stdio: 'ignore' });
      const ended = once(command, 'exit') as Promise<[number | null]>;
      const killed = await killInPod(stage, Math.round(Math.random() * 4_000));
      const [code] = await ended;
      expectThat(code === (killed ? 4 : 0), `exit ${code}`);
      await run(['revert'], 0);
      await podIsGone();
      return `${killed ? 'killed' : 'it had ended'}; ${await stage.expectSame(before)}`;
    });
  }
  await report.check('no request of a client on the node failed, and no container was started anew', async () => {
    const now = stage.counted();
    expectThat(now.failed === counted.failed, `${now.failed - counted.failed} requests failed`);
    const after = await stage.containers();
    expectThat(after === containers, `before:\n${containers}\nnow:\n${after}`);
    return `${now.served - counted.served} requests`;
  });
}

async function killedAfter([program = '', ...args]: readonly string[], afterMs: number): Promise<void> {
  const command = spawn(program, args, { stdio: 'ignore' });
  const ended = once(command, 'exit');
  const timer = setTimeout(() => command.kill('SIGKILL'), afterMs);
  await ended;
  clearTimeout(timer);
}

/** As the kernel does when memory runs out: all processes of the container at once. False if there was none any more. */
async function killInPod({ node }: Stage, afterMs: number): Promise<boolean> {
  let id = '';
  const list = ['-n', 'k8s.io', 'containers', 'ls', '-q', 'labels."io.kubernetes.container.name"==on-host'];
  const tasks = async (): Promise<string[]> => (await node.ctr(['-n', 'k8s.io', 'tasks', 'ls', '-q'])).split('\n');
  await waitFor(
    'the container runs',
    async () => {
      const running = await tasks();
      id = (await node.ctr(list)).split('\n').find((each) => each !== '' && running.includes(each)) ?? '';
      return id !== '';
    },
    { deadlineMs: 120_000, everyMs: 100 },
  );
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  if (!(await tasks()).includes(id)) return false;
  return await node.ctr(['-n', 'k8s.io', 'tasks', 'kill', '--all', '--signal', 'SIGKILL', id]).then(
    () => true,
    () => false, // it ended between the look and the signal
  );
}
