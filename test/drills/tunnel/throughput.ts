// How much of a direct connection is left: the same kubectl, kubelet and pod, by an API server that dials the node itself and by one
// that dials through the tunnel, in turns.
import { runFully } from '../../cluster/commands.ts';
import { openKubelet } from '../../cluster/network.ts';
import type { EdgeNode } from '../../cluster/node.ts';
import { expectThat } from '../report.ts';
import { podOf, type TunnelStage } from './stage.ts';

const bytes = 200_000_000;
const rounds = 5;
const wantedRatio = 0.8;

/** `direct`: URL of an API server without EgressSelector. */
export async function throughput(stage: TunnelStage, node: EdgeNode, direct: string): Promise<void> {
  const close = await openKubelet(node.site);
  try {
    await stage.report.check(`kubectl exec of ${bytes / 1e6} MB: at least ${wantedRatio} of direct`, async () => {
      const rates: { direct: number[]; tunnel: number[] } = { direct: [], tunnel: [] };
      for (let i = 0; i < rounds; i += 1) {
        rates.direct.push(await rate(stage, node.name, ['--server', direct]));
        rates.tunnel.push(await rate(stage, node.name, []));
      }
      const [ofDirect, ofTunnel] = [median(rates.direct), median(rates.tunnel)];
      const each = Object.entries(rates).map(([way, of]) => `${way} ${of.map((one) => one.toFixed(0)).join(' ')}`);
      const said = `${(ofTunnel / ofDirect).toFixed(2)} by the medians of MB/s: ${each.join(', ')}`;
      expectThat(ofTunnel >= wantedRatio * ofDirect, said);
      return said;
    });
  } finally {
    await close();
  }
}

/** In MB/s. */
async function rate(stage: TunnelStage, name: string, flags: readonly string[]): Promise<number> {
  // Without an end: what is missing of an exec whose command ends is the subject of endings.ts.
  const command = stage.kubectlArgv([...flags, 'exec', podOf(name), '--', 'cat', '/dev/zero']);
  const startMs = performance.now();
  const { stdout } = await runFully(['sh', '-c', `"$@" 2>/dev/null | head -c ${bytes} | wc -c`, 'sh', ...command], {
    env: stage.kubectlEnvironment(true),
    timeoutMs: 120_000,
  });
  expectThat(Number(stdout) === bytes, `${stdout.trim()} bytes came`);
  return bytes / 1_000 / (performance.now() - startMs);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
