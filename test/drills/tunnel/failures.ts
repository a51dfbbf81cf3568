// Links that go silent and servers that die: what is new works again within seconds, and what was open ends or goes on.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { waitFor } from '../../cluster/commands.ts';
import { expectThat } from '../report.ts';
import { podOf, type TunnelStage } from './stage.ts';
import { expectResult } from './verbs.ts';

/** design.md: a new exec works within 10 s of the moment that the path can carry it. */
const backWithinMs = 10_000;

export async function failures(stage: TunnelStage): Promise<void> {
  const { report } = stage;
  const [edge, other] = stage.nodes;
  if (edge === undefined || other === undefined) throw new Error('no nodes');
  const exec = (name: string, timeoutMs = 60_000) =>
    stage.kubectl(['exec', podOf(name), '--', 'cat', '/www/index.html'], { timeoutMs });

  await report.check(
    'a port where nothing listens, and one that the policy refuses, have their own messages',
    async () => {
      const closed = await stage.kubectl([
        'get',
        '--raw',
        `/api/v1/namespaces/default/pods/${podOf(edge.name)}:9/proxy/`,
      ]);
      expectThat(closed.code !== 0 && /connection refused/.test(closed.stderr), closed.stderr);
      const policy = await stage.kubectl(['get', '--raw', `/api/v1/nodes/http:${edge.name}:22/proxy/`]);
      expectThat(policy.code !== 0 && /not listed in allowPorts/.test(policy.stderr), policy.stderr);
      return policy.stderr.trim().slice(0, 200);
    },
  );

  await report.check('the router forgets the NAT session of an idle agent: exec works soon, without help', async () => {
    await edge.link.apply({ kind: 'drop' });
    await edge.link.forgetSessions();
    await edge.link.heal();
    const startMs = performance.now();
    await execWorks(edge.name);
    const backMs = performance.now() - startMs;
    expectThat(backMs <= stage.deadline(backWithinMs), `after ${Math.round(backMs)} ms`);
    return `${Math.round(backMs)} ms`;
  });

  const outageSeconds = stage.quick ? 12 : 60;
  await report.check(`the link is a black hole for ${outageSeconds} s: exec works soon after`, async () => {
    await edge.link.apply({ kind: 'drop' });
    await new Promise((resolve) => setTimeout(resolve, outageSeconds * 1000));
    expectResult(await exec(other.name), 0, new RegExp(`^${other.name}\n$`));
    await edge.link.heal();
    const startMs = performance.now();
    await execWorks(edge.name);
    const backMs = performance.now() - startMs;
    expectThat(backMs <= stage.deadline(backWithinMs), `after ${Math.round(backMs)} ms`);
    return `${Math.round(backMs)} ms`;
  });

  await report.check('2 s round trip: exec works, and no connection is replaced', async () => {
    const before = await stage.listing(edge.name);
    await edge.link.apply({ kind: 'delay', roundTripMs: 2_000 });
    try {
      expectResult(await exec(edge.name, 90_000), 0, new RegExp(`^${edge.name}\n$`));
      const after = await stage.listing(edge.name);
      expectThat(after !== undefined && after.since === before?.since, `${before?.since} and ${after?.since}`);
    } finally {
      await edge.link.heal();
    }
  });

  await report.check('the tunnel server is killed: open sessions end, and exec works after its start', async () => {
    const child = spawn('timeout', ['60', ...stage.kubectlArgv(['exec', podOf(edge.name), '--', 'sleep', '1000'])], {
      env: stage.kubectlEnvironment(true),
      stdio: 'ignore',
    });
    await waitFor('the session is open', async () => ((await stage.listing(edge.name))?.streams ?? 0) > 0, {
      deadlineMs: 10_000,
    });
    const ended = once(child, 'exit');
    await stage.killServer();
    const [code] = (await ended) as [number];
    expectThat(code !== 0 && code !== 124, `kubectl ended with ${code}`);
    await stage.startServer();
    const startMs = performance.now();
    for (const { name } of stage.nodes) await execWorks(name);
    const backMs = performance.now() - startMs;
    expectThat(backMs <= stage.deadline(backWithinMs), `after ${Math.round(backMs)} ms`);
    return `${Math.round(backMs)} ms`;
  });

  /** Polls with a short limit for each try: what matters is when a new one works. */
  async function execWorks(name: string): Promise<void> {
    await waitFor(
      `exec at ${name}`,
      async () => (await exec(name, 15_000).catch(() => undefined))?.stdout === `${name}\n`,
      {
        deadlineMs: 60_000,
        everyMs: 100,
      },
    );
  }
}
