// `npm run bench -- tunnel`: the built tunnel server and agent on loopback, real TLS, against a direct connection to the same
// target in the same run. Clients and target in Go; CPU is that of server and agent together.
import { availableParallelism } from 'node:os';
import { memoryOf } from './process-cost.ts';
import { buildLoadTool } from './load-tool.ts';
import { summarize } from './samples.ts';
import { TunnelBed, type Streams, type Tunnel } from './tunnel-bed.ts';
import { agentShare, churn, idleMemory } from './tunnel-memory.ts';
import { row, type TunnelContext, type TunnelRow, type TunnelScale } from './tunnel-rows.ts';

export const fullTunnelScale: TunnelScale = {
  rounds: 3,
  seconds: 5,
  connections: 1_000,
  idleAgents: [200, 1_000],
  starts: 10,
  churn: { nodes: 200, sessions: 20, warmRounds: 3, rounds: 12 },
};
export const quickTunnelScale: TunnelScale = {
  rounds: 1,
  seconds: 2,
  connections: 200,
  idleAgents: [50, 200],
  starts: 2,
  churn: { nodes: 50, sessions: 20, warmRounds: 2, rounds: 4 },
};

type Part = (bed: TunnelBed, scale: TunnelScale, context: TunnelContext) => Promise<TunnelRow[]>;

/** What `--only` names. */
export const tunnelParts: Readonly<Record<string, Part>> = {
  near: inRounds('near', undefined, async (bed, tunnel, scale) => [
    ...(await throughput(bed, tunnel, scale)),
    ...(await firstBytes(bed, tunnel, scale)),
  ]),
  far: inRounds('at a round trip of 50 ms', 25, atDistance),
  memory: idleMemory,
  share: agentShare,
  churn,
};

/** The parts, or all; the median of each figure over the rounds. */
export async function benchTunnel(
  scale: TunnelScale,
  only: readonly string[],
  context: TunnelContext,
): Promise<TunnelRow[]> {
  await using bed = new TunnelBed(await buildLoadTool(context.say), context.signal);
  const rows: TunnelRow[] = [];
  for (const [name, part] of Object.entries(tunnelParts))
    if (only.length === 0 || only.includes(name)) rows.push(...(await part(bed, scale, context)));
  return rows;
}

/** Each round with a tunnel of its own, over a link that takes `oneWayMs`. */
function inRounds(
  where: string,
  oneWayMs: number | undefined,
  measure: (bed: TunnelBed, tunnel: Tunnel, scale: TunnelScale) => Promise<TunnelRow[]>,
): Part {
  return async (bed, scale, { say }) => {
    const rounds: TunnelRow[][] = [];
    for (let round = 1; round <= scale.rounds; round += 1) {
      say(`${where}, round ${round} of ${scale.rounds} …`);
      await using tunnel = await bed.start(oneWayMs);
      rounds.push(await measure(bed, tunnel, scale));
    }
    return medians(rounds);
  };
}

async function throughput(bed: TunnelBed, tunnel: Tunnel, scale: TunnelScale): Promise<TunnelRow[]> {
  const rows: TunnelRow[] = [];
  for (const count of [1, 100]) {
    const direct = await bed.streams(tunnel, 'direct', count, scale.seconds);
    const through = await bed.streams(tunnel, 'tunnel', count, scale.seconds);
    const title = `${count} stream${count > 1 ? 's' : ''}`;
    rows.push(
      row(`${title}, sum`, 'MiB/s', through.mebibytesPerSecond, { direct: direct.mebibytesPerSecond }),
      ...limits(title, through, scale),
    );
    if (count > 1) {
      rows.push(
        row('100 streams, slowest to mean', '', through.least, {
          direct: direct.least,
          figure: '≥ 0.80',
          met: through.least >= 0.8,
        }),
        row('100 streams, fastest to mean', '', through.most, {
          direct: direct.most,
          figure: '≤ 1.20',
          met: through.most <= 1.2,
        }),
      );
    }
  }
  return rows;
}

/** What a rate can be read by: what it cost, what would be possible at that if nobody else had work, and how busy the machine was. */
function limits(
  title: string,
  { cpuMs, restCpuMs, busyPart, mebibytesPerSecond }: Streams,
  scale: TunnelScale,
): TunnelRow[] {
  const mebibytes = mebibytesPerSecond * scale.seconds;
  const possible = (availableParallelism() * 1_000) / ((cpuMs + restCpuMs) / mebibytes);
  return [
    row(`${title}, CPU of both ends`, 'ms/MiB', cpuMs / mebibytes, {}),
    row(`${title}, CPU of clients, target and link`, 'ms/MiB', restCpuMs / mebibytes, {}),
    row(`${title}, what the processors allow at that`, 'MiB/s', possible, {}),
    row(`${title}, processors busy with anything`, '%', busyPart * 100, {}),
  ];
}

