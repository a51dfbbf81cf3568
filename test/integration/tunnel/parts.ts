// A tunnel to test: real servers and agents in this process, with real certificates and sockets, and what stands around
// them: targets at the node, clients of the egress socket, links that fail.
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../../runtime/clock.ts';
import { nullLog } from '../../../runtime/log.ts';
import { Metrics } from '../../../runtime/metrics.ts';
import { noDetour, type Detour } from '../../../tunnel-agent/detour.ts';
import { createAgent, type AgentTimings } from '../../../tunnel-agent/run.ts';
import type { Agent } from '../../../tunnel-agent/agent.ts';
import { readAgentSettings, type ProxyEnvironment } from '../../../tunnel-agent/settings.ts';
import { TunnelServer, type TunnelServerAddresses } from '../../../tunnel-server/server.ts';
import { readServerSettings } from '../../../tunnel-server/settings.ts';
import { CertificateAuthority, type PemPair } from '../../cluster/certificates.ts';

/** Quick enough for a test, slow enough for a busy machine. */
export const timings: AgentTimings = {
  liveness: { pingIntervalMs: 100, suspectAfterMs: 1_000, deadAfterMs: 60_000 },
  tcpTimeoutMs: 5_000,
  handshakeTimeoutMs: 10_000,
  backoff: { firstMs: 20, longestMs: 200 },
  duplicateRetryMs: 60_000,
  ownWayRetryMs: 100,
  resolveIntervalMs: 60_000,
};

export interface RunningServer {
  readonly addresses: TunnelServerAddresses;
  readonly socket: string;
  readonly metrics: Metrics;
  /** Aborts and waits until it has ended. */
  stop(): Promise<void>;
  nodes(): Promise<{ node: string; connections: number; streams: number; suspect: boolean; version: string }[]>;
}

export interface RunningAgent {
  readonly agent: Agent;
  readonly metrics: Metrics;
  stop(): Promise<void>;
}

