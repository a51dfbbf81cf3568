// A node for tests: real files in a folder that stands for /, and a model of systemd, kubelet, hub and API server that knows what
// a conversion depends on: units are read at daemon-reload, a kubelet at a hub that does not run is not well, a pod is configured
// as the kubelet sees the world when it starts. Every call can be made to fail, or to be the last.
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { alwaysValid, generateKeyPair, issueCertificate } from '../runtime/x509/certificate.ts';
import { DropInError } from './errors.ts';
import type { Archive } from './facts.ts';
import { NodeFiles, type Files } from './files.ts';
import type { Answer, ApiRequest, Host, UnitState } from './host.ts';
import { currentLink, kubeadm, ours, prefix, versionFolder } from './places.ts';
import type { Kubeadm } from './kubeadm-program.ts';
import { isKubeProxy, type Pod } from './pods.ts';
import type { CommandParts } from './run.ts';
import type { UpgradeParts } from './upgrade.ts';

export const nodeName = 'edge-1';
const wants = '/etc/systemd/system/multi-user.target.wants';

export class FakeNode {
  readonly root = mkdtempSync(path.join(tmpdir(), 'holdfast-node-'));
  readonly archive: Archive;
  cloudReachable = true;
  /** The Lease carries what a hub adds to it. */
  leaseHasReport = false;
  /** The version that the Node says, '' for none: in the cloud, so no part of `state`. */
  announced = '';
  /** Of the Node, in the cloud as well. */
  labels: Record<string, string> = { 'kubernetes.io/os': 'linux' };
  /** What the kubelet was started with; '' when it does not run. */
  #kubeletAt: string = kubeadm.kubeconfig;
  #hubActive = false;
  /** Of the program that the hub was started from. */
  #hubVersion = '';
  /** No cluster knows the token. */
  joinFails = false;
  /** A hub of this version starts, and is never ready. */
  brokenVersion = '';
  readonly #kubeconfig: string;
  #loaded = { hub: false, dropIn: false };
  #uid = 0;
  #nowMs = 0;
  #pods: (Pod & { at: string })[] = [];

  constructor() {
    const keys = generateKeyPair();
    const subject = { commonName: `system:node:${nodeName}`, organizations: ['system:nodes'] };
    const certificate = path.join(this.root, 'kubelet-client-current.pem');
    const template = { ...alwaysValid, subject, usage: 'client', names: [] } as const;
    writeFileSync(certificate, issueCertificate(template, keys.publicKey, { subject, privateKey: keys.privateKey }));
    const kubeconfig = {
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
      clusters: [
        {
          name: 'k',
          cluster: { server: 'https://192.0.2.1:6443', 'certificate-authority-data': btoa('-----BEGIN X') },
        },
      ],
      users: [{ name: 'u', user: { 'client-certificate': certificate, 'client-key': certificate } }],
    };
    this.#kubeconfig = JSON.stringify(kubeconfig);
    this.#write(kubeadm.kubeconfig, this.#kubeconfig);
    this.#write('/etc/systemd/system/other.service', 'not ours');
    this.#write(`${wants}/keep`, '');
    for (const folder of ['/run/systemd/system', '/var/lib', '/opt', '/usr/local'])
      mkdirSync(this.#at(folder), { recursive: true });
    this.archive = this.archiveOf('1.2.3');
    this.#pods = [
      this.#pod('default', 'app', {}),
      this.#pod('kube-system', 'kube-proxy-1', { 'k8s-app': 'kube-proxy' }),
    ];
  }

