// A whole cluster on one machine: control plane on a bridge, edge nodes behind NAT. Everything that exists outside this
// process is on record in the state folder, and the folder is in a register of all clusters, so that each can be
// found and removed after a crash.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildBinaries, cacheFolder, clusterPrograms } from './binaries.ts';
import { removeCgroup } from './cgroups.ts';
import { waitFor } from './commands.ts';
import { ControlPlane } from './control-plane.ts';
import type { ControlPlaneOptions } from './control-plane.ts';
import { HarnessError } from './errors.ts';
import { bridgeName, claimBridge, cloudAddress, registryPort, removeBridge, removeSite, siteOf } from './network.ts';
import { EdgeNode } from './node.ts';
import type { EdgeNodeSettings } from './node.ts';
import { installPackages } from './packages.ts';
import { isAlive, ProcessTable, startTicks } from './processes.ts';
import { projectRoot } from './project-root.ts';

/** cluster.json in the state folder. */
interface ClusterState {
  number: number;
  ownsFolder: boolean;
  nodes: { name: string; index: number; settings: NodeSettings }[];
  nextIndex: number;
}

/** One cluster in the register; without an owner it lives until `down`. */
interface RegisterEntry {
  dir: string;
  number: number;
  owner?: { pid: number; startTicks: string };
}

export interface NodeSettings extends Pick<
  EdgeNodeSettings,
  'rotateCertificates' | 'kubeletConfiguration' | 'kubeletArgs' | 'disks'
> {
  /** Number of the addresses behind the site's router (192.168.LAN.10); by default its own. */
  lan?: number;
}

export interface ClusterOptions {
  /** State folder; a temporary one by default. */
  dir?: string;
  /** The cluster goes on when this process ends; else the next `sweep` removes it. */
  outlivesProcess?: boolean;
  say?: (line: string) => void;
  controlPlane?: Pick<ControlPlaneOptions, 'apiserverArgs' | 'apiserverHosts' | 'controllerManagerArgs'>;
}

export class Cluster {
  readonly dir: string;
  readonly plane: ControlPlane;
  readonly #state: ClusterState;
  readonly #processes: ProcessTable;

  private constructor(dir: string, plane: ControlPlane, state: ClusterState) {
    this.dir = dir;
    this.plane = plane;
    this.#state = state;
    this.#processes = new ProcessTable(dir);
  }

  /** Packages, programs, bridge, control plane. Needs root. */
  static async up(options: ClusterOptions = {}): Promise<Cluster> {
    const say = options.say ?? (() => undefined);
    if (process.getuid?.() !== 0) throw new HarnessError('NEEDS_ROOT', 'a cluster with nodes needs root');
    await installPackages(say);
    await buildBinaries(clusterPrograms, say);
    await Cluster.sweep(say);
    raiseInotifyLimit(say);
    if (options.dir !== undefined && existsSync(path.join(options.dir, 'cluster.json'))) {
      throw new HarnessError('NO_CLUSTER', `there is a cluster in ${options.dir} already: down first`);
    }
    const number = await claimBridge();
    const dir = options.dir ?? mkdtempSync(path.join(tmpdir(), `holdfast-${bridgeName(number)}-`));
    mkdirSync(dir, { recursive: true });
    const self = { pid: process.pid, startTicks: startTicks(process.pid) ?? '' };
    register({ dir, number, ...(options.outlivesProcess === true ? {} : { owner: self }) });
    const state: ClusterState = { number, ownsFolder: options.dir === undefined, nodes: [], nextIndex: 1 };
    writeState(dir, state);
    try {
      const plane = await ControlPlane.start({
        controllers: true,
        dir: path.join(dir, 'control-plane'),
        address: cloudAddress(number),
        port: 6443,
        outlivesProcess: options.outlivesProcess ?? false,
        ...options.controlPlane,
      });
      const cluster = new Cluster(dir, plane, state);
      await cluster.#bindKubeadmRoles();
      await cluster.#startRegistry(options.outlivesProcess ?? false);
      return cluster;
    } catch (error) {
      await destroy({ dir, number });
      throw error;
    }
  }

