// What the tunnel keeps in memory: the server with many idle agents and after many came and went, and an agent in `holdfast node`.
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from '../cluster/commands.ts';
import { echoSession } from '../cluster/echo-session.ts';
import { memoryOf, untilIdle } from './process-cost.ts';
import { summarize } from './samples.ts';
import type { Tunnel, TunnelBed } from './tunnel-bed.ts';
import { row, type TunnelContext, type TunnelRow, type TunnelScale } from './tunnel-rows.ts';

/** More would not be over in their time on a busy machine, since one process is at the near end of them all. */
const handshakesAtOnce = 50;

/** Agents in this process; what counts is the server's memory. */
export async function idleMemory(
  bed: TunnelBed,
  { idleAgents: [few, many] }: TunnelScale,
  { say }: TunnelContext,
): Promise<TunnelRow[]> {
  say(`memory with ${few} and ${many} idle agents …`);
  await using tunnel = await bed.start(undefined);
  const agentMiB = memoryOf(tunnel.agent.pid).residentMiB;
  const resident: number[] = [];
  const stop = new AbortController();
  const running: Promise<void>[] = [];
  try {
    for (const count of [few, many]) {
      while (running.length < count) {
        const group = Math.min(handshakesAtOnce, count - running.length);
        for (let i = 0; i < group; i += 1)
          running.push(bed.agentHere(`idle-${running.length}`, tunnel.port, stop.signal));
        await connected(tunnel, running.length + 1);
      }
      await untilIdle(tunnel.server.pid, AbortSignal.timeout(60_000)).catch(() => undefined); // pings never cease
      resident.push(memoryOf(tunnel.server.pid).residentMiB);
    }
  } finally {
    stop.abort();
    await Promise.all(running);
  }
  const [fewMiB = 0, manyMiB = 0] = resident;
  return [
    row('agent by itself, idle, resident', 'MiB', agentMiB, {}),
    row(`server with ${few} idle agents, resident`, 'MiB', fewMiB, {}),
    row(`server with ${many} idle agents, resident`, 'MiB', manyMiB, { figure: '≤ 180 MiB', met: manyMiB <= 180 }),
    row('server, each further agent', 'KiB', ((manyMiB - fewMiB) * 1024) / (many - few), {}),
  ];
}

/** How long a start has until it is measured. */
const settleMs = 5_000;

/** Starts in turns, since what a process takes differs from start to start. */
export async function agentShare(
  bed: TunnelBed,
  { starts }: TunnelScale,
  { say, signal }: TunnelContext,
): Promise<TunnelRow[]> {
  await using tunnel = await bed.start(undefined);
  const proportional = { without: [] as number[], with: [] as number[] };
  for (let start = 1; start <= starts; start += 1) {
    say(`holdfast node with and without the agent, start ${start} of ${starts} …`);
    for (const kind of ['without', 'with'] as const) {
      await using node = await bed.node(`share-${start}-${kind}`, tunnel, kind === 'with');
      await delay(settleMs, undefined, { signal });
      proportional[kind].push(memoryOf(node.pid).proportionalMiB);
    }
    await connected(tunnel, 1);
  }
  const median = (values: readonly number[]): number => summarize(values)?.median ?? Number.NaN;
  const shareMiB = median(proportional.with) - median(proportional.without);
  return [
    row('holdfast node without the agent, PSS', 'MiB', median(proportional.without), {}),
    row('share of the agent in it', 'MiB', shareMiB, { figure: '≤ 8 MiB', met: shareMiB <= 8 }),
  ];
}

/** What a server may keep that has seen many come and go, beside one that has seen a few. */
const grownAtMostMiB = 20;

/** All connect, all are used, all go, again and again: agents in this process, sessions by the egress socket. */
export async function churn(
  bed: TunnelBed,
  { churn: { nodes, sessions, warmRounds, rounds } }: TunnelScale,
  { say }: TunnelContext,
): Promise<TunnelRow[]> {
  await using tunnel = await bed.start(undefined);
  const resident: number[] = [];
  for (let round = 1; round <= warmRounds + rounds; round += 1) {
    const stop = new AbortController();
    const names = Array.from({ length: nodes }, (_, i) => `churn-${i}`);
    const running: Promise<void>[] = [];
    try {
      for (let i = 0; i < nodes; i += handshakesAtOnce) {
        const group = names.slice(i, i + handshakesAtOnce);
        running.push(...group.map((name) => bed.agentHere(name, tunnel.port, stop.signal)));
        await connected(tunnel, running.length + 1);
      }
      for (const name of names)
        await Promise.all(
          Array.from({ length: sessions }, () => echoSession(tunnel.socket, bed.authority(name), 'ehello', 'hello')),
        );
    } finally {
      stop.abort();
      await Promise.all(running);
    }
    await connected(tunnel, 1);
    resident.push(memoryOf(tunnel.server.pid).residentMiB);
    say(`churn of ${nodes} nodes, round ${round}: the server has ${resident.at(-1)?.toFixed(0)} MiB`);
  }
  const warmMiB = resident[warmRounds - 1] ?? Number.NaN;
  const lastMiB = resident.at(-1) ?? Number.NaN;
  return [
    row(`server after ${warmRounds} rounds of ${nodes} nodes with ${sessions} sessions`, 'MiB', warmMiB, {}),
    row(`what ${rounds} further rounds add`, 'MiB', lastMiB - warmMiB, {
      figure: `≤ ${grownAtMostMiB} MiB`,
      met: lastMiB - warmMiB <= grownAtMostMiB,
    }),
  ];
}

async function connected(tunnel: Tunnel, count: number): Promise<void> {
  await waitFor(`${count} agents are connected`, async () => (await tunnel.nodes()) === count, {
    deadlineMs: 120_000,
    everyMs: 200,
  });
}