  /** As it is before kubeadm. */
  unjoin(): void {
    rmSync(this.#at('/etc/kubernetes'), { recursive: true });
    this.#write('/run/containerd/containerd.sock', '');
    this.#kubeletAt = '';
    this.#pods = [];
  }

  /** kubeadm on this machine; it refuses where a join has left something, as the real one does. */
  kubeadm(fault: (call: string) => void = () => undefined): Kubeadm {
    return {
      version: async () => 'v1.34.4',
      isRunning: async () => false,
      join: async () => {
        fault('kubeadm.join');
        if (existsSync(this.#at('/etc/kubernetes'))) throw new DropInError('ERR_DROPIN_CALL', 'FileAvailable');
        if (this.joinFails) throw new DropInError('ERR_DROPIN_CALL', 'could not find a JWS signature');
        this.#write(kubeadm.bootstrapKubeconfig, 'secret');
        fault('kubeadm.bootstrapped');
        this.#write(kubeadm.kubeconfig, this.#kubeconfig);
        this.#pods = [this.#pod('kube-system', 'kube-proxy-1', { 'k8s-app': 'kube-proxy' })];
        this.#kubeletAt = kubeadm.kubeconfig;
        fault('kubeadm.joined');
        rmSync(this.#at(kubeadm.bootstrapKubeconfig));
      },
      reset: async () => {
        fault('kubeadm.reset');
        rmSync(this.#at('/etc/kubernetes'), { recursive: true, force: true });
        this.#pods = [];
        this.#kubeletAt = '';
      },
    };
  }

  /** As a user unpacks it. */
  archiveOf(version: string, storeFormat = 1, unit = '[Unit]\n'): Archive {
    const folder = path.join(this.root, 'unpacked', version);
    for (const inside of ['systemd', 'bin']) mkdirSync(path.join(folder, inside), { recursive: true });
    writeFileSync(path.join(folder, 'manifest.json'), JSON.stringify({ version, storeFormat, unit }));
    writeFileSync(path.join(folder, 'systemd', ours.unit), unit);
    writeFileSync(path.join(folder, 'bin', 'holdfast'), `#!/bin/sh\n# ${version}\n`, { mode: 0o755 });
    return { folder, version, architecture: 'x64', storeFormat, damaged: [] };
  }

  /** As `parts`, for an upgrade to this archive. */
  upgradeParts(archive: Archive, fault?: (call: string) => void): UpgradeParts {
    return { ...this.parts(fault), withArchive: (use) => use(archive) };
  }

  remove(): void {
    rmSync(this.root, { recursive: true });
  }

  /** `fault` is called before each call, with its name; what it throws is what the call rejects with. */
  parts(fault: (call: string) => void = () => undefined): CommandParts {
    const host = faulty<Host>(this.#host(), 'host', fault);
    const files = faulty<Files>(new NodeFiles(this.root, false), 'files', fault);
    // The tree is copied from where the test put it, which is not below the node's own root.
    const within: Files = Object.create(files, {
      copyTree: {
        value: (from: string, to: string) =>
          files.copyTree(from.startsWith(this.root) ? from.slice(this.root.length) : from, to),
      },
    }) as Files;
    return {
      host,
      steadyHost: host,
      files: within,
      progress: { begin: () => undefined, end: () => undefined, waiting: () => undefined },
      archive: this.archive,
      wallTime: () => '2026-01-01T00:00:00Z',
    };
  }

  /** A power cut, and the boot after it: /run is empty, and what is enabled runs. */
  reboot(): void {
    rmSync(this.#at('/run'), { recursive: true });
    mkdirSync(this.#at('/run/systemd/system'), { recursive: true });
    this.#reload();
    this.#hubActive = false;
    if (this.#enabled() && this.#loaded.hub) this.#startHub();
    this.#startKubelet();
  }

  /**
   * Everything that a conversion could have changed, as text, the same for two nodes that are alike. The kube-proxy pod may be
   * another one, but not other.
   */
  state(): string {
    const tree = (folder: string): string[] =>
      readdirSync(this.#at(folder), { withFileTypes: true }).flatMap((entry) => {
        const file = path.posix.join(folder, entry.name);
        if (file === '/unpacked' || file === '/kubelet-client-current.pem') return [];
        const mode = (lstatSync(this.#at(file)).mode & 0o7777).toString(8);
        if (entry.isDirectory()) return [`${file}/ ${mode}`, ...tree(file)];
        if (entry.isSymbolicLink()) return [`${file} -> ${readlinkSync(this.#at(file))}`];
        return [`${file} ${mode} ${readFileSync(this.#at(file), 'utf8')}`];
      });
    const pods = this.#pods.map(
      (pod) =>
        `${pod.metadata.labels?.['k8s-app'] ?? pod.metadata.name} at ${pod.at} ${isKubeProxy(pod) ? '' : pod.metadata.uid}`,
    );
    const hub = `hub ${this.#hubActive} ${this.#loaded.hub} ${this.#hubActive ? this.#hubVersion : ''}`;
    const state = [...tree('/'), `kubelet ${this.#kubeletAt}`, hub, ...pods].join('\n');
    return state.replaceAll(this.root, '');
  }

  /** What has to hold on a converted node. */
  problems(version = '1.2.3'): string[] {
    const found: string[] = [];
    if (this.#kubeletAt !== ours.kubeconfig) found.push(`the kubelet uses ${this.#kubeletAt}`);
    if (!this.#hubActive || !this.#enabled()) found.push('the hub does not run, or not after a boot');
    for (const pod of this.#pods)
      if (isKubeProxy(pod) && pod.at !== ours.kubeconfig) found.push('kube-proxy asks the cloud');
    if (this.#pods[0]?.metadata.uid !== '1') found.push('the application was touched');
    if (readlinkSync(this.#at(ours.command)) !== `${currentLink}/bin/holdfast`)
      found.push('the command leads elsewhere');
    if (!existsSync(this.#at(`${versionFolder(version)}/bin/holdfast`))) found.push('no program');
    if (this.announced !== version) found.push(`the Node says ${this.announced}`);
    if (this.labels['holdfast.dev/converted'] !== 'true') found.push('the Node has no label');
    if (this.#hubVersion !== version) found.push(`the hub is ${this.#hubVersion}`);
    return found;
  }

  /** Of Holdfast, as folders. */
  versions(): string[] {
    return readdirSync(this.#at(prefix)).filter((name) => name !== path.basename(currentLink));
  }

  /** As a kubelet whose containers die when it is restarted. */
  restartApplication(): void {
    const [app, ...others] = this.#pods;
    if (app !== undefined)
      this.#pods = [
        {
          ...app,
          status: { ...app.status, containerStatuses: [{ name: 'c', containerID: 'other', restartCount: 1 }] },
        },
        ...others,
      ];
  }

  #host(): Host {
    const cloud = (request: ApiRequest): Promise<Answer> => this.#answer(request);
    return {
      units: {
        state: async (unit) => this.#unit(unit),
        reload: async () => this.#reload(),
        enable: async () => {
          if (!this.#loaded.hub) throw new DropInError('ERR_DROPIN_CALL', 'unit not found');
          if (!this.#enabled()) symlinkSync(ours.unitFile, this.#at(`${wants}/${ours.unit}`));
        },
        disable: async () => rmSync(this.#at(`${wants}/${ours.unit}`), { force: true }),
        start: async () => {
          if (!this.#loaded.hub) throw new DropInError('ERR_DROPIN_CALL', 'unit not found');
          this.#startHub();
        },
        stop: async () => {
          this.#hubActive = false;
        },
        restart: async (unit) => (unit === ours.unit ? this.#startHub() : this.#startKubelet()),
      },
      cloud: {
        request: async (request) => {
          if (!this.cloudReachable) throw new DropInError('ERR_DROPIN_CALL', 'no route');
          return cloud(request);
        },
      },
      hub: {
        request: async (request) => {
          if (!this.#hubActive) throw new DropInError('ERR_DROPIN_CALL', 'connection refused');
          return cloud(request);
        },
      },
      get: async (url) => {
        if (url.includes(':10248')) return this.#kubeletWell() ? { status: 200, body: 'ok' } : undefined;
        if (!this.#hubActive) return undefined;
        if (this.#hubVersion === this.brokenVersion) return { status: 500, body: 'not ready' };
        const watchers = this.#kubeletAt === ours.kubeconfig ? 7 : 0;
        const metrics = {
          [`build_info{version="${this.#hubVersion}"}`]: 1,
          view_watchers: watchers,
          cloud_reachable: Number(this.cloudReachable),
        };
        const lines = Object.entries(metrics).map(([name, value]) => `holdfast_yurthub_${name} ${value}\n`);
        return { status: 200, body: lines.join('') };
      },
      commandLine: async () => ['/usr/bin/kubelet', `--kubeconfig=${this.#kubeletAt}`],
      machine: async () => ({
        isRoot: true,
        architecture: 'x64',
        freeBytes: 1e12,
        hasIp: true,
        busyPorts: this.#hubActive ? [10261] : [],
      }),
      now: () => this.#nowMs,
      sleep: async (milliseconds) => {
        this.#nowMs += milliseconds;
      },
    };
  }

  async #answer({ method, path: url, body }: ApiRequest): Promise<Answer> {
    const json = (value: unknown): Answer => ({ status: 200, body: Buffer.from(JSON.stringify(value)) });
    if (method === 'PATCH') {
      if (url.includes('/leases/')) {
        // A hub that still runs adds it again.
        this.leaseHasReport = this.#hubActive || this.#kubeletAt === ours.kubeconfig;
        return json({});
      }
      if (url !== `/api/v1/nodes/${nodeName}`) return { status: 403, body: Buffer.from('{}') };
      const { annotations, labels = {} } = (body as { metadata: Record<string, Record<string, string | null>> })
        .metadata;
      if (annotations !== undefined) this.announced = annotations['holdfast.dev/converted'] ?? '';
      const changed = Object.entries({ ...this.labels, ...labels });
      this.labels = Object.fromEntries(changed.flatMap(([name, value]) => (value === null ? [] : [[name, value]])));
      return json({});
    }
    if (method === 'DELETE') {
      const name = url.split('/').at(-1) ?? '';
      if (!this.#pods.some(({ metadata }) => metadata.name === name)) return { status: 404, body: Buffer.from('{}') };
      this.#pods = this.#pods.filter(({ metadata }) => metadata.name !== name);
      this.#pods.push(this.#pod('kube-system', `kube-proxy-${this.#uid}`, { 'k8s-app': 'kube-proxy' }));
      return json({});
    }
    // A kubelet that is well renews it.
    if (url.includes('/leases/'))
      return json({ metadata: { resourceVersion: String(this.#kubeletWell() ? this.#nowMs : 0) } });
    if (url.startsWith('/api/v1/pods')) return json({ items: this.#pods });
    if (url === `/api/v1/nodes/${nodeName}`)
      return json({
        metadata: { labels: this.labels },
        status: { nodeInfo: { kubeletVersion: 'v1.34.4' }, conditions: [{ type: 'Ready', status: 'True' }] },
      });
    return json({});
  }

  #pod(namespace: string, name: string, labels: Record<string, string>): Pod & { at: string } {
    this.#uid += 1;
    return {
      at: this.#kubeletAt,
      metadata: { namespace, name, uid: String(this.#uid), labels },
      spec: { containers: [] },
      status: {
        phase: 'Running',
        conditions: [{ type: 'Ready', status: 'True' }],
        containerStatuses: [{ name: 'c', containerID: `c-${this.#uid}`, restartCount: 0 }],
      },
    };
  }

  #unit(unit: string): UnitState {
    if (unit === kubeadm.kubeletUnit)
      return { loaded: true, active: this.#kubeletAt !== '', enabled: true, mainPid: this.#kubeletAt === '' ? 0 : 42 };
    return {
      loaded: this.#loaded.hub,
      active: this.#hubActive,
      enabled: this.#enabled(),
      mainPid: this.#hubActive ? 43 : 0,
    };
  }

  #reload(): void {
    this.#loaded = { hub: existsSync(this.#at(ours.unitFile)), dropIn: existsSync(this.#at(ours.dropIn)) };
  }

  #startHub(): void {
    this.#hubActive = true;
    this.leaseHasReport = true;
    this.#hubVersion = readlinkSync(this.#at(currentLink));
    mkdirSync(this.#at(`${ours.data}/store`), { recursive: true });
    mkdirSync(this.#at('/run/holdfast'), { recursive: true });
    writeFileSync(this.#at(ours.hubCa), 'ca');
  }

  #startKubelet(): void {
    this.#kubeletAt = this.#loaded.dropIn ? ours.kubeconfig : kubeadm.kubeconfig;
  }

  #kubeletWell(): boolean {
    return this.#kubeletAt !== ours.kubeconfig || (this.#hubActive && existsSync(this.#at(ours.kubeconfig)));
  }

  #enabled(): boolean {
    return lstatSync(this.#at(`${wants}/${ours.unit}`), { throwIfNoEntry: false }) !== undefined;
  }

  #write(file: string, content: string): void {
    mkdirSync(path.dirname(this.#at(file)), { recursive: true });
    writeFileSync(this.#at(file), content);
  }

  #at(file: string): string {
    return `${this.root}${file}`;
  }
}

/** Calls `fault` before each method, also of the objects in it. */
function faulty<T extends object>(target: T, name: string, fault: (call: string) => void): T {
  return new Proxy(target, {
    get: (object, key, receiver) => {
      const value: unknown = Reflect.get(object, key, key in object ? object : receiver);
      const call = `${name}.${String(key)}`;
      if (typeof value === 'function') {
        const method = value as (...args: unknown[]) => unknown;
        if (key === 'now' || key === 'sleep') return method.bind(object);
        return async (...args: unknown[]) => {
          fault(call);
          return method.apply(object, args);
        };
      }
      return typeof value === 'object' && value !== null ? faulty(value, call, fault) : value;
    },
  });
}
