// `npm run bench -- tunnel`: the built tunnel server and agent on loopback, real TLS, against a direct connection to the same
// target in the same run. Clients and target in Go; CPU is that of server and agent together.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { nullLog } from '../../runtime/log.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { createAgent } from '../../tunnel-agent/run.ts';
import { readAgentSettings } from '../../tunnel-agent/settings.ts';
import { CertificateAuthority } from '../cluster/certificates.ts';
import { waitFor } from '../cluster/commands.ts';
import { edgeEnvironment, edgeNodeFlags } from '../cluster/edge-runtime.ts';
import { projectRoot } from '../cluster/project-root.ts';
import { tunnelServerEnvironment } from '../cluster/tunnel-server-runtime.ts';
import { Child } from './child.ts';
import { buildLoadTool } from './load-tool.ts';
import { cpuMs, memoryOf, untilIdle } from './process-cost.ts';
import { summarize } from './samples.ts';

export interface TunnelScale {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
  readonly idleAgents: readonly [number, number];
}

export const fullTunnelScale: TunnelScale = { rounds: 3, seconds: 5, connections: 1_000, idleAgents: [200, 1_000] };
export const quickTunnelScale: TunnelScale = { rounds: 1, seconds: 2, connections: 200, idleAgents: [50, 200] };

export interface TunnelRow {
  readonly title: string;
  readonly unit: string;
  readonly direct: number | undefined;
  readonly tunnel: number;
  readonly figure: string;
  /** Undefined where the figure is only printed. */
  readonly met: boolean | undefined;
}