async function firstBytes(bed: TunnelBed, tunnel: Tunnel, scale: TunnelScale): Promise<TunnelRow[]> {
  const direct = await bed.firstByte(tunnel, 'direct', scale.connections, 0);
  const idle = await bed.firstByte(tunnel, 'tunnel', scale.connections, 0);
  const before = memoryOf(tunnel.agent.pid).residentMiB + memoryOf(tunnel.server.pid).residentMiB;
  const beside = await bed.firstByte(tunnel, 'tunnel', scale.connections, 20);
  const after = memoryOf(tunnel.agent.pid).residentMiB + memoryOf(tunnel.server.pid).residentMiB;
  const overDirectMs = idle.p50Ms - direct.p50Ms;
  return [
    row('dial to first byte, p50', 'ms', idle.p50Ms, {
      direct: direct.p50Ms,
      figure: 'direct + 3 ms',
      met: overDirectMs <= 3,
    }),
    row('dial to first byte, p99', 'ms', idle.p99Ms, { direct: direct.p99Ms }),
    row('beside 20 stalled readers, p99 to idle', '', beside.p99Ms / idle.p99Ms, {
      figure: '≤ 1.20',
      met: beside.p99Ms / idle.p99Ms <= 1.2,
    }),
    row('memory that 20 stalled readers hold, both ends', 'MiB', after - before, {}),
  ];
}

/** With the windows that are advised for long round trips. */
async function atDistance(bed: TunnelBed, tunnel: Tunnel, scale: TunnelScale): Promise<TunnelRow[]> {
  const oneDirect = await bed.streams(tunnel, 'direct', 1, scale.seconds);
  const one = await bed.streams(tunnel, 'tunnel', 1, scale.seconds);
  const hundredDirect = await bed.streams(tunnel, 'direct', 100, scale.seconds);
  const hundred = await bed.streams(tunnel, 'tunnel', 100, scale.seconds);
  const count = Math.min(scale.connections, 40);
  const direct = await bed.firstByte(tunnel, 'direct', count, 0);
  const through = await bed.firstByte(tunnel, 'tunnel', count, 0);
  return [
    row('50 ms, 1 stream (its window allows 80)', 'MiB/s', one.mebibytesPerSecond, {
      direct: oneDirect.mebibytesPerSecond,
      figure: '≥ 40 MB/s',
      met: one.mebibytesPerSecond * 1.048576 >= 40,
    }),
    ...limits('50 ms, 1 stream', one, scale),
    row('50 ms, 100 streams (their windows allow 640)', 'MiB/s', hundred.mebibytesPerSecond, {
      direct: hundredDirect.mebibytesPerSecond,
      figure: '≥ 150 MB/s',
      met: hundred.mebibytesPerSecond * 1.048576 >= 150,
    }),
    ...limits('50 ms, 100 streams', hundred, scale),
    row('50 ms, 100 streams, slowest to mean', '', hundred.least, { figure: '≥ 0.80', met: hundred.least >= 0.8 }),
    row('50 ms, 100 streams, fastest to mean', '', hundred.most, { figure: '≤ 1.20', met: hundred.most <= 1.2 }),
    // Directly the link takes the connection at once, and only the first byte goes there and back.
    row('50 ms, dial to first byte, p50', 'ms', through.p50Ms, {
      direct: direct.p50Ms,
      figure: 'direct + 50 + 3 ms',
      met: through.p50Ms - direct.p50Ms <= 53,
    }),
  ];
}

/** A figure is met when the median row meets it: judged anew from the rounds. */
function medians(rounds: readonly (readonly TunnelRow[])[]): TunnelRow[] {
  const median = (values: readonly number[]): number => summarize(values)?.median ?? Number.NaN;
  return (rounds[0] ?? []).map((first, i) => {
    const same = rounds.flatMap((rows) => rows[i] ?? []);
    const met = first.met === undefined ? undefined : same.filter((each) => each.met === true).length * 2 > same.length;
    const direct = first.direct === undefined ? undefined : median(same.map((each) => each.direct ?? Number.NaN));
    return { ...first, met, direct, tunnel: median(same.map((each) => each.tunnel)) };
  });
}
