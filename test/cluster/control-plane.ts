// A real control plane: etcd and kube-apiserver, and with `controllers` also controller-manager and scheduler. The
// light form on 127.0.0.1 is the judge of API semantics in integration tests; the full form carries the drills.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { generateKeyPairSync } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ApiClient } from './api-client.ts';
import type { ApiAnswer, ApiRequestOptions, Json } from './api-client.ts';
import { binary } from './binaries.ts';
import { CertificateAuthority } from './certificates.ts';
import type { PemPair, Validity } from './certificates.ts';
import { waitFor } from './commands.ts';
import { HarnessError } from './errors.ts';
import { kubeconfigText } from './kubeconfig.ts';
import { claimPort, claimPorts } from './ports.ts';
import { logTail, ProcessTable } from './processes.ts';

export interface ControlPlaneOptions {
  /** Controller-manager and scheduler as well. Without them nothing is scheduled and no service account is made. */
  controllers: boolean;
  /** State folder; a temporary one by default, which stop() removes. */
  dir?: string;
  /** Where the API server listens: 127.0.0.1, or the address that nodes reach it by. */
  address?: string;
  /** API server port; a free one by default. */
  port?: number;
  /** It goes on when this process ends, and another one may attach; by default it ends with it, however it ends. */
  outlivesProcess?: boolean;
  /** A flag that stands here replaces the harness's own. */
  apiserverArgs?: readonly string[];
  /** A file that the API server sees as its /etc/hosts. */
  apiserverHosts?: string;
  controllerManagerArgs?: readonly string[];
}

/** What another process needs to find this control plane again: control-plane.json in the state folder. */
interface Settings {
  address: string;
  port: number;
  etcdPort: number;
  etcdPeerPort: number;
  controllerManagerPort: number;
  schedulerPort: number;
  controllers: boolean;
  ownsFolder: boolean;
  outlivesProcess: boolean;
  apiserverArgs: readonly string[];
  apiserverHosts?: string;
  controllerManagerArgs: readonly string[];
}

const secondApiserver = 'kube-apiserver-2';

export class ControlPlane {
  readonly dir: string;
  readonly processes: ProcessTable;
  /** The cluster's administrator. */
  readonly api: ApiClient;
  readonly #settings: Settings;
  readonly #authority: CertificateAuthority;
  #secondPort: number | undefined;

  private constructor(dir: string, settings: Settings) {
    this.dir = dir;
    this.#settings = settings;
    this.processes = new ProcessTable(dir);
    this.#authority = loadAuthority(dir);
    this.api = new ApiClient({ url: this.url, ca: this.ca }, this.clientCertificate('admin', ['system:masters']));
  }

  /** Starts a control plane and returns when /readyz says ok; a few seconds. */
  static async start(options: ControlPlaneOptions): Promise<ControlPlane> {
    const dir = options.dir ?? mkdtempSync(path.join(tmpdir(), 'holdfast-cp-'));
    mkdirSync(path.join(dir, 'pki'), { recursive: true });
    const [port, etcdPort, etcdPeerPort, controllerManagerPort, schedulerPort] = await claimPorts(5);
    const settings: Settings = {
      address: options.address ?? '127.0.0.1',
      port: options.port ?? port ?? 0,
      etcdPort: etcdPort ?? 0,
      etcdPeerPort: etcdPeerPort ?? 0,
      controllerManagerPort: controllerManagerPort ?? 0,
      schedulerPort: schedulerPort ?? 0,
      controllers: options.controllers,
      ownsFolder: options.dir === undefined,
      outlivesProcess: options.outlivesProcess ?? false,
      apiserverArgs: options.apiserverArgs ?? [],
      ...(options.apiserverHosts === undefined ? {} : { apiserverHosts: options.apiserverHosts }),
      controllerManagerArgs: options.controllerManagerArgs ?? [],
    };
    writeFileSync(path.join(dir, 'control-plane.json'), JSON.stringify(settings, null, 1));
    const plane = new ControlPlane(dir, settings);
    try {
      await plane.#boot();
    } catch (error) {
      await plane.stop();
      throw error;
    }
    return plane;
  }

