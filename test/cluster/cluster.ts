// A whole cluster on one machine: control plane on a bridge, edge nodes behind NAT. Everything that exists outside this
// process is on record in the state folder, and the folder is in a register of all clusters, so that each can be
// found and removed after a crash.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { buildBinaries, clusterPrograms } from './binaries.ts';
import { waitFor } from './commands.ts';
import { ControlPlane } from './control-plane.ts';
import type { ControlPlaneOptions } from './control-plane.ts';
import { HarnessError } from './errors.ts';
import { cloudAddress, registryPort, siteOf } from './network.ts';
import { EdgeNode } from './node.ts';
import type { EdgeNodeSettings } from './node.ts';
import { installPackages } from './packages.ts';
import { ProcessTable } from './processes.ts';
import { projectRoot } from './project-root.ts';
import { claim, destroy, raiseInotifyLimit, readState, sweep, writeState } from './register.ts';
import type { ClaimOptions, ClusterState, SiteSettings } from './register.ts';

export type NodeSettings = SiteSettings &
  Pick<EdgeNodeSettings, 'rotateCertificates' | 'kubeletConfiguration' | 'kubeletArgs' | 'disks'>;

export interface ClusterOptions extends ClaimOptions {
  say?: (line: string) => void;
  controlPlane?: Pick<ControlPlaneOptions, 'apiserverArgs' | 'apiserverHosts' | 'controllerManagerArgs'>;
}

export class Cluster {
  readonly dir: string;
  readonly plane: ControlPlane;
  readonly #state: ClusterState<NodeSettings>;
  readonly #processes: ProcessTable;

  private constructor(dir: string, plane: ControlPlane, state: ClusterState<NodeSettings>) {
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
    await sweep(say);
    raiseInotifyLimit(say);
    const { dir, state } = await claim('bare', options);
    const { number } = state;
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
    const state = readState<NodeSettings>(dir);
    if (state?.kind !== 'bare')
      throw new HarnessError('NO_CLUSTER', `no such cluster in ${dir}: npm run cluster -- up`);
    return new Cluster(dir, ControlPlane.attach(path.join(dir, 'control-plane')), state);
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
