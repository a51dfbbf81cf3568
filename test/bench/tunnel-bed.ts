// What the tunnel's benchmark stands on: certificates, a target and clients in Go, servers and agents as processes on loopback.
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
import { cpuMs, machineMs } from './process-cost.ts';

export interface Streams {
  /** Of server and agent together, for what was measured. */
  cpuMs: number;
  /** Of what else takes part: clients, target, link. */
  restCpuMs: number;
  /** Of all processors, by anybody: near to 1, and the processor was the limit. */
  busyPart: number;
  mebibytesPerSecond: number;
  least: number;
  most: number;
}

export interface Percentiles {
  p50Ms: number;
  p99Ms: number;
}

export type Way = 'direct' | 'tunnel';

const nodeName = 'bench-node';

/** One server and one agent, as processes. */
export class Tunnel implements AsyncDisposable {
  readonly server: Child;
  readonly agent: Child;
  readonly socket: string;
  /** Where agents come in. */
  readonly port: number;
  /** The same target over the same link, without a tunnel: HOST:PORT. */
  readonly direct: string;
  readonly #opsPort: number;
  readonly #others: readonly Child[];

  constructor(parts: {
    server: Child;
    agent: Child;
    others: readonly Child[];
    socket: string;
    port: number;
    direct: string;
    opsPort: number;
  }) {
    this.server = parts.server;
    this.agent = parts.agent;
    this.socket = parts.socket;
    this.port = parts.port;
    this.direct = parts.direct;
    this.#opsPort = parts.opsPort;
    this.#others = parts.others;
  }

  cpuMs(): number {
    return cpuMs(this.server.pid) + cpuMs(this.agent.pid);
  }

  /** Of its links. */
  linkCpuMs(): number {
    return this.#others.reduce((sum, { pid }) => sum + cpuMs(pid), 0);
  }

