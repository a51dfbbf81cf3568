// `npm run bench -- health`: what a node's share in watching its peers costs, at five observers: processor time, memory, and what a
// relay carries against a direct connection in the same run. Nodes on loopback, real TLS; the measured one is a process of its own,
// and so is what the relay leads to.
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { healthDefaults } from '../../health/health.ts';
import { membershipSlices } from '../../peers/membership.ts';
import type { Endpoint } from '../../runtime/settings.ts';
import { edgeEnvironment, edgeNodeFlags } from '../cluster/edge-runtime.ts';
import { eventually, PeerTest, type TestNode } from '../health/peer-test.ts';
import { Child } from './child.ts';
import type { BenchNode } from './health-node.ts';
import { cpuMs, memoryOf, untilIdle } from './process-cost.ts';

interface Scale {
  readonly starts: number;
  readonly seconds: number;
  readonly mebibytes: number;
}

export const fullHealthScale: Scale = { starts: 10, seconds: 60, mebibytes: 512 };
export const quickHealthScale: Scale = { starts: 3, seconds: 20, mebibytes: 128 };

/** What an edge node's uplink carries at most. */
const gigabit = 119;
const pours = 3;

const observers = 5;
const measured = { name: 'edge0', address: '127.0.0.40' } as const;

/** Lines of the report, each with what issue asks for. */
export async function benchHealth(
  scale: Scale,
  context: { say: (line: string) => void; signal: AbortSignal },
): Promise<string[]> {
  const { say, signal } = context;
  const bed = new PeerTest();
  try {
    await using fastSink = startSink(signal);
    await using gigabitSink = startSink(signal, gigabit);
    const [fast, link] = [await targetOf(fastSink), await targetOf(gigabitSink)];
    const names = Array.from({ length: observers }, (_, index) => ({
      nodeName: `edge${index + 1}`,
      address: `127.0.0.${41 + index}`,
    }));
    const slices = membershipSlices('shop', [{ nodeName: measured.name, address: measured.address }, ...names], {}, []);
    const pool = { name: 'shop', slices };
    const peers: TestNode[] = [];
    for (const { nodeName, address } of names)
      peers.push(
        await bed.node(nodeName, address, { ...healthDefaults, peerPort: await bed.peerPort(), relay: false }),
      );
    for (const { hub } of peers) hub.pool = pool;
    const settings = {
      ...healthDefaults,
      nodeName: measured.name,
      peerPort: await bed.peerPort(),
      credentials: bed.sources(measured.name),
      listen: undefined,
      kubeletHealth: await bed.kubelet(),
      relay: true,
    };
    const start = async (isBaseline: boolean): Promise<Child> => {
      const node: BenchNode = { settings, relayTargets: [fast, link], pool, isBaseline };
      const script = new URL('health-node.ts', import.meta.url).pathname;
      const argv = [process.execPath, ...edgeNodeFlags, script, JSON.stringify(node)];
      const child = new Child({ name: 'health-node', argv, env: { ...process.env, ...edgeEnvironment }, signal });
      await child.line();
      return child;
    };
    const memory = { with: [] as number[], without: [] as number[] };
    for (let round = 1; round <= scale.starts; round += 1) {
      say(`memory, start ${round} of ${scale.starts} …`);
      for (const kind of ['without', 'with'] as const) {
        await using child = await start(kind === 'without');
        if (kind === 'with') await seen(peers);
        await delay(5_000, undefined, { signal });
        memory[kind].push(memoryOf(child.pid).proportionalMiB);
      }
    }
    await using baseline = await start(true);
    await using child = await start(false);
    await seen(peers);
    await untilIdle(child.pid, signal);
    say(`processor time over ${scale.seconds} s …`);
    const used = (): number => cpuMs(child.pid) - cpuMs(baseline.pid);
    const before = used();
    await delay(scale.seconds * 1_000, undefined, { signal });
    const share = (used() - before) / (scale.seconds * 10);
    say('throughput …');
    const relay = (target: Endpoint): Promise<net.Socket> => peers[0]!.health.relay.open(target, signal);
    const compare = async (target: Endpoint): Promise<{ direct: number; relayed: number; cpuPerMiB: number }> => {
      const rates = { direct: [] as number[], relayed: [] as number[] };
      // Once without being counted: code that is new is not compiled yet.
      await pour(await relay(target), scale.mebibytes / 4);
      const cpuBefore = cpuMs(child.pid);
      for (let round = 0; round < pours; round += 1) {
        rates.direct.push(await pour(net.connect(target), scale.mebibytes));
        rates.relayed.push(await pour(await relay(target), scale.mebibytes));
      }
      const cpuPerMiB = (cpuMs(child.pid) - cpuBefore) / (pours * scale.mebibytes);
      return { direct: median(rates.direct), relayed: median(rates.relayed), cpuPerMiB };
    };
    const onLink = await compare(link);
    const onLoopback = await compare(fast);
    const ratio = ({ direct, relayed }: { direct: number; relayed: number }): string =>
      `${relayed.toFixed(0)} MiB/s through a peer, ${direct.toFixed(0)} by direct TCP: ${((100 * relayed) / direct).toFixed(0)} %`;
    return [
      `processor: ${share.toFixed(2)} % of a core at ${observers} observed and ${observers} observers, the same process without it taken off (figure: at most 0.2)`,
      `memory: ${(median(memory.with) - median(memory.without)).toFixed(1)} MiB PSS, difference of the medians of ${scale.starts} starts each (at most 3)`,
      `relay, to a far end that takes 1 Gbit/s: ${ratio(onLink)} (at least 80)`,
      `relay, on loopback, where processors are the limit: ${ratio(onLoopback)}, so that 80 % is kept on links up to ${((onLoopback.relayed * 8 * 1.048576) / 1_000 / 0.8).toFixed(1)} Gbit/s; the peer's processor: ${onLoopback.cpuPerMiB.toFixed(2)} ms for each MiB, ${((onLoopback.cpuPerMiB * gigabit) / 10).toFixed(0)} % of a core at 1 Gbit/s`,
    ];
  } finally {
    await bed.close();
  }
}

function startSink(signal: AbortSignal, mebibytesPerSecond?: number): Child {
  const script = new URL('sink.ts', import.meta.url).pathname;
  const speed = mebibytesPerSecond === undefined ? [] : [String(mebibytesPerSecond)];
  return new Child({ name: 'sink', argv: [process.execPath, script, ...speed], signal });
}

async function targetOf(sink: Child): Promise<Endpoint> {
  return { host: '127.0.0.1', port: Number(await sink.line()) };
}

async function seen(peers: readonly TestNode[]): Promise<void> {
  for (const { health } of peers) await eventually('it is up', () => health.isAlive(measured.name));
}

/** MiB per second until the last byte was taken. */
async function pour(socket: net.Socket, mebibytes: number): Promise<number> {
  if (socket.connecting) await once(socket, 'connect');
  const chunk = Buffer.alloc(64 << 10);
  const started = performance.now();
  for (let sent = 0; sent < mebibytes << 20; sent += chunk.length)
    if (!socket.write(chunk)) await once(socket, 'drain');
  socket.resume().end();
  await once(socket, 'close');
  return (1_000 * mebibytes) / (performance.now() - started);
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
}
