// A cluster that kubeadm makes: one control plane in the cloud, and nodes that join from behind NAT. Like the other kind of
// cluster it is on record, so that `down` and `sweep` find and remove it after a crash.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseKubeconfig, type PemSource } from '../../../kube/kubeconfig.ts';
import { ApiClient } from '../api-client.ts';
import {
  binary,
  buildBinaries,
  clusterPrograms,
  earlierPrograms,
  kubeadmPrograms,
  versionOf,
  type Minor,
} from '../binaries.ts';
import { run, waitFor } from '../commands.ts';
import { HarnessError } from '../errors.ts';
import { writeImage } from '../images.ts';
import { siteOf } from '../network.ts';
import { installPackages } from '../packages.ts';
import { ProcessTable } from '../processes.ts';
import { claim, destroy, raiseInotifyLimit, readState, sweep, writeState } from '../register.ts';
import type { ClaimOptions, ClusterState, SiteSettings } from '../register.ts';
import { kubeadmImages } from './images.ts';
import { KubeadmMachine } from './kubeadm-machine.ts';
import { initConfiguration } from './machine-files.ts';

const controlPlaneName = 'cp1';
const podCidr = '10.244.0.0/16';

export interface KubeadmClusterOptions extends ClaimOptions {
  /** Nodes at sites, by name. Sites with the same `lan` have the same addresses. */
  nodes?: Readonly<Record<string, SiteSettings>>;
  /** What kubeadm, kubelets and control plane begin with. Default: 1.34. */
  minor?: Minor;
  say?: (line: string) => void;
}

/** kubeadm.json in the state folder. */
interface ImageArchives {
  pause: string;
  everywhere: string[];
  coreDns: string;
  minor: Minor;
}

export class KubeadmCluster {
  readonly dir: string;
  readonly #state: ClusterState;
  readonly #processes: ProcessTable;
  #api: ApiClient | undefined;

  private constructor(dir: string, state: ClusterState) {
    this.dir = dir;
    this.#state = state;
    this.#processes = new ProcessTable(dir);
  }

  /** Packages, programs, images, `kubeadm init`, `kubeadm join`; all nodes are Ready when it resolves. Needs root. */
  static async up(options: KubeadmClusterOptions = {}): Promise<KubeadmCluster> {
    const say = options.say ?? (() => undefined);
    if (process.getuid?.() !== 0) throw new HarnessError('NEEDS_ROOT', 'a cluster with nodes needs root');
    await installPackages(say);
    const { minor = '1.34' } = options;
    await buildBinaries([...clusterPrograms, ...kubeadmPrograms, ...(minor === '1.33' ? earlierPrograms : [])], say);
    await sweep(say);
    raiseInotifyLimit(say);
    const { dir, state } = await claim('kubeadm', options);
    const cluster = new KubeadmCluster(dir, state);
    try {
      await cluster.#make(Object.entries(options.nodes ?? {}), minor, say);
      return cluster;
    } catch (error) {
      await destroy({ dir, number: state.number });
      throw error;
    }
  }

  /** The cluster that an earlier process made in `dir`. */
  static attach(dir: string): KubeadmCluster {
    const state = readState(dir);
    if (state?.kind !== 'kubeadm')
      throw new HarnessError('NO_CLUSTER', `no kubeadm cluster in ${dir}: npm run cluster -- kubeadm up`);
    return new KubeadmCluster(dir, state);
  }

  get controlPlane(): KubeadmMachine {
    return this.machine(controlPlaneName);
  }

  get nodes(): KubeadmMachine[] {
    return this.#state.nodes.filter(({ name }) => name !== controlPlaneName).map(({ name }) => this.machine(name));
  }

  machine(name: string): KubeadmMachine {
    const entry = this.#state.nodes.find((candidate) => candidate.name === name);
    if (entry === undefined) throw new HarnessError('NO_NODE', `no machine ${name} in ${this.dir}`);
    const { number } = this.#state;
    return new KubeadmMachine(
      { processes: this.#processes, site: siteOf(number, name, entry.index, entry.settings.lan) },
      {
        name,
        clusterNumber: number,
        folder: path.join(this.dir, 'nodes', name),
        place: name === controlPlaneName ? 'cloud' : 'site',
      },
    );
  }

  /** As administrator, from the cloud. */
  get api(): ApiClient {
    if (this.#api === undefined) {
      const { server, certificateAuthority, clientCertificate, clientKey } = parseKubeconfig(
        readFileSync(this.adminKubeconfig, 'utf8'),
        this.adminKubeconfig,
      );
      const credential = { certificate: pemText(clientCertificate), key: pemText(clientKey) };
      this.#api = new ApiClient({ url: server, ca: pemText(certificateAuthority) }, credential);
    }
    return this.#api;
  }

  get adminKubeconfig(): string {
    return this.controlPlane.file('/etc/kubernetes/admin.conf');
  }

  /** The image of CoreDNS, for `importArchive`: at first the control plane alone has it. */
  get coreDnsArchive(): string {
    return this.#archives.coreDns;
  }

  get #archives(): ImageArchives {
    return JSON.parse(readFileSync(path.join(this.dir, 'nodes', 'images.json'), 'utf8')) as ImageArchives;
  }

