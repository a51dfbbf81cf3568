// What the parts of the tunnel drill stand on: a kube-apiserver that dials through the tunnel server's socket, two nodes with
// the same addresses at two sites behind NAT, and a pod on each.
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { cpuMs } from '../../bench/process-cost.ts';
import { binary } from '../../cluster/binaries.ts';
import { CertificateAuthority } from '../../cluster/certificates.ts';
import { Cluster } from '../../cluster/cluster.ts';
import { edgeEnvironment, edgeNodeFlags } from '../../cluster/edge-runtime.ts';
import { runFully, waitFor } from '../../cluster/commands.ts';
import type { RunOptions, RunResult } from '../../cluster/commands.ts';
import { registryName } from '../../cluster/images.ts';
import { kubeletPaths } from '../../cluster/node-files.ts';
import type { EdgeNode } from '../../cluster/node.ts';
import { logTail, ProcessTable } from '../../cluster/processes.ts';
import { projectRoot } from '../../cluster/project-root.ts';
import { tunnelServerEnvironment } from '../../cluster/tunnel-server-runtime.ts';
import { deadlineFor, type DrillContext } from '../drill.ts';
import { getPlain } from '../get-plain.ts';
import { waitForPods } from '../pods.ts';
import type { Report } from '../report.ts';

export const nodeNames = ['site-a', 'site-b'] as const;
/** Both sites: 192.168.77.10. */
const sharedLan = 77;
const agentPort = 10262;
const opsPort = 10265;
const proxyPort = 10264;
export const localPort = 10263;

const poolLabel = 'apps.openyurt.io/nodepool';
export const poolOf = (nodeName: string): string => `pool-of-${nodeName}`;
const serverName = (replica: number): string => (replica === 1 ? 'tunnel-server' : `tunnel-server-${replica}`);
const shift = (replica: number): number => 100 * (replica - 1);
const tunnelLabel = '--node-labels=holdfast.dev/tunnel=true';

interface NodeListing {
  node: string;
  since: string;
  connections: number;
  streams: number;
  suspect: boolean;
}

export class TunnelStage {
  readonly report: Report;
  readonly quick: boolean;
  readonly cluster: Cluster;
  readonly nodes: readonly EdgeNode[];
  readonly #folder: string;
  readonly #kubeconfig: string;
  readonly #processes: ProcessTable;

  private constructor(context: DrillContext, cluster: Cluster, nodes: readonly EdgeNode[], folder: string) {
    this.report = context.report;
    this.quick = context.quick;
    this.cluster = cluster;
    this.nodes = nodes;
    this.#folder = folder;
    this.#kubeconfig = cluster.plane.kubeconfig('admin', ['system:masters']);
    this.#processes = new ProcessTable(folder);
  }

