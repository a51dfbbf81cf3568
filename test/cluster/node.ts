// One edge node: an unmodified kubelet and containerd in namespaces of their own, behind a router that translates
// addresses. Process 1 of the node is a shell that only waits, so that killing it is a power cut.
import { mkdirSync, renameSync, rmSync, statfsSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { binary } from './binaries.ts';
import type { PemPair, Validity } from './certificates.ts';
import type { ControlPlane } from './control-plane.ts';
import { Link } from './faults.ts';
import { nodeImages, registryName } from './images.ts';
import { kubeconfigText } from './kubeconfig.ts';
import { Machine } from './machine.ts';
import type { MachineParts, MachineSettings } from './machine.ts';
import { cloudAddress, createRouter, registryPort, removeSite } from './network.ts';
import {
  cniConfiguration,
  containerdConfiguration,
  kubeletConfiguration,
  kubeletPaths,
  registryHosts,
} from './node-files.ts';

const overlayfsMagic = 0x794c7630;

export interface EdgeNodeParts extends MachineParts {
  plane: ControlPlane;
}

/** The node's own files are below `root/` of its folder, at their usual paths. */
export interface EdgeNodeSettings extends MachineSettings {
  /** Let the kubelet renew its client certificate by itself, as kubeadm does. */
  rotateCertificates?: boolean;
  kubeletConfiguration?: Readonly<Record<string, unknown>>;
  kubeletArgs?: readonly string[];
}

export class EdgeNode extends Machine {
  readonly link: Link;
  readonly #plane: ControlPlane;
  readonly #settings: EdgeNodeSettings;

  constructor(parts: EdgeNodeParts, settings: EdgeNodeSettings) {
    super(parts, settings, 'test/cluster/node-init.sh');
    this.#plane = parts.plane;
    this.#settings = settings;
    this.link = new Link(parts, { nodeName: settings.name, logFile: this.logFile('wanqueue') });
  }

  /** Router, files, first boot, images; the kubelet talks to the API server directly until setServer says otherwise. */
  async create(): Promise<void> {
    await createRouter(this.#settings.clusterNumber, this.site);
    await this.link.prepare();
    this.#writeFiles();
    await this.boot();
    await this.startContainerd();
    await this.#importImages();
  }

  /** Boot, containerd, kubelet; what else has to run on the node is the caller's to start. */
  async powerOn(): Promise<void> {
    await this.boot();
    await this.startContainerd();
    await this.startKubelet();
  }

  async startKubelet(): Promise<void> {
    await this.startProcess('kubelet', [
      binary('kubelet'),
      `--config=${kubeletPaths.config}`,
      `--kubeconfig=${kubeletPaths.kubeconfig}`,
      `--hostname-override=${this.name}`,
      `--node-ip=${this.site.nodeAddress}`,
      '--v=2',
      ...(this.#settings.kubeletArgs ?? []),
    ]);
  }

  /** Where the kubelet finds its API server. Takes effect with the kubelet's next start. `caFile`: a path on the node. */
  setServer(server: string, caFile: string = kubeletPaths.clusterCa): void {
    const text = kubeconfigText({
      server,
      ca: caFile,
      user: 'default-auth',
      certificate: kubeletPaths.clientCertificate,
      key: kubeletPaths.clientCertificate,
    });
    this.#write(kubeletPaths.kubeconfig, text, 0o600);
  }

  /** A new client certificate where kubeadm's lies; `kubelet-client-current.pem` is moved to it in one step. */
  issueCertificate(validity: Validity = {}): PemPair {
    const pair = this.#plane.nodeCertificate(this.name, validity);
    const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-');
    const file = `/var/lib/kubelet/pki/kubelet-client-${stamp}.pem`;
    this.#write(file, pair.certificate + pair.key, 0o600);
    const current = this.file(kubeletPaths.clientCertificate);
    rmSync(`${current}.new`, { force: true });
    symlinkSync(file, `${current}.new`);
    renameSync(`${current}.new`, current);
    return pair;
  }

  /** A static pod: its manifest in the kubelet's folder. */
  writeManifest(name: string, manifest: unknown): void {
    this.#write(`${kubeletPaths.manifests}/${name}.yaml`, JSON.stringify(manifest));
  }

  /** The machine's path of one of the node's own files: /etc/{kubernetes,cni,containerd,holdfast}, /var/lib, /var/log. */
  file(insidePath: string): string {
    return path.join(this.#settings.folder, 'root', insidePath);
  }

  async remove(): Promise<void> {
    await this.powerOff();
    await this.processes.stop(this.processName('wanqueue'), 0);
    await removeSite(this.site);
    rmSync(this.#settings.folder, { recursive: true, force: true });
  }

  #writeFiles(): void {
    const onOverlay = statfsSync(this.#settings.folder).type === overlayfsMagic;
    this.#write('/etc/containerd/config.toml', containerdConfiguration(onOverlay ? 'native' : 'overlayfs'));
    const registry = `http://${cloudAddress(this.#settings.clusterNumber)}:${registryPort}`;
    this.#write(`/etc/containerd/certs.d/${registryName}/hosts.toml`, registryHosts(registry));
    this.#write('/etc/cni/net.d/10-holdfast.conflist', cniConfiguration(this.site.podCidr));
    this.#write(kubeletPaths.clusterCa, this.#plane.ca);
    this.#write(
      kubeletPaths.config,
      kubeletConfiguration({
        cgroupRoot: `/holdfast/${this.site.nodeNamespace}`,
        rotateCertificates: this.#settings.rotateCertificates ?? false,
        extra: this.#settings.kubeletConfiguration ?? {},
      }),
    );
    mkdirSync(this.file(kubeletPaths.manifests), { recursive: true });
    this.issueCertificate();
    this.setServer(this.#plane.url);
  }

  async #importImages(): Promise<void> {
    for (const image of nodeImages) await this.importImage(image);
  }

  #write(insidePath: string, content: string, mode = 0o644): void {
    mkdirSync(path.dirname(this.file(insidePath)), { recursive: true });
    writeFileSync(this.file(insidePath), content, { mode });
  }
}
