// A hub as a node runs it: the built executable, its settings in a file, a data folder of its own.
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { waitFor } from '../cluster/commands.ts';
import { edgeEnvironment, edgeNodeFlags } from '../cluster/edge-runtime.ts';
import { projectRoot } from '../cluster/project-root.ts';
import { Child } from './child.ts';
import { ask } from './client.ts';
import type { Pinning } from './pinning.ts';
import type { ClientFiles, Way } from './ways.ts';

export interface HubParts {
  readonly pinning: Pinning;
  readonly signal: AbortSignal;
  /** Upstream identity, and the one that its clients share views with. */
  readonly identity: ClientFiles;
  readonly clusterCaFile: string;
  readonly nodeName: string;
  /** An empty folder for what it keeps; removed with it. */
  readonly dir: string;
  readonly onStart: (pid: number) => void;
  /** For Node.js, besides those that a node has. */
  readonly nodeFlags: readonly string[];
}

const environmentText = Object.entries(edgeEnvironment).map(([name, value]) => `${name}=${value}`);
export const hubCommand = [...environmentText, 'node', ...edgeNodeFlags, 'dist/holdfast.mjs node'].join(' ');

/** The executable, or undefined when it is not built. */
export function hubExecutable(): string | undefined {
  const file = path.join(projectRoot(), 'dist', 'holdfast.mjs');
  return existsSync(file) ? file : undefined;
}

export class Hub implements AsyncDisposable {
  readonly way: Way;
  readonly #parts: HubParts;
  readonly #configFile: string;
  #child: Child | undefined;

  private constructor(parts: HubParts, port: number, configFile: string) {
    this.#parts = parts;
    this.#configFile = configFile;
    const pid = (): number | undefined => this.#child?.pid;
    this.way = {
      variant: 'hub',
      url: `https://127.0.0.1:${port}`,
      caFile: path.join(parts.dir, 'data', 'hub-ca.crt'),
      get pid() {
        return pid();
      },
    };
  }

  /** A new hub with an empty store, in front of `upstream`; returns when it answers. */
  static async start(parts: HubParts, upstream: string): Promise<Hub> {
    const { dir } = parts;
    const [port, opsPort] = await freePorts(2);
    const settings = {
      nodeName: parts.nodeName,
      apiServers: [upstream],
      certificateAuthorityFile: parts.clusterCaFile,
      clientCertificateFile: parts.identity.certificateFile,
      clientKeyFile: parts.identity.keyFile,
      listen: [`127.0.0.1:${port}`],
      manageLinkLocal: false,
      opsListen: `127.0.0.1:${opsPort}`,
      dataDir: path.join(dir, 'data'),
      runDir: path.join(dir, 'run'),
      logLevel: 'warn',
    };
    mkdirSync(settings.dataDir);
    mkdirSync(settings.runDir);
    const configFile = path.join(dir, 'config.yaml');
    writeFileSync(configFile, JSON.stringify(settings, null, 1)); // JSON is YAML
    const hub = new Hub(parts, port ?? 0, configFile);
    hub.launch();
    try {
      await waitFor('the hub answers', () => hub.#answers(), {
        deadlineMs: 20_000,
        everyMs: 20,
        context: () => hub.stderr,
        signal: parts.signal,
      });
    } catch (error) {
      await hub[Symbol.asyncDispose]();
      throw error;
    }
    return hub;
  }

  get pid(): number {
    if (this.#child === undefined) throw new TypeError('the hub does not run');
    return this.#child.pid;
  }

  get stderr(): string {
    return this.#child?.stderr ?? '';
  }

  /** Starts the process, on the store that is there, and does not wait. */
  launch(): void {
    const executable = hubExecutable();
    if (executable === undefined) throw new Error('dist/holdfast.mjs is not built: npm run build');
    const node = path.join(projectRoot(), 'node_modules', '.bin', 'node');
    this.#child = new Child({
      name: 'holdfast node',
      argv: [
        ...this.#parts.pinning.measured,
        node,
        ...edgeNodeFlags,
        ...this.#parts.nodeFlags,
        executable,
        'node',
        '--config',
        this.#configFile,
      ],
      env: { ...process.env, ...edgeEnvironment },
      signal: this.#parts.signal,
    });
    this.#parts.onStart(this.#child.pid);
  }

  /** Ends the process and keeps the store. */
  async stop(how: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#child?.stop(how);
    this.#child = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#parts.dir, { recursive: true, force: true });
  }

  async #answers(): Promise<boolean> {
    if (this.#child?.ended === true) throw new Error(`the hub ended: ${this.stderr}`);
    return (await ask(this.way, this.#parts.identity, '/version', { timeoutMs: 2_000 })).status === 200;
  }
}

/** Ports that were free a moment ago, all different. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ports.push((server.address() as { port: number }).port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