  /** How many nodes are connected. */
  async nodes(): Promise<number> {
    return (JSON.parse(await get(this.#opsPort, '/nodes')) as unknown[]).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of [this.agent, this.server, ...this.#others]) await child.stop('SIGKILL');
  }
}

/** What every tunnel of a run stands on: certificates, the target, the clients. */
export class TunnelBed implements AsyncDisposable {
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'holdfast-bench-'));
  readonly #load: string;
  readonly #signal: AbortSignal;
  readonly #authority = new CertificateAuthority('bench-ca');
  readonly #target: Child;
  #targetPort = 0;
  #started = 0;

  /** `load`: the program of test/bench/load. */
  constructor(load: string, signal: AbortSignal) {
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
    const link = async (to: number): Promise<number> => {
      if (oneWayMs === undefined) return to;
      const child = this.#go('delay', [`--to=127.0.0.1:${to}`, `--delay=${oneWayMs}ms`]);
      others.push(child);
      return Number(await child.line());
    };
    const agentsPort = await link(port ?? 0);
    const direct = `127.0.0.1:${await link(this.#targetPort)}`;
    const agent = this.#holdfast('tunnel-agent', [
      `--servers=127.0.0.1:${agentsPort}`,
      `--ops-listen=127.0.0.1:${agentOpsPort}`,
      `--certificate-file=${nodePem}`,
      `--key-file=${nodePem}`,
      `--server-ca-file=${ca}`,
      `--kubelet-address=127.0.0.1:${this.#targetPort}`,
      ...windows,
    ]);
    const tunnel = new Tunnel({
      server: serverChild,
      agent,
      others,
      socket,
      port: port ?? 0,
      direct,
      opsPort: opsPort ?? 0,
    });
    await waitFor('the agent is connected', async () => (await tunnel.nodes()) === 1, {
      deadlineMs: 30_000,
      context: () => `${serverChild.stderr}\n${agent.stderr}`,
    });
    return tunnel;
  }

  async streams(tunnel: Tunnel, way: Way, count: number, seconds: number): Promise<Streams> {
    return await this.#client<Streams>('streams', tunnel, way, [`--count=${count}`, `--seconds=${seconds}`]);
  }

  firstByte(tunnel: Tunnel, way: Way, count: number, stalled: number): Promise<Percentiles> {
    return this.#client<Percentiles>('first-byte', tunnel, way, [`--count=${count}`, `--stalled=${stalled}`]);
  }

  /** An agent in this process, until `signal` aborts. */
  agentHere(name: string, port: number, signal: AbortSignal): Promise<void> {
    const settings = readAgentSettings(
      {
        servers: `127.0.0.1:${port}`,
        ...this.#credentials(name),
        kubeletAddress: `127.0.0.1:${this.#targetPort}`,
      },
      { httpsProxy: '', noProxy: '' },
    );
    return createAgent({ log: nullLog, metrics: new Metrics() }, settings, 'bench').run(signal);
  }

  /** What clients of the egress socket ask for to reach the target by that node. */
  authority(name: string): string {
    return `${name}:${this.#targetPort}`;
  }

  /** `holdfast node` without a cloud, with the agent of the tunnel in it or not. */
  async node(name: string, tunnel: Tunnel, hasAgent: boolean): Promise<Child> {
    const [hubPort, opsPort, agentOpsPort] = await freePorts(3);
    const { certificateFile, keyFile, serverCAFile } = this.#credentials(name);
    const agent = {
      servers: [`127.0.0.1:${tunnel.port}`],
      certificateFile,
      keyFile,
      serverCAFile,
      opsListen: `127.0.0.1:${agentOpsPort}`,
    };
    const folder = mkdtempSync(path.join(this.#folder, 'node-'));
    const child = this.#holdfast('node', [
      '--api-servers=https://127.0.0.1:1',
      `--certificate-authority-file=${serverCAFile}`,
      `--client-certificate-file=${certificateFile}`,
      `--client-key-file=${keyFile}`,
      `--listen=127.0.0.1:${hubPort}`,
      '--manage-link-local=false',
      `--ops-listen=127.0.0.1:${opsPort}`,
      `--data-dir=${path.join(folder, 'data')}`,
      `--run-dir=${path.join(folder, 'run')}`,
      ...(hasAgent ? [`--tunnel-config=${this.#write(`${name}.yaml`, JSON.stringify(agent))}`] : []), // JSON is YAML
    ]);
    await waitFor(
      'holdfast node is up',
      async () => {
        if (child.ended) throw new Error(child.stderr);
        return (await get(opsPort, '/healthz')) === 'ok' && (!hasAgent || (await tunnel.nodes()) > 1);
      },
      { deadlineMs: 30_000, context: () => child.stderr },
    );
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#target.stop('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #client<T>(command: string, tunnel: Tunnel, way: Way, flags: readonly string[]): Promise<T> {
    const to =
      way === 'direct'
        ? [`--authority=${tunnel.direct}`]
        : [`--socket=${tunnel.socket}`, `--authority=${this.authority(nodeName)}`];
    await using child = this.#go(command, [...to, ...flags]);
    const line = await child.line();
    if (line !== 'ready') throw new Error(`load ${command} said ${line}`);
    const restMs = (): number => tunnel.linkCpuMs() + cpuMs(this.#target.pid) + cpuMs(child.pid);
    const before = { ends: tunnel.cpuMs(), rest: restMs(), machine: machineMs() };
    child.say('go');
    const result = JSON.parse(await child.line()) as T;
    const machine = machineMs();
    return {
      ...result,
      cpuMs: tunnel.cpuMs() - before.ends,
      restCpuMs: restMs() - before.rest,
      busyPart: (machine.busyMs - before.machine.busyMs) / (machine.allMs - before.machine.allMs),
    };
  }

  #go(command: string, args: readonly string[]): Child {
    return new Child({ name: `load ${command}`, argv: [this.#load, command, ...args], signal: this.#signal });
  }

  #holdfast(command: string, flags: readonly string[]): Child {
    const bundle = path.join(projectRoot(), 'dist', 'holdfast.mjs');
    // As the units in config/tunnel and config/node start them.
    const onEdge = command !== 'tunnel-server';
    const argv = [process.execPath, ...(onEdge ? edgeNodeFlags : []), bundle, command, '--log-level=warn', ...flags];
    const env = { ...process.env, ...(onEdge ? edgeEnvironment : tunnelServerEnvironment) };
    return new Child({ name: command, argv, env, signal: this.#signal });
  }

  #credentials(name: string): { certificateFile: string; keyFile: string; serverCAFile: string } {
    const pair = this.#authority.client(`system:node:${name}`, ['system:nodes']);
    const pem = this.#write(`${name}.pem`, pair.certificate + pair.key);
    return { certificateFile: pem, keyFile: pem, serverCAFile: path.join(this.#folder, 'ca.crt') };
  }

  #write(name: string, content: string): string {
    const file = path.join(this.#folder, name);
    writeFileSync(file, content, { mode: 0o600 });
    return file;
  }
}

/** Rejects where the status is not 200. */
function get(port: number | undefined, urlPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    http
      .get({ host: '127.0.0.1', port, path: urlPath, agent: false }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => (body += text));
        response.on('end', () => {
          if (response.statusCode === 200) resolve(body);
          else reject(new Error(`${urlPath}: status ${response.statusCode}`));
        });
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