  /** Cluster, nodes, pods and tunnel server; no agents. */
  static async build(context: DrillContext): Promise<TunnelStage> {
    const { report } = context;
    const folder = mkdtempSync(path.join(tmpdir(), 'holdfast-drill-'));
    context.defer(async () => rmSync(folder, { recursive: true, force: true }));
    const hosts = path.join(folder, 'hosts');
    copyFileSync('/etc/hosts', hosts);
    const egress = path.join(folder, 'egress.yaml');
    const socket = path.join(folder, 'egress.sock');
    writeFileSync(egress, egressSelector(socket));
    const cluster = await Cluster.up({
      say: (line) => report.say(line),
      controlPlane: {
        apiserverArgs: [
          `--egress-selector-config-file=${egress}`,
          '--kubelet-preferred-address-types=Hostname,InternalIP',
          ...(context.quick ? [] : frontProxy(folder)),
          // Webhooks and aggregated APIs by the addresses of their pods.
          '--enable-aggregator-routing=true',
        ],
        apiserverHosts: hosts,
      },
    });
    context.defer(() => cluster.down());
    context.keepLogs(path.join(cluster.dir, 'control-plane', 'log'));
    context.keepLogs(path.join(folder, 'log'));
    for (const name of nodeNames) context.keepLogs(path.join(cluster.dir, 'nodes', name, 'log'));
    const nodes: EdgeNode[] = [];
    for (const name of nodeNames) {
      nodes.push(
        await cluster.addNode(name, {
          lan: sharedLan,
          kubeletArgs: [`${tunnelLabel},${poolLabel}=${poolOf(name)}`],
          // A log that is rotated while its reader pauses would have a gap of the kubelet's making.
          kubeletConfiguration: { containerLogMaxSize: '500Mi' },
        }),
      );
    }
    const stage = new TunnelStage(context, cluster, nodes, folder);
    context.defer(async () => {
      for (const name of stage.#processes.names()) await stage.#processes.stop(name, 0);
    });
    stage.#install();
    await stage.#populate();
    await stage.startServer();
    return stage;
  }

  deadline(figureMs: number): number {
    return deadlineFor(this, figureMs);
  }

  /** Of kube-apiserver's EgressSelector. */
  socket(replica = 1): string {
    return path.join(this.#folder, replica === 1 ? 'egress.sock' : `egress-${replica}.sock`);
  }

  /** As administrator; never rejects for an exit code. */
  kubectl(
    args: readonly string[],
    options: RunOptions & { webSockets?: boolean; server?: string } = {},
  ): Promise<RunResult> {
    const server = options.server === undefined ? [] : ['--server', options.server];
    return runFully([...this.kubectlArgv([...server, ...args])], {
      mayFail: true,
      timeoutMs: 60_000,
      ...options,
      env: { ...this.kubectlEnvironment(options.webSockets ?? true), ...options.env },
    });
  }

  /** For a kubectl that runs on; its argument vector. */
  kubectlArgv(args: readonly string[]): string[] {
    return [binary('kubectl'), '--kubeconfig', this.#kubeconfig, ...args];
  }

  kubectlEnvironment(webSockets: boolean): NodeJS.ProcessEnv {
    return {
      PATH: process.env['PATH'],
      HOME: this.#folder,
      KUBECTL_REMOTE_COMMAND_WEBSOCKETS: String(webSockets),
      KUBECTL_PORT_FORWARD_WEBSOCKETS: String(webSockets),
    };
  }

  /**
   * Returns when the API server's socket is there. `more` settings; `wrapper` is a command that runs the server. Replicas other than
   * the first have addresses and a socket of their own.
   */
  async startServer(
    more: Readonly<Record<string, unknown>> = {},
    wrapper: readonly string[] = [],
    replica = 1,
  ): Promise<void> {
    const { plane } = this.cluster;
    const pair = plane.serverCertificate('tunnel-server', [plane.address]);
    const name = serverName(replica);
    const pem = path.join(this.#folder, `${name}.pem`);
    writeFileSync(pem, pair.certificate + pair.key, { mode: 0o600 });
    const settings = {
      listen: this.agentAddress(replica),
      opsListen: `${plane.address}:${opsPort + shift(replica)}`,
      proxyListen: `${plane.address}:${proxyPort + shift(replica)}`,
      certificateFile: pem,
      keyFile: pem,
      clientCAFile: plane.caFile,
      kubeconfig: plane.kubeconfig('holdfast:tunnel-server', []),
      egressSocket: this.socket(replica),
      ...(replica === 1 ? { hostsFile: path.join(this.#folder, 'hosts') } : {}),
      // The first site may reach the control plane, and pods of the second.
      outgoing: [`${poolOf(nodeNames[0])}=${plane.address}:*`, `${poolOf(nodeNames[0])}=@${poolOf(nodeNames[1])}:8080`],
      ...more,
    };
    const file = path.join(this.#folder, `${name}.yaml`);
    writeFileSync(file, JSON.stringify(settings, null, 1)); // JSON is YAML
    const own = [process.execPath, this.#bundle, 'tunnel-server', '--config', file];
    const argv = [...wrapper, 'setpriv', '--pdeathsig', 'KILL', ...own];
    const logFile = this.#serverLog(replica);
    await this.#processes.start(name, argv, {
      logFile,
      env: { PATH: process.env['PATH'], ...tunnelServerEnvironment },
    });
    await waitFor('the tunnel server is ready', async () => (await this.#ops('/readyz', replica)).status === 200, {
      deadlineMs: 180_000,
      everyMs: 20,
      context: () => logTail(logFile),
    });
  }

  /** HOST:PORT of the CONNECT proxy. */
  get proxy(): string {
    return `${this.cluster.plane.address}:${proxyPort}`;
  }

  /** A folder of the drill, which goes with it; what lies in its `log` is kept if the drill fails. */
  get folder(): string {
    return this.#folder;
  }

  get processes(): ProcessTable {
    return this.#processes;
  }

  async killServer(replica = 1): Promise<void> {
    await this.#processes.stop(serverName(replica), 0);
  }

  /** HOST:PORT where agents come in. */
  agentAddress(replica: number): string {
    return `${this.cluster.plane.address}:${agentPort + shift(replica)}`;
  }

  /** The flags of an API server beside the replica. */
  egressArgs(replica: number): string[] {
    const file = path.join(this.#folder, `egress-${replica}.yaml`);
    writeFileSync(file, egressSelector(this.socket(replica)));
    return [`--egress-selector-config-file=${file}`, '--kubelet-preferred-address-types=Hostname,InternalIP'];
  }

  /** TERM, and waits until it has ended. */
  async stopServer(): Promise<void> {
    await this.#processes.stop('tunnel-server', 30_000);
  }

  /** On both nodes; returns when both are connected. */
  async startAgents(): Promise<void> {
    for (const node of this.nodes) await this.startAgent(node);
    for (const { name } of this.nodes) await this.waitForAgent(name);
  }

  async startAgent(node: EdgeNode): Promise<void> {
    const flags = [
      `--servers=${this.cluster.plane.address}:${agentPort}`,
      // Certificate, CA, and where to ask for the networks of the pods.
      `--kubeconfig=${kubeletPaths.kubeconfig}`,
      `--local-listen=127.0.0.1:${localPort}`,
      '--local-targets=10.0.0.0/8:*',
    ];
    const argv = [process.execPath, ...edgeNodeFlags, this.#bundle, 'tunnel-agent', ...flags];
    await node.startProcess('tunnel-agent', argv, edgeEnvironment);
  }

  /** One more node, with its pod and its agent; alone with its addresses, `192.168.LAN.10`. */
  async addNode(name: string, lan: number): Promise<EdgeNode> {
    const node = await this.cluster.addNode(name, { lan, kubeletArgs: [tunnelLabel] });
    await this.#registered(node);
    await this.cluster.plane.request('POST', '/api/v1/namespaces/default/pods', pod(name));
    await this.startAgent(node);
    await waitForPods(this.cluster.plane.api, name, 1, 180_000);
    await this.waitForAgent(name);
    return node;
  }

  /** A manifest of config/tunnel. */
  async applyConfig(file: string, flags: readonly string[] = []): Promise<void> {
    const applied = await this.kubectl(['apply', ...flags, '-f', path.join(projectRoot(), 'config', 'tunnel', file)]);
    if (applied.code !== 0) throw new Error(`kubectl apply: ${applied.stderr}`);
  }

  async waitForAgent(name: string, deadlineMs = 20_000): Promise<void> {
    await waitFor(`the agent of ${name} is connected`, async () => (await this.listing(name)) !== undefined, {
      deadlineMs,
      everyMs: 50,
      context: () => `${logTail(this.cluster.node(name).logFile('tunnel-agent'))}\n${logTail(this.#serverLog(1))}`,
    });
  }

  /** How many nodes whose names begin so are connected. */
  async connected(prefix: string): Promise<number> {
    const nodes = JSON.parse((await this.#ops('/nodes', 1)).body) as NodeListing[];
    return nodes.filter(({ node }) => node.startsWith(prefix)).length;
  }

  async listing(name: string, replica = 1): Promise<NodeListing | undefined> {
    const nodes = JSON.parse((await this.#ops('/nodes', replica)).body) as NodeListing[];
    return nodes.find(({ node }) => node === name);
  }

  /** What the first server counts; `line` is the metric with its labels. */
  async metric(line: string): Promise<number> {
    const found = (await this.#ops('/metrics')).body.split('\n').find((each) => each.startsWith(`${line} `));
    if (found === undefined) throw new Error(`no metric ${line}`);
    return Number(found.slice(line.length + 1));
  }

  /** Resident memory of server and agents, one line each. */
  memory(): string[] {
    const resident = (node?: EdgeNode): string => `${this.usage(node).residentMiB} MiB`;
    return [
      `resident memory of the tunnel server: ${resident()}`,
      ...this.nodes.map((node) => `of the agent of ${node.name}: ${resident(node)}`),
    ];
  }

  get #bundle(): string {
    return path.join(this.#folder, 'dist', 'holdfast.mjs');
  }

  #serverLog(replica: number): string {
    return path.join(this.#folder, 'log', `${serverName(replica)}.log`);
  }

  /** From a copy, so that a build during the drill changes nothing. */
  #install(): void {
    mkdirSync(path.dirname(this.#bundle), { recursive: true });
    copyFileSync(path.join(projectRoot(), 'dist', 'holdfast.mjs'), this.#bundle);
    symlinkSync(path.join(projectRoot(), 'node_modules'), path.join(this.#folder, 'node_modules'));
  }

  async #populate(): Promise<void> {
    await this.applyConfig('rbac.yaml');
    for (const node of this.nodes) await this.#registered(node);
    const accounts = '/api/v1/namespaces/default/serviceaccounts/default';
    await waitFor(
      'the default service account is there',
      () => this.cluster.plane.request('GET', accounts).then(() => true),
      { deadlineMs: 180_000, everyMs: 50 },
    );
    for (const { name } of this.nodes)
      await this.cluster.plane.request('POST', '/api/v1/namespaces/default/pods', pod(name));
    for (const { name } of this.nodes) await waitForPods(this.cluster.plane.api, name, 1, 180_000);
  }

  /** Ready, and with the network of its pods, as the controllers of a cluster with `--allocate-node-cidrs` write it. */
  async #registered({ name, site }: EdgeNode): Promise<void> {
    await this.cluster.waitForNode(name, true, 180_000);
    const spec = { podCIDR: site.podCidr, podCIDRs: [site.podCidr] };
    await this.cluster.plane.request('PATCH', `/api/v1/nodes/${name}`, { spec });
  }

  /** Descriptors that are open, and resident MiB; of the server, or of the agent on a node. */
  usage(node?: EdgeNode): { descriptors: number; residentMiB: number } {
    const pid = this.#processId(node);
    const [, kibibytes = '0'] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return { descriptors: readdirSync(`/proc/${pid}/fd`).length, residentMiB: Math.round(Number(kibibytes) / 1024) };
  }

  /** Of user and system, since they began: of the server and of the agent on the node together. */
  endsCpuMs(node: EdgeNode): number {
    return cpuMs(this.#processId()) + cpuMs(this.#processId(node));
  }

  #processId(node?: EdgeNode): number {
    const pid = node === undefined ? this.#processes.running('tunnel-server')?.pid : node.processId('tunnel-agent');
    if (pid === undefined) throw new Error('it does not run');
    return pid;
  }

  #ops(urlPath: string, replica = 1): Promise<{ status: number; body: string }> {
    return getPlain({ host: this.cluster.plane.address, port: opsPort + shift(replica), path: urlPath });
  }
}

export const podOf = (nodeName: string): string => `echo-${nodeName}`;

/** How metrics-server knows that it is the API server that asks, and for whom; kubeadm has the same. */
function frontProxy(folder: string): string[] {
  const authority = new CertificateAuthority('front-proxy-ca');
  const client = authority.client('front-proxy-client', []);
  const [ca, pem] = [path.join(folder, 'front-proxy-ca.crt'), path.join(folder, 'front-proxy.pem')];
  writeFileSync(ca, authority.pair.certificate);
  writeFileSync(pem, client.certificate + client.key, { mode: 0o600 });
  return [
    `--requestheader-client-ca-file=${ca}`,
    '--requestheader-allowed-names=front-proxy-client',
    '--requestheader-username-headers=X-Remote-User',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    `--proxy-client-cert-file=${pem}`,
    `--proxy-client-key-file=${pem}`,
  ];
}

function egressSelector(socket: string): string {
  return JSON.stringify({
    apiVersion: 'apiserver.k8s.io/v1beta1',
    kind: 'EgressSelectorConfiguration',
    egressSelections: [
      { name: 'cluster', connection: { proxyProtocol: 'HTTPConnect', transport: { uds: { udsName: socket } } } },
    ],
  });
}

/** Says its node's name once, then a number every second, and serves its name on port 8080. */
function pod(nodeName: string): Record<string, unknown> {
  const script = [
    `mkdir -p /www; echo ${nodeName} > /www/index.html; echo drill_pod 1 > /www/metrics; httpd -p 8080 -h /www`,
    `echo this is ${nodeName}`,
    'i=0; while true; do i=$((i+1)); echo tick $i; sleep 1; done',
  ];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: podOf(nodeName) },
    spec: {
      nodeName,
      terminationGracePeriodSeconds: 0,
      containers: [
        { name: 'main', image: `${registryName}/busybox:1`, stdin: true, command: ['sh', '-c', script.join('; ')] },
      ],
    },
  };
}