interface Context {
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

interface Streams {
  /** Of server and agent together, for what was measured. */
  cpuMs: number;
  mebibytesPerSecond: number;
  least: number;
  most: number;
}

interface Percentiles {
  p50Ms: number;
  p99Ms: number;
}

const nodeName = 'bench-node';

/** The median of each figure over the rounds. */
export async function benchTunnel(scale: TunnelScale, context: Context): Promise<TunnelRow[]> {
  const { say, signal } = context;
  const load = await buildLoadTool(say);
  const folder = mkdtempSync(path.join(tmpdir(), 'holdfast-bench-'));
  try {
    await using bed = new TunnelBed(folder, load, signal);
    const rounds: TunnelRow[][] = [];
    for (let round = 1; round <= scale.rounds; round += 1) {
      say(`round ${round} of ${scale.rounds}: near …`);
      const near = await bed.start(undefined);
      const rows = [...(await throughput(bed, near, scale)), ...(await firstBytes(bed, near, scale))];
      await near[Symbol.asyncDispose]();
      say(`round ${round} of ${scale.rounds}: at a round trip of 50 ms …`);
      const far = await bed.start(25);
      rows.push(...(await atDistance(bed, far, scale)));
      await far[Symbol.asyncDispose]();
      rounds.push(rows);
    }
    say(`memory with ${scale.idleAgents.join(' and ')} idle agents …`);
    return [...medians(rounds), ...(await idleMemory(bed, scale))];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function throughput(bed: TunnelBed, tunnel: Tunnel, scale: TunnelScale): Promise<TunnelRow[]> {
  const rows: TunnelRow[] = [];
  for (const count of [1, 100]) {
    const direct = await bed.streams(undefined, count, scale.seconds);
    const through = await bed.streams(tunnel, count, scale.seconds);
    const mebibytes = through.mebibytesPerSecond * scale.seconds;
    rows.push(
      row(`${count} stream${count > 1 ? 's' : ''}, sum`, 'MiB/s', through.mebibytesPerSecond, {
        direct: direct.mebibytesPerSecond,
      }),
      row(`${count} stream${count > 1 ? 's' : ''}, CPU of both ends`, 'ms/MiB', through.cpuMs / mebibytes, {}),
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

async function firstBytes(bed: TunnelBed, tunnel: Tunnel, scale: TunnelScale): Promise<TunnelRow[]> {
  const direct = await bed.firstByte(undefined, scale.connections, 0);
  const idle = await bed.firstByte(tunnel, scale.connections, 0);
  const before = memoryOf(tunnel.agent.pid).residentMiB + memoryOf(tunnel.server.pid).residentMiB;
  const beside = await bed.firstByte(tunnel, scale.connections, 20);
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
  const one = await bed.streams(tunnel, 1, scale.seconds);
  const hundred = await bed.streams(tunnel, 100, scale.seconds);
  return [
    row('50 ms, 1 stream, 4 MiB window', 'MiB/s', one.mebibytesPerSecond, {
      figure: '≥ 40 MB/s',
      met: one.mebibytesPerSecond * 1.048576 >= 40,
    }),
    row('50 ms, 100 streams', 'MiB/s', hundred.mebibytesPerSecond, {
      figure: '≥ 150 MB/s',
      met: hundred.mebibytesPerSecond * 1.048576 >= 150,
    }),
  ];
}

/** Agents in this process; what counts is the server's memory. */
async function idleMemory(bed: TunnelBed, { idleAgents: [few, many] }: TunnelScale): Promise<TunnelRow[]> {
  await using tunnel = await bed.start(undefined);
  const agentMiB = memoryOf(tunnel.agent.pid).residentMiB;
  const resident: number[] = [];
  const stop = new AbortController();
  const running: Promise<void>[] = [];
  try {
    for (const count of [few, many]) {
      while (running.length < count) running.push(bed.idleAgent(`idle-${running.length}`, tunnel.port, stop.signal));
      await waitFor(`${count} agents are connected`, async () => (await tunnel.nodes()) === count + 1, {
        deadlineMs: 120_000,
        everyMs: 200,
      });
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

function row(
  title: string,
  unit: string,
  tunnel: number,
  more: { direct?: number; figure?: string; met?: boolean },
): TunnelRow {
  return { title, unit, tunnel, direct: more.direct, figure: more.figure ?? '', met: more.met };
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

/** One server and one agent, as processes. */
class Tunnel implements AsyncDisposable {
  readonly server: Child;
  readonly agent: Child;
  readonly socket: string;
  readonly port: number;
  readonly #opsPort: number;
  readonly #others: readonly Child[];

  constructor(parts: {
    server: Child;
    agent: Child;
    others: readonly Child[];
    socket: string;
    port: number;
    opsPort: number;
  }) {
    this.server = parts.server;
    this.agent = parts.agent;
    this.socket = parts.socket;
    this.port = parts.port;
    this.#opsPort = parts.opsPort;
    this.#others = parts.others;
  }

  cpuMs(): number {
    return cpuMs(this.server.pid) + cpuMs(this.agent.pid);
  }

  /** How many nodes are connected. */
  async nodes(): Promise<number> {
    return ((await getJson(this.#opsPort, '/nodes')) as unknown[]).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of [this.agent, this.server, ...this.#others]) await child.stop('SIGKILL');
  }
}

/** What every tunnel of a run stands on: certificates, the target, the clients. */
class TunnelBed implements AsyncDisposable {
  readonly #folder: string;
  readonly #load: string;
  readonly #signal: AbortSignal;
  readonly #authority = new CertificateAuthority('bench-ca');
  readonly #target: Child;
  #targetPort = 0;
  #started = 0;

  constructor(folder: string, load: string, signal: AbortSignal) {
    this.#folder = folder;
    this.#load = load;
    this.#signal = signal;
    this.#target = this.#go('target', []);
    this.#write('ca.crt', this.#authority.pair.certificate);
  }

  /** `oneWayMs`: a link that takes so much longer, and wide windows. */
  async start(oneWayMs: number | undefined): Promise<Tunnel> {
    if (this.#targetPort === 0) this.#targetPort = Number(await this.#target.line());
    const id = (this.#started += 1);
    const [port, opsPort, agentOpsPort] = await freePorts(3);
    const server = this.#authority.server('tunnel-server', ['127.0.0.1']);
    const node = this.#authority.client(`system:node:${nodeName}`, ['system:nodes']);
    const serverPem = this.#write(`server-${id}.pem`, server.certificate + server.key);
    const nodePem = this.#write(`node-${id}.pem`, node.certificate + node.key);
    const socket = path.join(this.#folder, `egress-${id}.sock`);
    const ca = path.join(this.#folder, 'ca.crt');
    const windows = oneWayMs === undefined ? [] : ['--stream-window-bytes=4Mi', '--connection-window-bytes=32Mi'];
    const others: Child[] = [];
    const serverChild = this.#holdfast('tunnel-server', [
      `--listen=127.0.0.1:${port}`,
      `--ops-listen=127.0.0.1:${opsPort}`,
      `--certificate-file=${serverPem}`,
      `--key-file=${serverPem}`,
      `--client-ca-file=${ca}`,
      `--egress-socket=${socket}`,
      ...windows,
    ]);
    let agentsPort = port;
    if (oneWayMs !== undefined) {
      const link = this.#go('delay', [`--to=127.0.0.1:${port}`, `--delay=${oneWayMs}ms`]);
      others.push(link);
      agentsPort = Number(await link.line());
    }
    const agent = this.#holdfast('tunnel-agent', [
      `--servers=127.0.0.1:${agentsPort}`,
      `--ops-listen=127.0.0.1:${agentOpsPort}`,
      `--certificate-file=${nodePem}`,
      `--key-file=${nodePem}`,
      `--server-ca-file=${ca}`,
      `--kubelet-address=127.0.0.1:${this.#targetPort}`,
      ...windows,
    ]);
    const tunnel = new Tunnel({ server: serverChild, agent, others, socket, port: port ?? 0, opsPort: opsPort ?? 0 });
    await waitFor('the agent is connected', async () => (await tunnel.nodes()) === 1, {
      deadlineMs: 30_000,
      context: () => `${serverChild.stderr}\n${agent.stderr}`,
    });
    return tunnel;
  }

  async streams(tunnel: Tunnel | undefined, count: number, seconds: number): Promise<Streams> {
    return await this.#client<Streams>('streams', tunnel, [`--count=${count}`, `--seconds=${seconds}`]);
  }

  firstByte(tunnel: Tunnel | undefined, count: number, stalled: number): Promise<Percentiles> {
    return this.#client<Percentiles>('first-byte', tunnel, [`--count=${count}`, `--stalled=${stalled}`]);
  }

  /** An agent in this process, until `signal` aborts. */
  idleAgent(name: string, port: number, signal: AbortSignal): Promise<void> {
    const pair = this.#authority.client(`system:node:${name}`, ['system:nodes']);
    const pem = this.#write(`${name}.pem`, pair.certificate + pair.key);
    const flags = {
      servers: `127.0.0.1:${port}`,
      certificateFile: pem,
      keyFile: pem,
      serverCAFile: path.join(this.#folder, 'ca.crt'),
    };
    const settings = readAgentSettings(flags, { httpsProxy: '', noProxy: '' });
    return createAgent({ log: nullLog, metrics: new Metrics() }, settings, 'bench').run(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#target.stop('SIGKILL');
  }

  async #client<T>(command: string, tunnel: Tunnel | undefined, flags: readonly string[]): Promise<T> {
    const way =
      tunnel === undefined
        ? [`--authority=127.0.0.1:${this.#targetPort}`]
        : [`--socket=${tunnel.socket}`, `--authority=${nodeName}:${this.#targetPort}`];
    await using child = this.#go(command, [...way, ...flags]);
    const line = await child.line();
    if (line !== 'ready') throw new Error(`load ${command} said ${line}`);
    const before = tunnel?.cpuMs() ?? 0;
    child.say('go');
    const result = JSON.parse(await child.line()) as T;
    return { ...result, cpuMs: (tunnel?.cpuMs() ?? 0) - before };
  }

  #go(command: string, args: readonly string[]): Child {
    return new Child({ name: `load ${command}`, argv: [this.#load, command, ...args], signal: this.#signal });
  }

  #holdfast(command: string, flags: readonly string[]): Child {
    const bundle = path.join(projectRoot(), 'dist', 'holdfast.mjs');
    // As the units in config/tunnel start them: small spaces on the edge only.
    const onEdge = command === 'tunnel-agent';
    const argv = [process.execPath, ...(onEdge ? edgeNodeFlags : []), bundle, command, '--log-level=warn', ...flags];
    const env = { ...process.env, ...(onEdge ? edgeEnvironment : tunnelServerEnvironment) };
    return new Child({ name: command, argv, env, signal: this.#signal });
  }

  #write(name: string, content: string): string {
    const file = path.join(this.#folder, name);
    writeFileSync(file, content, { mode: 0o600 });
    return file;
  }
}

/** One line for each row, and one that counts. */
export function tunnelTable(rows: readonly TunnelRow[]): string {
  const number = (value: number): string => value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
  const lines = [
    ['row', 'unit', 'tunnel', 'direct', 'ratio', 'to reach', 'met'],
    ...rows.map(({ title, unit, tunnel, direct, figure, met }) => [
      title,
      unit,
      number(tunnel),
      direct === undefined ? '' : number(direct),
      direct === undefined ? '' : number(tunnel / direct),
      figure,
      met === undefined ? '' : met ? 'yes' : 'NO',
    ]),
  ];
  const widths = (lines[0] ?? []).map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  const text = lines.map((line) =>
    line
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const missed = rows.filter(({ met }) => met === false).length;
  return `${text.join('\n')}\n\nfigures: ${rows.filter(({ met }) => met === true).length} met, ${missed} missed\n`;
}

function getJson(port: number, urlPath: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    http
      .get({ host: '127.0.0.1', port, path: urlPath, agent: false }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => (body += text));
        response.on('end', () => resolve(JSON.parse(body) as unknown));
      })
      .on('error', reject);
  });
}

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = net.createServer();
      return new Promise<net.Server>((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
    }),
  );
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
