// `holdfast node` on an edge node of a drill, with the memory settings of an edge host, from a copy of the bundle, so that
// a build during the drill changes nothing.
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ApiClient, type BearerToken } from '../cluster/api-client.ts';
import type { PemPair } from '../cluster/certificates.ts';
import { waitFor } from '../cluster/commands.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { edgeEnvironment, edgeNodeFlags } from '../cluster/edge-runtime.ts';
import { kubeletPaths } from '../cluster/node-files.ts';
import type { EdgeNode } from '../cluster/node.ts';
import { childrenOf, logTail } from '../cluster/processes.ts';
import { projectRoot } from '../cluster/project-root.ts';
import { getPlain } from './get-plain.ts';

export const hubUrl = 'https://127.0.0.1:10261';
export const hubCaFile = '/var/lib/holdfast/hub-ca.crt';
const hubPort = 10261;
const opsPort = 10267;
const configFile = '/etc/holdfast/node.yaml';
const fakeTimeLibraries = ['x86_64', 'aarch64'].map((arch) => `/usr/lib/${arch}-linux-gnu/faketime/libfaketime.so.1`);

export interface HubStart {
  /** The hub believes that it is this much later (or earlier, negative), in days. */
  clockOffsetDays?: number;
  /** Under config/node/supervise.sh, as on an installed node. */
  supervised?: boolean;
  /** Further flags. */
  flags?: readonly string[];
}

export class HubProcess {
  readonly #node: EdgeNode;
  readonly #plane: ControlPlane;
  readonly #folder: string;
  readonly #credential: PemPair;

  /** `folder`: where the copy of the bundle goes. */
  constructor(parts: { node: EdgeNode; plane: ControlPlane }, folder: string) {
    this.#node = parts.node;
    this.#plane = parts.plane;
    this.#folder = folder;
    // A client of the drill's own, as the node: it stays valid when the kubelet's certificate is made to expire.
    this.#credential = parts.plane.nodeCertificate(parts.node.name);
  }

  /** Bundle and settings file; once. */
  install(): void {
    const root = projectRoot();
    mkdirSync(path.join(this.#folder, 'dist'), { recursive: true });
    copyFileSync(path.join(root, 'dist', 'holdfast.mjs'), path.join(this.#folder, 'dist', 'holdfast.mjs'));
    symlinkSync(path.join(root, 'node_modules'), path.join(this.#folder, 'node_modules'));
    const file = this.#node.file(configFile);
    mkdirSync(path.dirname(file), { recursive: true });
    const settings = {
      nodeName: this.#node.name,
      apiServers: [this.#plane.url],
      certificateAuthorityFile: kubeletPaths.clusterCa,
      clientCertificateFile: kubeletPaths.clientCertificate,
      clientKeyFile: kubeletPaths.clientCertificate,
    };
    writeFileSync(file, JSON.stringify(settings, null, 1)); // JSON is YAML
  }

  /** Returns at once; `ready` waits. */
  async start(options: HubStart = {}): Promise<void> {
    const bundle = path.join(this.#folder, 'dist', 'holdfast.mjs');
    const program = [bundle, 'node', '--config', configFile, ...(options.flags ?? [])];
    const env: NodeJS.ProcessEnv = { ...fakeTime(options.clockOffsetDays) };
    if (options.supervised === true) {
      const supervisor = path.join(projectRoot(), 'config', 'node', 'supervise.sh');
      await this.#node.startProcess('hub', ['sh', supervisor, process.execPath, ...program], env);
    } else {
      Object.assign(env, edgeEnvironment);
      await this.#node.startProcess('hub', [process.execPath, ...edgeNodeFlags, ...program], env);
    }
  }

  /** Waits until /readyz says yes. */
  async ready(deadlineMs = 180_000): Promise<void> {
    await waitFor('the hub is ready', async () => (await this.#ops('/readyz')).status === 200, {
      deadlineMs,
      everyMs: 20,
      context: () => logTail(this.#node.logFile('hub')),
    });
  }

  async stop(): Promise<void> {
    await this.#node.stopProcess('hub', 15_000);
  }

  async kill9(): Promise<void> {
    await this.#node.kill9('hub');
  }

  /** The hub's own pid on this machine: below a supervisor, the supervisor's child. */
  get pid(): number | undefined {
    const pid = this.#node.processId('hub');
    if (pid === undefined) return undefined;
    const isHub = (candidate: number): boolean => commandLine(candidate).includes('holdfast.mjs\0node');
    const isSupervisor = (candidate: number): boolean => commandLine(candidate).includes('supervise.sh');
    return isSupervisor(pid) ? childrenOf(pid).find(isHub) : pid;
  }

  /** A client of the hub, as the node if nobody else is named. Survives restarts of the hub, not of the node. */
  async client(credential: PemPair | BearerToken = this.#credential): Promise<ApiClient> {
    const ca = this.#node.runFile(hubCaFile);
    const pem = await waitFor('the hub has made its CA', () => existsSync(ca) && readFileSync(ca, 'utf8'), {
      deadlineMs: 180_000,
      everyMs: 20,
      context: () => logTail(this.#node.logFile('hub')),
    });
    const target = { url: hubUrl, ca: pem, socketPath: await this.#node.openPort(hubPort) };
    return new ApiClient(target, credential);
  }

  /** Sum of all samples of a metric, whatever their labels; `labels` narrows, for example `kind="repaired"`. */
  async metric(name: string, labels = ''): Promise<number> {
    const { body } = await this.#ops('/metrics');
    const lines = body.split('\n').filter((line) => line.startsWith(name) && /^[ {]/.test(line.slice(name.length)));
    if (lines.length === 0) throw new Error(`the hub has no metric ${name}`);
    return lines
      .filter((line) => line.includes(labels))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }

  /** Resident memory in MiB. */
  residentMebibytes(): number {
    const [, kibibytes = '0'] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.pid ?? 0}/status`, 'utf8')) ?? [];
    return Number(kibibytes) / 1024;
  }

  async #ops(urlPath: string): Promise<{ status: number; body: string }> {
    return await getPlain({ socketPath: await this.#node.openPort(opsPort), path: urlPath });
  }
}

function fakeTime(offsetDays: number | undefined): NodeJS.ProcessEnv {
  if (offsetDays === undefined) return {};
  const library = fakeTimeLibraries.find(existsSync);
  if (library === undefined) throw new Error('libfaketime is not installed');
  return {
    LD_PRELOAD: library,
    FAKETIME: `${offsetDays >= 0 ? '+' : ''}${offsetDays}d`,
    // Only what people call the time is wrong; durations are measured by another clock, which is never set.
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DONT_FAKE_MONOTONIC: '1',
  };
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // it ended
  }
}
