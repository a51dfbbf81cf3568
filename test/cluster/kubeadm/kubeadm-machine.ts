// A machine of a kubeadm cluster: as Debian with the packages of Kubernetes and containerd, before and after kubeadm. Services run
// by their unit files; kubeadm, and whatever is installed on the machine, calls systemctl.
import { mkdirSync, rmSync, statfsSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { binary, programOf, type Minor } from '../binaries.ts';
import { runFully } from '../commands.ts';
import { Link } from '../faults.ts';
import { Machine, type MachineParts, type MachineSettings } from '../machine.ts';
import { createCloudNamespace, createNodeNamespace, createRouter, removeSite } from '../network.ts';
import { projectRoot } from '../project-root.ts';
import { machineFiles } from './machine-files.ts';

const overlayfsMagic = 0x794c7630;
/** Folders that are the machine's alone; others are the host's with a layer above (machine-init.sh). */
const alone = [
  '/etc/kubernetes',
  '/etc/cni',
  '/etc/containerd',
  '/etc/holdfast',
  '/etc/systemd/system',
  '/var/lib',
  '/var/log',
];

export interface KubeadmMachineSettings extends MachineSettings {
  /** In the cloud, where others reach it, or at a site behind NAT. */
  place: 'cloud' | 'site';
}

export class KubeadmMachine extends Machine {
  readonly link: Link;
  readonly #settings: KubeadmMachineSettings;

  constructor(parts: MachineParts, settings: KubeadmMachineSettings) {
    super(parts, settings, 'test/cluster/kubeadm/machine-init.sh');
    this.#settings = settings;
    this.link = new Link(parts, { nodeName: settings.name, logFile: this.logFile('wanqueue') });
  }

  /** What other machines of the cluster know it by. */
  get address(): string {
    return this.#settings.place === 'cloud' ? this.site.routerAddress : this.site.nodeAddress;
  }

  /** Router, files, first boot; containerd runs when it resolves. */
  async create(controlPlane: { name: string; address: string }, pauseImage: string, minor: Minor): Promise<void> {
    const { folder, clusterNumber, place } = this.#settings;
    if (place === 'site') {
      await createRouter(clusterNumber, this.site);
      await this.link.prepare();
    }
    mkdirSync(folder, { recursive: true });
    const files = machineFiles({
      name: this.name,
      address: this.address,
      controlPlane,
      podCidr: this.site.podCidr,
      cgroupRoot: `/holdfast/${this.site.nodeNamespace}`,
      pauseImage,
      snapshotter: statfsSync(folder).type === overlayfsMagic ? 'native' : 'overlayfs',
      nodeProgram: process.execPath,
      checkout: projectRoot(),
    });
    for (const { path: inside, content, mode } of files) {
      this.#prepare(inside);
      writeFileSync(this.file(inside), content, { mode: mode ?? 0o644 });
    }
    for (const program of ['kubeadm', 'kubelet'] as const)
      this.#link(`/usr/bin/${program}`, binary(programOf(program, minor)));
    this.#link('/usr/bin/kubectl', binary('kubectl'));
    for (const unit of ['/etc/systemd/system/containerd.service', '/usr/lib/systemd/system/kubelet.service'])
      this.#link(`/etc/systemd/system/multi-user.target.wants/${path.basename(unit)}`, unit);
    await this.boot();
  }

  /** Boots with whatever its units say; pods come back as the kubelet starts them. */
  async powerOn(): Promise<void> {
    await this.boot();
  }

  /** Runs kubeadm on the machine; its output goes to the log `kubeadm`, and to the error if it fails. */
  async kubeadm(args: readonly string[], timeoutMs = 600_000): Promise<void> {
    // cgroup version 1 is all that this check complains of.
    const argv = ['kubeadm', ...args, '--ignore-preflight-errors=SystemVerification'];
    const result = await runFully(this.enterArgv(argv), { timeoutMs, mayFail: true });
    writeFileSync(this.logFile('kubeadm'), `${argv.join(' ')}\n${result.stdout}${result.stderr}`, { flag: 'a' });
    if (result.code !== 0)
      throw new Error(`kubeadm ${args[0]} on ${this.name}: ${(result.stderr || result.stdout).slice(-2000)}`);
  }

  /** As the package of another minor would: the program is there from its next start on. */
  async replaceProgram(program: 'kubeadm' | 'kubelet', minor: Minor): Promise<void> {
    await this.enter(['ln', '-sfn', binary(programOf(program, minor)), `/usr/bin/${program}`]);
  }

  systemctl(...args: readonly string[]): Promise<string> {
    return this.enter(['systemctl', ...args]);
  }

  /** An archive that `writeImage` wrote. */
  async importArchive(file: string): Promise<void> {
    await this.ctr(['-n', 'k8s.io', 'images', 'import', file], { timeoutMs: 300_000 });
  }

  /** The host's path of a file that the machine sees at `inside`, and that is not the host's own. Valid while it is off as well. */
  file(inside: string): string {
    const isAlone = alone.some((folder) => inside === folder || inside.startsWith(`${folder}/`));
    return path.join(this.#settings.folder, isAlone ? 'alone' : 'own', inside);
  }

  async remove(): Promise<void> {
    await this.powerOff();
    await this.processes.stop(this.processName('wanqueue'), 0);
    await removeSite(this.site);
    rmSync(this.#settings.folder, { recursive: true, force: true });
  }

  protected override async connect(): Promise<void> {
    if (this.#settings.place === 'cloud') await createCloudNamespace(this.#settings.clusterNumber, this.site);
    else await createNodeNamespace(this.site);
  }

  #prepare(inside: string): void {
    mkdirSync(path.dirname(this.file(inside)), { recursive: true });
  }

  #link(inside: string, target: string): void {
    this.#prepare(inside);
    symlinkSync(target, this.file(inside));
  }
}
