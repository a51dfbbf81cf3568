// Links that go silent and servers that die: what is new works again within seconds, and what was open ends or goes on.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { waitFor } from '../../cluster/commands.ts';
import type { EdgeNode } from '../../cluster/node.ts';
import { expectThat } from '../report.ts';
import { pausedReader } from './paused-reader.ts';
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
  if (!stage.quick) await pausedReader(stage, edge.name);

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

  if (!stage.quick)
    await report.check('2 s round trip and 10% loss for a minute: what is open goes on, and exec works', () =>
      lossyLink(stage, edge),
    );

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
        deadlineMs: 180_000,
        everyMs: 100,
      },
    );
  }
}

const lossySeconds = 60;

/** A session that counts is open meanwhile. Loss costs seconds for each packet, so an exec may take a while. */
async function lossyLink(stage: TunnelStage, node: EdgeNode): Promise<string> {
  const count = ['sh', '-c', 'i=0; while true; do i=$((i+1)); echo $i; sleep 1; done'];
  const child = spawn('timeout', ['300', ...stage.kubectlArgv(['exec', podOf(node.name), '--', ...count])], {
    env: stage.kubectlEnvironment(true),
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let next = 1;
  const read = async (): Promise<void> => {
    const { value, done } = await lines.next();
    expectThat(done !== true && Number(value) === next, `${String(value)} where ${next} should be`);
    next += 1;
  };
  try {
    await read();
    await node.link.apply({ kind: 'delay', roundTripMs: 2_000, lossPercent: 10 });
    const startMs = performance.now();
    const tries: string[] = [];
    while (performance.now() - startMs < lossySeconds * 1_000) {
      const tryMs = performance.now();
      const command = ['exec', podOf(node.name), '--', 'cat', '/www/index.html'];
      const { code } = await stage.kubectl(command, { timeoutMs: 120_000 });
      tries.push(`${code === 0 ? '' : 'failed after '}${Math.round((performance.now() - tryMs) / 100) / 10} s`);
    }
    await node.link.heal();
    // As far as it took: what was held up has come.
    while (next < lossySeconds) await read();
    expectThat(
      tries.some((text) => !text.startsWith('failed')),
      `no exec worked: ${tries.join(', ')}`,
    );
    return `exec took ${tries.join(', ')}; the session counted to ${next - 1} without a gap`;
  } finally {
    await node.link.heal();
    child.kill();
  }
}

/** A command that prints numbers without end into a kubectl that nobody reads, and others on the same node meanwhile. */
async function stalledReader(stage: TunnelStage, name: string): Promise<string> {
  const besideStalled = stage.quick ? 10 : 100;
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
  const child = spawn('timeout', ['600', ...stage.kubectlArgv(['exec', podOf(name), '--', ...count])], {
    // kubectl itself gives up a WebSocket on which it has read no pong for a minute.
    env: stage.kubectlEnvironment(false),
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    // Not read yet: kubectl, the API server and the stream's window fill up.
    const before = (await stage.listing(name))?.streams ?? 0;
    await waitFor(
      'the stream is open',
      async () => ((await stage.listing(name))?.streams ?? 0) >= Math.max(before, 1),
      {
        deadlineMs: 180_000,
      },
    );
    const beside = await took();
    let next = 1;
    for await (const line of createInterface({ input: child.stdout })) {
      expectThat(Number(line) === next, `${line} where ${next} should be`);
      if ((next += 1) > 300_000) break;
    }
    expectThat(next > 300_000, `it ended after ${next - 1} lines`);
    const at = (times: readonly number[], part: number): number => times[Math.floor((times.length - 1) * part)] ?? 0;
    const both = (times: readonly number[]): string =>
      `${at(times, 0.5).toFixed(0)} (p99 ${at(times, 0.99).toFixed(0)}) ms`;
    return (
      `exec takes ${both(idle)} without and ${both(beside)} beside it (median of ${besideStalled}); ` +
      `300,000 lines in order; ${stage.memory().join(', ')}`
    );
  } finally {
    child.kill();
  }
}
