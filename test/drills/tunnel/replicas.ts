// Three tunnel servers, and a second API server beside the second: agents hold a connection to each, and one is killed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { waitFor } from '../../cluster/commands.ts';
import { expectThat } from '../report.ts';
import { podOf, type TunnelStage } from './stage.ts';

/** A new exec through the others. */
const withinMs = 5_000;

export async function replicas(stage: TunnelStage): Promise<void> {
  const { report, cluster, nodes } = stage;
  const others = [2, 3];
  await stage.stopServer();
  for (const replica of others) await stage.startServer({}, [], replica);
  await stage.startServer({ peers: others.map((replica) => stage.agentAddress(replica)) });
  const { url: server } = await cluster.plane.startSecondApiserver(stage.egressArgs(2));
  try {
    await report.check('agents learn of the others from the first, and connect to all three', async () => {
      for (const replica of [1, ...others]) {
        for (const { name } of nodes)
          await waitFor(
            `${name} at replica ${replica}`,
            async () => (await stage.listing(name, replica)) !== undefined,
            {
              deadlineMs: 180_000,
            },
          );
      }
    });
    await report.check('one is killed: its sessions end, and exec works through another', async () => {
      const [first] = nodes;
      const session = ['exec', podOf(first?.name ?? ''), '--', 'sh', '-c', 'echo open; sleep 1000'];
      const child = spawn('timeout', ['60', ...stage.kubectlArgv(session)], {
        env: stage.kubectlEnvironment(true),
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      await once(child.stdout, 'data');
      const ended = once(child, 'exit');
      const killedMs = performance.now();
      await stage.killServer();
      for (const { name } of nodes) {
        const result = await stage.kubectl(['exec', podOf(name), '--', 'cat', '/www/index.html'], { server });
        expectThat(result.stdout === `${name}\n`, `${name}: ${result.stdout}${result.stderr}`);
      }
      const workedMs = performance.now() - killedMs;
      const [code] = (await ended) as [number];
      const endedMs = performance.now() - killedMs;
      expectThat(code !== 124, 'the session hangs');
      expectThat(workedMs <= stage.deadline(withinMs), `exec after ${Math.round(workedMs)} ms`);
      expectThat(endedMs <= stage.deadline(withinMs), `the session ended after ${Math.round(endedMs)} ms`);
      return `exec at both sites ${Math.round(workedMs)} ms after it, the session ended by ${Math.round(endedMs)} ms`;
    });
  } finally {
    await cluster.plane.stopSecondApiserver();
    for (const replica of others) await stage.killServer(replica);
    await stage.startServer();
    for (const { name } of nodes) await stage.waitForAgent(name);
  }
}