  /** The cluster that an earlier process made in `dir`. */
  static attach(dir: string): Cluster {
    const state = readState(dir);
    if (state === undefined) throw new HarnessError('NO_CLUSTER', `no cluster in ${dir}: npm run cluster -- up`);
    return new Cluster(dir, ControlPlane.attach(path.join(dir, 'control-plane')), state);
  }

  /** Removes clusters whose owner ended without doing so. */
  static async sweep(say: (line: string) => void): Promise<void> {
    for (const entry of registered()) {
      if (entry.owner === undefined || isAlive(entry.owner)) continue;
      say(`removing cluster ${bridgeName(entry.number)}, left behind by process ${entry.owner.pid}`);
      await destroy(entry);
    }
  }

  /** Removes whatever is in `dir`, however incomplete. False if there is nothing. */
  static async remove(dir: string): Promise<boolean> {
    const entry = registered().find((candidate) => candidate.dir === dir);
    if (entry === undefined) return false;
    await destroy(entry);
    return true;
  }

  get number(): number {
    return this.#state.number;
  }

  get nodes(): EdgeNode[] {
    return this.#state.nodes.map(({ name }) => this.node(name));
  }

  node(name: string): EdgeNode {
    const entry = this.#state.nodes.find((candidate) => candidate.name === name);
    if (entry === undefined) throw new HarnessError('NO_NODE', `no node ${name} in ${this.dir}`);
    return new EdgeNode(
      {
        plane: this.plane,
        processes: this.#processes,
        site: siteOf(this.#state.number, name, entry.index, entry.settings.lan),
      },
      {
        ...entry.settings,
        name,
        clusterNumber: this.#state.number,
        folder: path.join(this.dir, 'nodes', name),
      },
    );
  }

  /** A node with containerd and images; the kubelet is started unless `kubelet` is false. */
  async addNode(name: string, settings: NodeSettings = {}, kubelet = true): Promise<EdgeNode> {
    if (!/^[a-z][a-z0-9-]{0,30}$/.test(name)) throw new TypeError(`not a node name: ${name}`);
    if (this.#state.nodes.some((node) => node.name === name)) throw new TypeError(`there is a node ${name} already`);
    this.#state.nodes.push({ name, index: this.#state.nextIndex, settings });
    this.#state.nextIndex += 1;
    writeState(this.dir, this.#state);
    mkdirSync(path.join(this.dir, 'nodes', name), { recursive: true });
    const node = this.node(name);
    await node.create();
    if (kubelet) await node.startKubelet();
    return node;
  }

  async removeNode(name: string): Promise<void> {
    await this.node(name).remove();
    this.#state.nodes = this.#state.nodes.filter((node) => node.name !== name);
    writeState(this.dir, this.#state);
    await this.plane.rawRequest('DELETE', `/api/v1/nodes/${name}`); // it may never have registered
  }

  /** Waits until the API server calls the node Ready (or not Ready). */
  async waitForNode(name: string, ready: boolean, deadlineMs: number): Promise<void> {
    await waitFor(`node ${name} is ${ready ? '' : 'not '}Ready`, async () => (await this.isReady(name)) === ready, {
      deadlineMs,
      everyMs: 100,
    });
  }

  async isReady(name: string): Promise<boolean> {
    interface Node {
      status: { conditions?: { type: string; status: string }[] };
    }
    const node = await this.plane.request<Node>('GET', `/api/v1/nodes/${name}`);
    return node.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
  }

  /** Leaves nothing: processes, namespaces, links, rules, mounts, cgroups, and the state folder if it was temporary. */
  async down(): Promise<void> {
    this.plane.close();
    await destroy({ dir: this.dir, number: this.#state.number });
  }

  /** In the cloud, like any registry: where a link is cut, nothing can be pulled. */
  async #startRegistry(outlivesProcess: boolean): Promise<void> {
    const logFile = path.join(this.dir, 'log', 'registry.log');
    const script = path.join(projectRoot(), 'test', 'cluster', 'registry.ts');
    const tie = outlivesProcess ? [] : ['setpriv', '--pdeathsig', 'KILL'];
    const argv = [...tie, process.execPath, script, cloudAddress(this.#state.number), String(registryPort)];
    await this.#processes.start('registry', argv, { logFile });
  }

  /** What kubeadm lets nodes do beyond the Node authorizer: renew their own client certificate. */
  async #bindKubeadmRoles(): Promise<void> {
    await this.plane.request('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'kubeadm:node-autoapprove-certificate-rotation' },
      roleRef: {
        apiGroup: 'rbac.authorization.k8s.io',
        kind: 'ClusterRole',
        name: 'system:certificates.k8s.io:certificatesigningrequests:selfnodeclient',
      },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'system:nodes' }],
    });
  }
}

/** All clusters on this machine that the register knows. */
export function registered(): RegisterEntry[] {
  const folder = registerFolder();
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as RegisterEntry);
}

async function destroy({ dir, number }: Pick<RegisterEntry, 'dir' | 'number'>): Promise<void> {
  const state = readState(dir);
  const processes = new ProcessTable(dir);
  // Process 1 of each node first: with it ends all that runs there.
  const names = processes.names().sort((a, b) => Number(b.endsWith('.init')) - Number(a.endsWith('.init')));
  for (const name of names) await processes.stop(name, 0);
  const planeFolder = path.join(dir, 'control-plane');
  const plane = new ProcessTable(planeFolder);
  for (const name of plane.names()) await plane.stop(name, 0);
  for (const node of state?.nodes ?? []) {
    const site = siteOf(number, node.name, node.index, node.settings.lan);
    await removeSite(site);
    await removeCgroup(site.nodeNamespace);
  }
  await removeBridge(number);
  if (state?.ownsFolder === false) {
    for (const entry of ['control-plane', 'nodes', 'processes', 'log', 'cluster.json']) {
      rmSync(path.join(dir, entry), { recursive: true, force: true });
    }
  } else rmSync(dir, { recursive: true, force: true });
  rmSync(path.join(registerFolder(), `${bridgeName(number)}.json`), { force: true });
  if (registered().length === 0) restoreInotifyLimit();
}

function registerFolder(): string {
  return path.join(cacheFolder(), 'clusters');
}

function register(entry: RegisterEntry): void {
  mkdirSync(registerFolder(), { recursive: true });
  writeFileSync(path.join(registerFolder(), `${bridgeName(entry.number)}.json`), JSON.stringify(entry, null, 1));
}

function readState(dir: string): ClusterState | undefined {
  const file = path.join(dir, 'cluster.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as ClusterState) : undefined;
}

function writeState(dir: string, state: ClusterState): void {
  writeFileSync(path.join(dir, 'cluster.json'), JSON.stringify(state, null, 1));
}

const inotifyLimit = '/proc/sys/fs/inotify/max_user_instances';
const inotifyWanted = 1024;
const inotifyBefore = (): string => path.join(registerFolder(), 'inotify-limit-before');

/** Each kubelet and containerd takes dozens of inotify instances; the usual limit of 128 is for the whole machine. */
function raiseInotifyLimit(say: (line: string) => void): void {
  const limit = Number(readFileSync(inotifyLimit, 'utf8'));
  if (limit >= inotifyWanted) return;
  say(`raising fs.inotify.max_user_instances from ${limit} to ${inotifyWanted} until the last cluster is down`);
  mkdirSync(registerFolder(), { recursive: true });
  writeFileSync(inotifyBefore(), String(limit));
  writeFileSync(inotifyLimit, String(inotifyWanted));
}

function restoreInotifyLimit(): void {
  if (!existsSync(inotifyBefore())) return;
  writeFileSync(inotifyLimit, readFileSync(inotifyBefore()));
  rmSync(inotifyBefore());
}
