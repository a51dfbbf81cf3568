// What arrives of an exec whose command writes much and ends. Container runtime and kubelet close their connections behind the last
// byte, and the next ping of the client resets what is still on the way: some is lost with no tunnel at all, and kubectl ends with 0. So
// the direct way is the measure; but where the command waits for its reader, nothing may be missing.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openKubelet } from '../../cluster/network.ts';
import type { EdgeNode } from '../../cluster/node.ts';
import { expectThat } from '../report.ts';
import { podOf, type TunnelStage } from './stage.ts';

const bytes = 40_000_000;
const rounds = 10;
/** By chance: were each way cut in half of its rounds, the tunnel would be cut in so many more once in a hundred drills. */
const moreOften = 5;
const deadlineMs = 60_000;

/** `direct`: URL of an API server without EgressSelector. */
export async function endings(stage: TunnelStage, node: EdgeNode, direct: string): Promise<void> {
  const toDirect = ['--server', direct];
  for (const [transport, webSockets] of [
    ['WebSocket', true],
    ['SPDY', false],
  ] as const) {
    const received = (flags: readonly string[], waits: boolean): Promise<number> =>
      receive(stage, flags, node.name, webSockets, waits);
    await stage.report.check(`${transport}: ${bytes / 1e6} MB of a command that waits for its reader`, async () => {
      const got = await received([], true);
      expectThat(got === bytes, `${got} bytes came`);
    });
    await stage.report.check(`${transport}: of one that ends behind them, no less than without a tunnel`, async () => {
      const cut: { direct: number[]; tunnel: number[] } = { direct: [], tunnel: [] };
      const close = await openKubelet(node.site);
      try {
        for (let i = 0; i < rounds; i += 1) {
          cut.direct.push(bytes - (await received(toDirect, false)));
          cut.tunnel.push(bytes - (await received([], false)));
        }
      } finally {
        await close();
      }
      const said = `missing bytes through the tunnel: ${cut.tunnel.join(', ')}; directly: ${cut.direct.join(', ')}`;
      expectThat(times(cut.tunnel) <= times(cut.direct) + moreOften, said);
      return said;
    });
  }
}

const times = (missing: readonly number[]): number => missing.filter((count) => count > 0).length;

/** Bytes that came. A command that `waits` ends when its input does, which is when all has come. */
async function receive(
  stage: TunnelStage,
  flags: readonly string[],
  name: string,
  webSockets: boolean,
  waits: boolean,
): Promise<number> {
  const write = `head -c ${bytes} /dev/zero`;
  const command = waits
    ? ['-i', podOf(name), '--', 'sh', '-c', `${write}; cat`]
    : [podOf(name), '--', 'sh', '-c', write];
  const [file = '', ...args] = stage.kubectlArgv([...flags, 'exec', ...command]);
  const kubectl = spawn(file, args, {
    env: stage.kubectlEnvironment(webSockets),
    stdio: ['pipe', 'pipe', 'ignore'],
    timeout: deadlineMs,
    killSignal: 'SIGKILL',
  });
  let got = 0;
  kubectl.stdout.on('data', (chunk: Buffer) => {
    got += chunk.length;
    if (got >= bytes) kubectl.stdin.end();
  });
  kubectl.stdin.on('error', () => undefined); // It ended by itself.
  await once(kubectl, 'close');
  return got;
}