export class TunnelTest {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'holdfast-tunnel-'));
  readonly authority = new CertificateAuthority('tunnel-test-ca');
  readonly #cleanUps: (() => Promise<void>)[] = [];
  #count = 0;

  constructor() {
    this.write('ca.crt', this.authority.pair.certificate);
  }

  defer(cleanUp: () => Promise<void> | void): void {
    this.#cleanUps.unshift(async () => cleanUp());
  }

  async close(): Promise<void> {
    for (const cleanUp of this.#cleanUps) await cleanUp();
    rmSync(this.folder, { recursive: true, force: true });
  }

  write(name: string, content: string): string {
    const file = path.join(this.folder, name);
    writeFileSync(file, content);
    return file;
  }

  /** Certificate and key in one file, as the kubelet keeps them. */
  writePair(name: string, pair: PemPair): string {
    return this.write(name, pair.certificate + pair.key);
  }

  node(name: string): PemPair {
    return this.authority.client(`system:node:${name}`, ['system:nodes']);
  }

  async server(flags: Readonly<Record<string, unknown>> = {}): Promise<RunningServer> {
    const id = (this.#count += 1);
    const pem = this.writePair(`server-${id}.pem`, this.authority.server('tunnel-server', ['127.0.0.1', 'localhost']));
    const socket = path.join(this.folder, `egress-${id}.sock`);
    const settings = readServerSettings({
      listen: '127.0.0.1:0',
      opsListen: '127.0.0.1:0',
      certificateFile: pem,
      keyFile: pem,
      clientCAFile: path.join(this.folder, 'ca.crt'),
      egressSocket: socket,
      drainTimeoutMs: '2000',
      ...flags,
    });
    const metrics = new Metrics();
    const server = new TunnelServer({ log: nullLog, clock: systemClock, metrics, random: Math.random }, settings, {
      version: 'server-1',
      serverId: `server-${id}`,
      liveness: timings.liveness,
    });
    const abort = new AbortController();
    const started = Promise.withResolvers<TunnelServerAddresses>();
    const ended = server.run(abort.signal, started.resolve);
    ended.catch(started.reject);
    const addresses = await started.promise;
    const stop = async (): Promise<void> => {
      abort.abort();
      await ended;
    };
    this.defer(stop);
    return {
      addresses,
      socket: settings.egressSocket,
      metrics,
      stop,
      nodes: async () => JSON.parse(await get(addresses.ops.port, '/nodes')) as never,
    };
  }

  /** `servers`: ports of tunnel servers, or of links to them. */
  agent(
    node: string,
    servers: readonly number[],
    flags: Readonly<Record<string, unknown>> = {},
    environment: ProxyEnvironment = { httpsProxy: '', noProxy: '' },
    detour: Detour = noDetour,
  ): RunningAgent {
    const pem = this.writePair(`agent-${(this.#count += 1)}.pem`, this.node(node));
    const settings = readAgentSettings(
      {
        servers: servers.map((port) => `127.0.0.1:${port}`),
        certificateFile: pem,
        keyFile: pem,
        serverCAFile: path.join(this.folder, 'ca.crt'),
        ...flags,
      },
      environment,
    );
    const metrics = new Metrics();
    const agent = createAgent({ log: nullLog, metrics }, settings, 'agent-1', timings, detour);
    const abort = new AbortController();
    const ended = agent.run(abort.signal);
    const stop = async (): Promise<void> => {
      abort.abort();
      await ended;
    };
    this.defer(stop);
    return { agent, metrics, stop };
  }

  /** A TCP server on loopback, in the place of the kubelet or of anything else at the node. */
  async target(serve: (socket: net.Socket) => void): Promise<number> {
    const sockets = new Set<net.Socket>();
    const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => sockets.delete(socket));
      serve(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.defer(async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    });
    return (server.address() as AddressInfo).port;
  }

  /** Sends back what it gets, and 'bye' after the end. */
  echo(): Promise<number> {
    return this.target((socket) => {
      socket.on('data', (chunk) => void (socket.write(chunk) || socket.pause()));
      socket.on('drain', () => socket.resume());
      socket.on('end', () => socket.end('bye'));
    });
  }

  /** A link to `port` whose present connections can be frozen for good, while new ones pass. */
  async link(port: number): Promise<Link> {
    const link = new Link(port);
    this.defer(() => link.close());
    await link.listen();
    return link;
  }

  /** CONNECT over a unix socket, as kube-apiserver does it. */
  async connect(socket: string, authority: string): Promise<Connected> {
    const client = net.connect({ path: socket, allowHalfOpen: true });
    client.on('error', () => undefined);
    this.defer(() => void client.destroy());
    client.write(`CONNECT ${authority} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
    const reads: Buffer[] = [];
    for (;;) {
      const ended = once(client, 'end').then(() => undefined);
      const chunk = await Promise.race([once(client, 'data').then(([data]) => data as Buffer), ended]);
      if (chunk !== undefined) reads.push(chunk);
      const text = Buffer.concat(reads).toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end === -1 && chunk !== undefined) continue;
      const statusLine = text.split('\r\n')[0] ?? '';
      const reason = /^holdfast-reason: (.*)$/im.exec(text)?.[1];
      client.pause();
      return {
        socket: client,
        status: Number(statusLine.split(' ')[1] ?? 0),
        statusLine,
        reason,
        rest: text.slice(end + 4),
      };
    }
  }
}

export interface Connected {
  readonly socket: net.Socket;
  readonly status: number;
  readonly statusLine: string;
  readonly reason: string | undefined;
  /** What came in the same read as the head. */
  readonly rest: string;
}

export class Link {
  readonly #server: net.Server;
  readonly #pairs = new Set<{ near: net.Socket; far: net.Socket; frozen: boolean }>();

  constructor(port: number) {
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
      const far = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true });
      const pair = { near, far, frozen: false };
      this.#pairs.add(pair);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        from.on('data', (chunk) => {
          if (!pair.frozen) to.write(chunk);
        });
        from.on('end', () => {
          if (!pair.frozen) to.end();
        });
        from.on('error', () => undefined);
        from.on('close', () => {
          if (!pair.frozen) to.destroy();
        });
      }
    });
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** What is connected now hears nothing more, and nobody is told. */
  freeze(): void {
    for (const pair of this.#pairs) pair.frozen = true;
  }

  /** Ends what was frozen, as a host does that finds its peer gone. */
  endFrozen(): void {
    for (const { near, far, frozen } of this.#pairs) if (frozen) void (near.destroy(), far.destroy());
  }

  async close(): Promise<void> {
    for (const { near, far } of this.#pairs) void (near.destroy(), far.destroy());
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** Polls: what is waited for happens in another part of this process, which tells nobody. The deadline says what never came. */
export async function eventually(
  what: string,
  probe: () => boolean | Promise<boolean>,
  deadlineMs = 60_000,
): Promise<void> {
  const startMs = performance.now();
  while (!(await probe())) {
    if (performance.now() - startMs > deadlineMs) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Everything until the end. */
export async function readAll(socket: net.Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Writes and waits for as many bytes to come back, or for the end: what came until then. Rejects when the socket breaks. */
export function roundTrip(socket: net.Socket, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let back = '';
    const done = (end: () => void): void => {
      socket.off('data', read).off('end', ended).off('error', broke).pause();
      end();
    };
    const read = (chunk: Buffer): void => {
      back += chunk.toString('latin1');
      if (back.length >= text.length) ended();
    };
    const ended = (): void => done(() => resolve(back));
    const broke = (error: Error): void => done(() => reject(error));
    socket.on('data', read).once('end', ended).once('error', broke).resume();
    socket.write(text);
  });
}

export async function metric(metrics: Metrics, line: string): Promise<number> {
  const found = (await metrics.text()).split('\n').find((each) => each.startsWith(`${line} `));
  if (found === undefined) throw new Error(`no metric ${line}`);
  return Number(found.slice(line.length + 1));
}

function get(port: number, urlPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    http
      .get({ port, host: '127.0.0.1', path: urlPath, agent: false }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => (body += text));
        response.on('end', () => resolve(body));
      })
      .on('error', reject);
  });
}

export function readText(file: string): string {
  return readFileSync(file, 'utf8');
}