  /** A control plane that an earlier process started. */
  static attach(dir: string): ControlPlane {
    const file = path.join(dir, 'control-plane.json');
    if (!existsSync(file)) throw new HarnessError('NO_CLUSTER', `no control plane in ${dir}`);
    return new ControlPlane(dir, JSON.parse(readFileSync(file, 'utf8')) as Settings);
  }

  get url(): string {
    return `https://${this.#settings.address}:${this.#settings.port}`;
  }

  get address(): string {
    return this.#settings.address;
  }

  get port(): number {
    return this.#settings.port;
  }

  /** PEM of the cluster's CA: signs the API server's and all clients' certificates. */
  get ca(): string {
    return this.#authority.pair.certificate;
  }

  get caFile(): string {
    return this.#pki('ca.crt');
  }

  /** PEM of the key pair that signs service account tokens (RSA, as kubeadm makes it). */
  get serviceAccountKeyFile(): string {
    return this.#pki('sa.key');
  }

  clientCertificate(user: string, groups: readonly string[], validity: Validity = {}): PemPair {
    return this.#authority.client(user, groups, validity);
  }

  /** The certificate of a kubelet: `system:node:NAME` in `system:nodes`. */
  nodeCertificate(name: string, validity: Validity = {}): PemPair {
    return this.clientCertificate(`system:node:${name}`, ['system:nodes'], validity);
  }

  serverCertificate(commonName: string, subjectAltNames: readonly string[]): PemPair {
    return this.#authority.server(commonName, subjectAltNames);
  }

  /** Writes a kubeconfig with embedded certificates and returns its file. */
  kubeconfig(user: string, groups: readonly string[], server = this.url): string {
    const file = path.join(this.dir, `${user.replaceAll(':', '-')}.kubeconfig`);
    const pair = this.clientCertificate(user, groups);
    writeFileSync(file, kubeconfigText({ server, ca: this.ca, user, ...pair }), { mode: 0o600 });
    return file;
  }

  /** One request as cluster administrator. Rejects with ApiStatusError from 400 on. */
  request<T = Json>(method: string, urlPath: string, body?: unknown, options: ApiRequestOptions = {}): Promise<T> {
    return this.api.request<T>(method, urlPath, body, options);
  }

  /** As request, whatever the status; the body as bytes. */
  rawRequest(
    method: string,
    urlPath: string,
    body?: unknown,
    options: ApiRequestOptions = {},
  ): Promise<ApiAnswer<Buffer>> {
    return this.api.rawRequest(method, urlPath, body, options);
  }

  /** A service account token by TokenRequest; makes the service account if it is missing. */
  async token(namespace: string, serviceAccount: string, spec: { [key: string]: Json } = {}): Promise<string> {
    const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`;
    const existing = await this.rawRequest('GET', `${accounts}/${serviceAccount}`);
    if (existing.status === 404) {
      await this.request('POST', accounts, {
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name: serviceAccount },
      });
    }
    const reply = await this.request<{ status: { token: string } }>('POST', `${accounts}/${serviceAccount}/token`, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec,
    });
    return reply.status.token;
  }

  async stopApiserver(graceMs = 0): Promise<void> {
    await this.processes.stop('kube-apiserver', graceMs);
  }

  async startApiserver(): Promise<void> {
    await this.#startApiserver();
    await this.#ready();
  }

  /** Kills the API server and starts it again on the same port; its watch cache begins anew. */
  async restartApiserver(): Promise<void> {
    await this.stopApiserver();
    await this.startApiserver();
  }

  /**
   * One more API server on the same etcd, as in a cluster of several; ends with `stop`, or by `stopSecondApiserver`.
   * `apiserverArgs` instead of those that the first one got.
   */
  async startSecondApiserver(
    apiserverArgs?: readonly string[],
  ): Promise<{ readonly port: number; readonly url: string }> {
    this.#secondPort ??= await claimPort();
    await this.#startApiserver(secondApiserver, this.#secondPort, apiserverArgs);
    await this.#ready(secondApiserver, this.#secondPort);
    return { port: this.#secondPort, url: `https://${this.#settings.address}:${this.#secondPort}` };
  }

