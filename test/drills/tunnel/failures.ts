// Links that go silent and servers that die: what is new works again within seconds, and what was open ends or goes on.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
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

  await report.check('a reader that stalls delays no other, and goes on without a gap', () =>
    stalledReader(stage, edge.name),
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
    const session = ['exec', podOf(edge.name), '--', 'sh', '-c', 'echo open; sleep 1000'];
    const child = spawn('timeout', ['60', ...stage.kubectlArgv(session)], {
      env: stage.kubectlEnvironment(true),
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(child.stdout, 'data');
    const ended = once(child, 'exit');
    const killedMs = performance.now();
    await stage.killServer();
    const [code] = (await ended) as [number];
    const endedMs = performance.now() - killedMs;
    // The code says nothing: client-go takes an error stream that ends without a word for success (remotecommand/errorstream.go).
    expectThat(code !== 124, 'kubectl hangs');
    expectThat(endedMs <= stage.deadline(backWithinMs), `kubectl ended after ${Math.round(endedMs)} ms`);
    await stage.startServer();
    const startMs = performance.now();
    for (const { name } of stage.nodes) await execWorks(name);
    const backMs = performance.now() - startMs;
    expectThat(backMs <= stage.deadline(backWithinMs), `after ${Math.round(backMs)} ms`);
    return `kubectl ended with ${code} after ${Math.round(endedMs)} ms, back after ${Math.round(backMs)} ms`;
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

const besideStalled = 10;

/** A command that prints numbers without end into a kubectl that nobody reads, and others on the same node meanwhile. */
async function stalledReader(stage: TunnelStage, name: string): Promise<string> {
  const took = async (): Promise<number[]> => {
    const times: number[] = [];
    for (let i = 0; i < besideStalled; i += 1) {
      const startMs = performance.now();
      expectResult(
        await stage.kubectl(['exec', podOf(name), '--', 'cat', '/www/index.html']),
        0,
        new RegExp(`^${name}\n$`),
      );
      times.push(performance.now() - startMs);
    }
    return times.sort((a, b) => a - b);
  };
  const idle = await took();
  const count = ['sh', '-c', 'i=0; while true; do i=$((i+1)); echo $i; done'];
  const child = spawn('timeout', ['120', ...stage.kubectlArgv(['exec', podOf(name), '--', ...count])], {
    env: stage.kubectlEnvironment(true),
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    // Not read yet: kubectl, the API server and the stream's window fill up.
    const before = (await stage.listing(name))?.streams ?? 0;
    await waitFor(
      'the stream is open',
      async () => ((await stage.listing(name))?.streams ?? 0) >= Math.max(before, 1),
      {
        deadlineMs: 10_000,
      },
    );
    const beside = await took();
    let next = 1;
    for await (const line of createInterface({ input: child.stdout })) {
      expectThat(Number(line) === next, `${line} where ${next} should be`);
      if ((next += 1) > 300_000) break;
    }
    expectThat(next > 300_000, `it ended after ${next - 1} lines`);
    const middle = (times: readonly number[]): string => (times[times.length >> 1] ?? 0).toFixed(0);
    return `exec takes ${middle(idle)} ms without and ${middle(beside)} ms beside it (median of ${besideStalled}); 300,000 lines in order`;
  } finally {
    child.kill();
  }
}