  /** As administrator; standard output. */
  kubectl(...args: readonly string[]): Promise<string> {
    return run([binary('kubectl'), '--kubeconfig', this.adminKubeconfig, ...args]);
  }

  /** A further machine, joined and Ready. */
  async addNode(name: string, settings: SiteSettings = {}): Promise<KubeadmMachine> {
    const node = await this.addMachine(name, settings);
    await this.#join(node);
    await this.waitForNode(name);
    return node;
  }

  /** Booted, with the images that every node needs; it has not joined. */
  async addMachine(name: string, settings: SiteSettings): Promise<KubeadmMachine> {
    if (!/^[a-z][a-z0-9-]{0,30}$/.test(name)) throw new TypeError(`not a node name: ${name}`);
    if (this.#state.nodes.some((node) => node.name === name)) throw new TypeError(`there is a machine ${name} already`);
    this.#state.nodes.push({ name, index: this.#state.nextIndex, settings });
    this.#state.nextIndex += 1;
    writeState(this.dir, this.#state);
    const archives = this.#archives;
    const machine = this.machine(name);
    const { address } = this.controlPlane;
    await machine.create({ name: controlPlaneName, address }, archives.pause, archives.minor);
    for (const file of archives.everywhere) await machine.importArchive(file);
    return machine;
  }

  async waitForNode(name: string, deadlineMs = 300_000): Promise<void> {
    interface Node {
      status: { conditions?: { type: string; status: string }[] };
    }
    await waitFor(
      `node ${name} is Ready`,
      async () => {
        const node = await this.api.request<Node>('GET', `/api/v1/nodes/${name}`);
        return node.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
      },
      { deadlineMs, everyMs: 200 },
    );
  }

  close(): void {
    this.#api?.close();
  }

  async down(): Promise<void> {
    this.close();
    await destroy({ dir: this.dir, number: this.#state.number });
  }

  async #make(
    nodes: readonly (readonly [string, SiteSettings])[],
    minor: Minor,
    say: (line: string) => void,
  ): Promise<void> {
    const started = performance.now();
    const step = (line: string): void =>
      say(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${line}`);
    const controlPlaneOnly = await this.#writeImages(minor);
    step('images are written');
    const plane = await this.addMachine(controlPlaneName, {});
    for (const file of controlPlaneOnly) await plane.importArchive(file);
    step('the control plane has booted and its images');
    // Beside kubeadm init, which mostly waits.
    const joining = Promise.all(nodes.map(([name, settings]) => this.addMachine(name, settings)));
    const [machines] = await Promise.all([joining, this.#init(plane, minor)]);
    step('kubeadm init');
    for (const machine of machines) await this.#join(machine);
    step('kubeadm join');
    await Promise.all([plane, ...machines].map(({ name }) => this.waitForNode(name)));
    step('all nodes are Ready');
  }

  /** Gives those that the control plane needs besides. */
  async #writeImages(minor: Minor): Promise<string[]> {
    const images = await kubeadmImages(minor);
    const folder = path.join(this.dir, 'nodes', 'images');
    const everywhere = images.everywhere.map((image) => writeImage(image, folder));
    const controlPlane = images.controlPlane.map((image) => writeImage(image, folder));
    // As kubeadmImages has it: the last one of the control plane.
    const archives: ImageArchives = { pause: images.pause, everywhere, coreDns: controlPlane.at(-1) ?? '', minor };
    writeFileSync(path.join(this.dir, 'nodes', 'images.json'), JSON.stringify(archives));
    return controlPlane;
  }

  /** What a registry would have: the images of another minor on all machines, whose programs are as they were. */
  async offerImages(minor: Minor): Promise<void> {
    const controlPlane = await this.#writeImages(minor);
    const { everywhere } = this.#archives;
    for (const machine of [this.controlPlane, ...this.nodes])
      for (const file of everywhere) await machine.importArchive(file);
    for (const file of controlPlane) await this.controlPlane.importArchive(file);
  }

  async #init(plane: KubeadmMachine, minor: Minor): Promise<void> {
    const file = '/var/lib/kubeadm-init.yaml';
    writeFileSync(
      plane.file(file),
      initConfiguration({ name: plane.name, address: plane.address, kubernetesVersion: versionOf[minor], podCidr }),
    );
    await plane.kubeadm(['init', '--config', file]);
    if (!existsSync(this.adminKubeconfig)) throw new HarnessError('NO_CLUSTER', 'kubeadm init left no admin.conf');
  }

  async #join(machine: KubeadmMachine): Promise<void> {
    const plane = this.controlPlane;
    const tokenCommand = 'kubeadm --kubeconfig /etc/kubernetes/admin.conf token create --print-join-command';
    const printed = await plane.enter(tokenCommand.split(' '));
    const [, , ...args] = printed.trim().split(/\s+/); // kubeadm join …
    await machine.kubeadm(['join', ...args]);
  }
}

function pemText(source: PemSource | undefined): string {
  if (source === undefined) throw new Error('admin.conf lacks a certificate, its key, or the certificate authority');
  return 'pem' in source ? source.pem : readFileSync(source.file, 'utf8');
}