  async stopSecondApiserver(graceMs = 0): Promise<void> {
    await this.processes.stop(secondApiserver, graceMs);
  }

  /** Closes this object's own connections; the control plane goes on. */
  close(): void {
    this.api.close();
  }

  /** Ends what was started, newest first, and removes the state folder if it was a temporary one. */
  async stop(): Promise<void> {
    this.close();
    // No grace: everything they hold is thrown away.
    for (const name of ['kube-scheduler', 'kube-controller-manager', secondApiserver, 'kube-apiserver', 'etcd']) {
      await this.processes.stop(name, 0);
    }
    if (this.#settings.ownsFolder) rmSync(this.dir, { recursive: true, force: true });
  }

  async #boot(): Promise<void> {
    await this.#startEtcd();
    await this.#startApiserver();
    await this.#ready();
    if (this.#settings.controllers) await Promise.all([this.#startControllerManager(), this.#startScheduler()]);
  }

  async #startEtcd(): Promise<void> {
    const { etcdPort, etcdPeerPort } = this.#settings;
    const client = `http://127.0.0.1:${etcdPort}`;
    const peer = `http://127.0.0.1:${etcdPeerPort}`;
    await this.#start('etcd', [
      binary('etcd'),
      `--data-dir=${path.join(this.dir, 'etcd')}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      '--unsafe-no-fsync',
    ]);
  }

  async #startApiserver(
    name = 'kube-apiserver',
    port = this.#settings.port,
    apiserverArgs = this.#settings.apiserverArgs,
  ): Promise<void> {
    const { address, etcdPort, controllers, apiserverHosts } = this.#settings;
    const flag = (argument: string): string => argument.split('=')[0] ?? '';
    // A list that is given twice would be both lists.
    const replaced = new Set(apiserverArgs.map(flag));
    const ownArgs = [
      `--etcd-servers=http://127.0.0.1:${etcdPort}`,
      `--bind-address=${address}`,
      `--advertise-address=${address}`,
      `--secure-port=${port}`,
      `--client-ca-file=${this.caFile}`,
      `--tls-cert-file=${this.#pki('apiserver.crt')}`,
      `--tls-private-key-file=${this.#pki('apiserver.key')}`,
      `--kubelet-client-certificate=${this.#pki('apiserver-kubelet-client.crt')}`,
      `--kubelet-client-key=${this.#pki('apiserver-kubelet-client.key')}`,
      '--kubelet-preferred-address-types=InternalIP,Hostname',
      `--service-account-key-file=${this.#pki('sa.key')}`,
      `--service-account-signing-key-file=${this.#pki('sa.key')}`,
      '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
      '--authorization-mode=Node,RBAC',
      '--enable-admission-plugins=NodeRestriction',
      // Without the controllers nobody makes the service account that every pod would have to have.
      ...(controllers ? [] : ['--disable-admission-plugins=ServiceAccount']),
      '--service-cluster-ip-range=10.96.0.0/16',
      '--allow-privileged=true',
    ].filter((argument) => !replaced.has(flag(argument)));
    const argv = [binary('kube-apiserver'), ...ownArgs, ...apiserverArgs];
    await this.#start(name, apiserverHosts === undefined ? argv : [...withHosts(apiserverHosts), ...argv]);
  }

  async #startControllerManager(): Promise<void> {
    const kubeconfig = this.kubeconfig('system:kube-controller-manager', []);
    await this.#start('kube-controller-manager', [
      binary('kube-controller-manager'),
      `--kubeconfig=${kubeconfig}`,
      `--authentication-kubeconfig=${kubeconfig}`,
      `--authorization-kubeconfig=${kubeconfig}`,
      `--service-account-private-key-file=${this.#pki('sa.key')}`,
      `--root-ca-file=${this.caFile}`,
      `--cluster-signing-cert-file=${this.caFile}`,
      `--cluster-signing-key-file=${this.#pki('ca.key')}`,
      '--use-service-account-credentials=true',
      '--leader-elect=false',
      '--bind-address=127.0.0.1',
      // The default lies below /usr and is made when it is missing.
      `--flex-volume-plugin-dir=${path.join(this.dir, 'flex-volume')}`,
      `--secure-port=${this.#settings.controllerManagerPort}`,
      ...this.#settings.controllerManagerArgs,
    ]);
  }

  async #startScheduler(): Promise<void> {
    const kubeconfig = this.kubeconfig('system:kube-scheduler', []);
    await this.#start('kube-scheduler', [
      binary('kube-scheduler'),
      `--kubeconfig=${kubeconfig}`,
      `--authentication-kubeconfig=${kubeconfig}`,
      `--authorization-kubeconfig=${kubeconfig}`,
      '--leader-elect=false',
      '--bind-address=127.0.0.1',
      `--secure-port=${this.#settings.schedulerPort}`,
    ]);
  }

  async #start(name: string, argv: readonly string[]): Promise<void> {
    // A test run that is killed must not leave an API server behind.
    const tie = this.#settings.outlivesProcess ? [] : ['setpriv', '--pdeathsig', 'KILL'];
    await this.processes.start(name, [...tie, ...argv], { logFile: this.logFile(name), cwd: this.dir });
  }

  async #ready(name = 'kube-apiserver', port = this.#settings.port): Promise<void> {
    const server = { url: `https://${this.#settings.address}:${port}`, ca: this.ca };
    const api = new ApiClient(server, this.clientCertificate('admin', ['system:masters']));
    try {
      await waitFor(
        `${name} is ready`,
        async () => {
          this.processes.assertRunning('etcd');
          this.processes.assertRunning(name);
          return (await api.rawRequest('GET', '/readyz', undefined, { timeoutMs: 10_000 })).status === 200;
        },
        { deadlineMs: 180_000, everyMs: 50, context: () => logTail(this.logFile(name)) },
      );
    } finally {
      api.close();
    }
  }

  logFile(name: string): string {
    return path.join(this.dir, 'log', `${name}.log`);
  }

  #pki(file: string): string {
    return path.join(this.dir, 'pki', file);
  }
}

