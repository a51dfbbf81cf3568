// An endless `kubectl logs -f` whose reader pauses: whoever else uses the node must not notice, what is held for it has a bound, and
// when it reads on nothing is missing.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from '../../cluster/commands.ts';
import { registryName } from '../../cluster/images.ts';
import { core, create } from '../../cluster/manifest.ts';
import { expectThat } from '../report.ts';
import { podOf, type TunnelStage } from './stage.ts';
import { expectResult } from './verbs.ts';

/** Of 1,000 bytes each: more than all buffers on the way hold, so that the tunnel stands still. Then ten a second, without end. */
const burstLines = 20_000;
const goesOnLines = 100;
const pauseMs = 5 * 60_000;
const execs = 100;
const p99AtMost = 1.2;
/** What the buffers of one stream may be, and what a collection of garbage leaves lying. */
const grownAtMostMiB = 48;

export async function pausedReader(stage: TunnelStage, name: string): Promise<void> {
  const { cluster } = stage;
  const pod = `log-${name}`;
  await create(cluster.plane.api, [core('default', 'pods', 'Pod', writer(pod, name))]);
  await waitFor(`${pod} runs`, async () => (await phase(stage, pod)) === 'Running', { deadlineMs: 60_000 });
  await stage.report.check(
    `logs -f whose reader pauses for ${pauseMs / 1000} s delays no other, and goes on without a gap`,
    async () => {
      // Until the burst is written: it would be somebody else's load.
      await untilLogged(stage, pod, burstLines);
      const idle = await took(stage, name, execs);
      const before = stage.usage().residentMiB + agentMiB(stage, name);
      const child = spawn('timeout', ['900', ...stage.kubectlArgv(['logs', '-f', pod])], {
        env: stage.kubectlEnvironment(true),
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      try {
        const pausedMs = performance.now();
        // Nothing is read: kubectl, the API server and the stream's window fill up.
        await delay(2_000);
        const beside = await took(stage, name, execs);
        await delay(Math.max(0, pauseMs - (performance.now() - pausedMs)));
        const grown = stage.usage().residentMiB + agentMiB(stage, name) - before;
        const lines = await readOn(child.stdout);
        const ratio = at(beside, 0.99) / at(idle, 0.99);
        const said =
          `exec takes ${both(idle)} without and ${both(beside)} beside it (median of ${execs}; p99 ${ratio.toFixed(2)} times); ` +
          `${lines} lines in order; server and agent grew by ${grown} MiB; ${stage.memory().join(', ')}`;
        expectThat(grown <= grownAtMostMiB, said);
        expectThat(ratio <= p99AtMost, said);
        return said;
      } finally {
        child.kill();
      }
    },
  );
  await stage.kubectl(['delete', 'pod', pod, '--wait=false']);
}

/** Sorted, in milliseconds. */
async function took(stage: TunnelStage, name: string, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const startMs = performance.now();
    const result = await stage.kubectl(['exec', podOf(name), '--', 'cat', '/www/index.html']);
    expectResult(result, 0, new RegExp(`^${name}\n$`));
    times.push(performance.now() - startMs);
  }
  return times.sort((a, b) => a - b);
}

/** Every line in its turn, beyond what was there when the reader paused. */
async function readOn(output: NodeJS.ReadableStream): Promise<number> {
  let next = 1;
  for await (const line of createInterface({ input: output })) {
    const number = Number(line.split(' ')[0]);
    expectThat(number === next, `${line.slice(0, 40)} where ${next} should be`);
    if (next >= burstLines + goesOnLines) return next;
    next += 1;
  }
  throw new Error(`it ended behind line ${next - 1}`);
}

async function untilLogged(stage: TunnelStage, pod: string, line: number): Promise<void> {
  const child = spawn('timeout', ['120', ...stage.kubectlArgv(['logs', '-f', '--tail=1', pod])], {
    env: stage.kubectlEnvironment(true),
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    for await (const text of createInterface({ input: child.stdout })) if (Number(text.split(' ')[0]) > line) return;
    throw new Error(`the log has no line ${line}`);
  } finally {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
}

async function phase(stage: TunnelStage, pod: string): Promise<string | undefined> {
  const path = `/api/v1/namespaces/default/pods/${pod}`;
  return (await stage.cluster.plane.request<{ status: { phase?: string } }>('GET', path)).status.phase;
}

function agentMiB(stage: TunnelStage, name: string): number {
  const node = stage.nodes.find((each) => each.name === name);
  return node === undefined ? 0 : stage.usage(node).residentMiB;
}

function at(times: readonly number[], part: number): number {
  return times[Math.floor((times.length - 1) * part)] ?? 0;
}

function both(times: readonly number[]): string {
  return `${at(times, 0.5).toFixed(0)} (p99 ${at(times, 0.99).toFixed(0)}) ms`;
}

function writer(pod: string, nodeName: string): Record<string, unknown> {
  const script =
    `pad=$(head -c 993 /dev/zero | tr '\\0' x); i=0; ` +
    `while true; do i=$((i+1)); echo $i $pad; [ $i -gt ${burstLines} ] && sleep 0.1; done`;
  return {
    metadata: { name: pod },
    spec: {
      nodeName,
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'main', image: `${registryName}/busybox:1`, command: ['sh', '-c', script] }],
    },
  };
}
