// One hub in this process, with everything about it that tests look at: what it says, counts and holds in memory.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock, type Clock } from '../../runtime/clock.ts';
import { createLog, nullLog, type Log } from '../../runtime/log.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { Hub } from '../../yurthub/hub.ts';
import { noNeighbours, type Neighbours } from '../../yurthub/neighbours/neighbours.ts';
import { readNodeSettings, type NodeSettings } from '../../yurthub/settings.ts';
import type { RawSettings } from '../../runtime/settings.ts';
import { LocalClient } from './local-client.ts';

export interface Credential {
  readonly cert: string;
  readonly key: string;
}

export interface HubOptions {
  readonly apiServer: string;
  readonly ca: string;
  /** The node's, for the hub and its clients. */
  readonly node: Credential;
  readonly clock?: Clock;
  readonly settings?: RawSettings;
  readonly neighbours?: Neighbours;
}

export class HubUnderTest {
  readonly folder: string;
  /** Messages of the log, with the level in front. */
  readonly said: string[] = [];
  metrics = new Metrics();
  hub!: Hub;
  client!: LocalClient;
  #options: HubOptions;
  #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  readonly #clients: LocalClient[] = [];

  private constructor(folder: string, options: HubOptions) {
    this.folder = folder;
    this.#options = options;
  }

  static async start(options: HubOptions): Promise<HubUnderTest> {
    const made = await HubUnderTest.prepare(options);
    await made.start();
    return made;
  }

  /** Files and settings only. */
  static async prepare(options: HubOptions): Promise<HubUnderTest> {
    const folder = await mkdtemp(path.join(tmpdir(), 'holdfast-faults-'));
    await writeFile(path.join(folder, 'ca.crt'), options.ca);
    await writeFile(path.join(folder, 'client.crt'), options.node.cert);
    await writeFile(path.join(folder, 'client.key'), options.node.key, { mode: 0o600 });
    return new HubUnderTest(folder, options);
  }

  get dataDir(): string {
    return path.join(this.folder, 'data');
  }

  settings(): NodeSettings {
    return readNodeSettings({
      nodeName: 'edge1',
      apiServers: [this.#options.apiServer],
      certificateAuthorityFile: path.join(this.folder, 'ca.crt'),
      clientCertificateFile: path.join(this.folder, 'client.crt'),
      clientKeyFile: path.join(this.folder, 'client.key'),
      listen: ['127.0.0.1:0'],
      opsListen: '127.0.0.1:0',
      manageLinkLocal: false,
      dataDir: this.dataDir,
      runDir: path.join(this.folder, 'run'),
      ...this.#options.settings,
    });
  }

  /** Rejects with what the hub says when it cannot serve. */
  async start(changes: Partial<HubOptions> = {}): Promise<void> {
    this.#options = { ...this.#options, ...changes };
    this.metrics = new Metrics();
    this.#stop = new AbortController();
    const parts = {
      log: this.#log(),
      metrics: this.metrics,
      clock: this.#options.clock ?? systemClock,
      version: 'test',
      neighbours: this.#options.neighbours ?? noNeighbours,
    };
    this.hub = new Hub(this.settings(), parts);
    this.#running = this.hub.run(this.#stop.signal);
    this.#running.catch(() => undefined);
    await Promise.race([this.hub.started(), this.#running]);
    this.client = this.connect(this.#options.node);
  }

  /** Another client; undefined for none of the credentials. */
  connect(credential: Credential | undefined): LocalClient {
    const client = new LocalClient({
      port: this.port,
      ca: this.hub.caPem,
      ...(credential === undefined ? {} : { certificate: credential.cert, key: credential.key }),
    });
    this.#clients.push(client);
    return client;
  }

  /** A client with a token. */
  withToken(token: string): LocalClient {
    const client = new LocalClient({ port: this.port, ca: this.hub.caPem, token });
    this.#clients.push(client);
    return client;
  }

  get port(): number {
    return this.hub.addresses[0]?.port ?? 0;
  }

  async stop(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.close();
    this.#stop.abort();
    await this.#running;
  }

  async remove(): Promise<void> {
    await this.stop().catch(() => undefined);
    await rm(this.folder, { recursive: true });
  }

  /** The value of one series, written as in the exposition text. */
  async metric(series: string): Promise<number> {
    const line = (await this.metrics.text()).split('\n').find((candidate) => candidate.startsWith(`${series} `));
    if (line === undefined) throw new Error(`no metric ${series}`);
    return Number(line.slice(series.length + 1));
  }

  // HOLDFAST_TEST_LOG=debug shows what the hub says.
  #log(): Log {
    const shown = process.env['HOLDFAST_TEST_LOG'] === undefined ? nullLog : createLog('debug');
    const recording = (inner: Log): Log => {
      const at =
        (level: 'error' | 'warn' | 'info' | 'debug'): Log['info'] =>
        (message, fields) => {
          this.said.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`);
          inner[level](message, fields);
        };
      return {
        error: at('error'),
        warn: at('warn'),
        info: at('info'),
        debug: at('debug'),
        child: (component) => recording(inner.child(component)),
      };
    };
    return recording(shown);
  }
}

/** Looks again and again until something holds that no event tells. */
export async function until(holds: () => boolean | Promise<boolean>, what: string, withinMs = 60_000): Promise<void> {
  const startedMs = performance.now();
  while (!(await holds())) {
    if (performance.now() - startedMs > withinMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** By how much the resident memory of this process (hub, cloud and clients together) rose at most, in MiB. */
export class MemoryWatch {
  readonly #before: number;
  #most: number;
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#before = process.memoryUsage.rss();
    this.#most = this.#before;
    this.#timer = setInterval(() => this.#look(), 20);
  }

  grownMiB(): number {
    this.#look();
    clearInterval(this.#timer);
    return (this.#most - this.#before) / 2 ** 20;
  }

  #look(): void {
    this.#most = Math.max(this.#most, process.memoryUsage.rss());
  }
}