/** Runs a command with another /etc/hosts, in a mount namespace of its own; the process stays the same. */
function withHosts(file: string): string[] {
  const script = 'mount --bind "$0" /etc/hosts && exec "$@"';
  return ['unshare', '--mount', 'sh', '-c', script, file];
}

/** The PKI of a state folder; made on the first call. `address` is read from its settings. */
function loadAuthority(dir: string): CertificateAuthority {
  const pki = path.join(dir, 'pki');
  const file = (name: string): string => path.join(pki, name);
  if (existsSync(file('sa.key'))) {
    const pair = { certificate: readFileSync(file('ca.crt'), 'utf8'), key: readFileSync(file('ca.key'), 'utf8') };
    return new CertificateAuthority('holdfast-test-ca', pair);
  }
  const { address } = JSON.parse(readFileSync(path.join(dir, 'control-plane.json'), 'utf8')) as Settings;
  const authority = new CertificateAuthority('holdfast-test-ca');
  const write = (name: string, pair: PemPair): void => {
    writeFileSync(file(`${name}.crt`), pair.certificate);
    writeFileSync(file(`${name}.key`), pair.key, { mode: 0o600 });
  };
  write('ca', authority.pair);
  const services = [
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    'kubernetes.default.svc.cluster.local',
  ];
  const subjectAltNames = [...new Set(['127.0.0.1', address, '10.96.0.1', 'localhost', ...services])];
  write('apiserver', authority.server('kube-apiserver', subjectAltNames));
  write('apiserver-kubelet-client', authority.client('kube-apiserver-kubelet-client', ['system:masters']));
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  // Last, because its presence says that the folder is complete.
  writeFileSync(file('sa.key'), privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 });
  return authority;
}
