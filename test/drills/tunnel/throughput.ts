// How much of a direct connection is left: the same kubectl, kubelet and pod, by an API server that dials the node itself and by one
// that dials through the tunnel, in turns.
import { machineMs } from '../../bench/process-cost.ts';
import { runFully } from '../../cluster/commands.ts';
import { openKubelet } from '../../cluster/network.ts';
import type { EdgeNode } from '../../cluster/node.ts';
import { expectThat } from '../report.ts';
import { podOf, type TunnelStage } from './stage.ts';

const bytes = 200_000_000;
const rounds = 5;
const wantedRatio = 0.8;

interface Run {
  readonly megabytesPerSecond: number;
  /** Processor time of the whole machine, and what part of all there was that is. */
  readonly busyMs: number;
  readonly busyPart: number;
  /** Of server and agent together. */
  readonly endsMs: number;
}

/** `direct`: URL of an API server without EgressSelector. */
export async function throughput(stage: TunnelStage, node: EdgeNode, direct: string): Promise<void> {
  const close = await openKubelet(node.site);
  try {
    await stage.report.check(`kubectl exec of ${bytes / 1e6} MB: at least ${wantedRatio} of direct`, async () => {
      const runs: Record<'direct' | 'tunnel', Run[]> = { direct: [], tunnel: [] };
      for (let i = 0; i < rounds; i += 1) {
        runs.direct.push(await run(stage, node, ['--server', direct]));
        runs.tunnel.push(await run(stage, node, []));
      }
      const of = (way: keyof typeof runs, value: (run: Run) => number): number => median(runs[way].map(value));
      const [ofDirect, ofTunnel] = [of('direct', rateOf), of('tunnel', rateOf)];
      const each = Object.entries(runs).map(
        ([way, all]) => `${way} ${all.map((one) => rateOf(one).toFixed(0)).join(' ')}`,
      );
      const cost = (way: keyof typeof runs): string =>
        `${of(way, (one) => one.busyMs).toFixed(0)} ms (${(of(way, (one) => one.busyPart) * 100).toFixed(0)} % busy)`;
      // Where the processor is the limit and nobody else uses it, the rates cannot be nearer to each other than these.
      const said =
        `${(ofTunnel / ofDirect).toFixed(2)} by the medians of MB/s: ${each.join(', ')}; the machine's processor time: ` +
        `direct ${cost('direct')}, tunnel ${cost('tunnel')}, of it server and agent ${of('tunnel', (one) => one.endsMs).toFixed(0)} ms`;
      expectThat(ofTunnel >= wantedRatio * ofDirect, said);
      return said;
    });
  } finally {
    await close();
  }
}

async function run(stage: TunnelStage, node: EdgeNode, flags: readonly string[]): Promise<Run> {
  // Without an end: what is missing of an exec whose command ends is the subject of endings.ts.
  const command = stage.kubectlArgv([...flags, 'exec', podOf(node.name), '--', 'cat', '/dev/zero']);
  const [startMs, machine, endsMs] = [performance.now(), machineMs(), stage.endsCpuMs(node)];
  const { stdout } = await runFully(['sh', '-c', `"$@" 2>/dev/null | head -c ${bytes} | wc -c`, 'sh', ...command], {
    env: stage.kubectlEnvironment(true),
    timeoutMs: 120_000,
  });
  expectThat(Number(stdout) === bytes, `${stdout.trim()} bytes came`);
  const after = machineMs();
  const busyMs = after.busyMs - machine.busyMs;
  return {
    megabytesPerSecond: bytes / 1_000 / (performance.now() - startMs),
    busyMs,
    busyPart: busyMs / (after.allMs - machine.allMs),
    endsMs: stage.endsCpuMs(node) - endsMs,
  };
}

function rateOf({ megabytesPerSecond }: Run): number {
  return megabytesPerSecond;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
