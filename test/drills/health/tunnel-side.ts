// What leads kube-apiserver to the nodes of the health drill: a tunnel server, to which the agent in each hub's process dials.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { applyConfig } from '../../cluster/apply-config.ts';
import { binary } from '../../cluster/binaries.ts';
import { runFully, waitFor, type RunResult } from '../../cluster/commands.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { kubeletPaths } from '../../cluster/node-files.ts';
import { logTail } from '../../cluster/processes.ts';
import { projectRoot } from '../../cluster/project-root.ts';
import { getPlain } from '../get-plain.ts';

const processName = 'tunnel-server';
const agentPort = 10262;
const opsPort = 10265;

export class TunnelSide {
  readonly #folder: string;
  #plane: ControlPlane | undefined;
  #kubeconfig = '';

  /** `folder`: of the drill, and gone with it. */
  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  /** The flags of kube-apiserver, which asks by node name: the nodes of two sites may have the same addresses. */
  apiserverArgs(): string[] {
    const file = path.join(this.#folder, 'egress.yaml');
    const connection = { proxyProtocol: 'HTTPConnect', transport: { uds: { udsName: this.#socket } } };
    const configuration = {
      apiVersion: 'apiserver.k8s.io/v1beta1',
      kind: 'EgressSelectorConfiguration',
      egressSelections: [{ name: 'cluster', connection }],
    };
    writeFileSync(file, JSON.stringify(configuration)); // JSON is YAML
    return [`--egress-selector-config-file=${file}`, '--kubelet-preferred-address-types=Hostname,InternalIP'];
  }

  /** Returns when it takes agents. */
  async start(plane: ControlPlane): Promise<void> {
    this.#plane = plane;
    this.#kubeconfig = plane.kubeconfig('admin', ['system:masters']);
    await applyConfig(plane, 'tunnel/rbac.yaml');
    const pair = plane.serverCertificate('tunnel-server', [plane.address]);
    const pem = path.join(this.#folder, 'tunnel-server.pem');
    writeFileSync(pem, pair.certificate + pair.key, { mode: 0o600 });
    const file = path.join(this.#folder, 'tunnel-server.yaml');
    const settings = {
      listen: `${plane.address}:${agentPort}`,
      opsListen: `${plane.address}:${opsPort}`,
      certificateFile: pem,
      keyFile: pem,
      clientCAFile: plane.caFile,
      kubeconfig: plane.kubeconfig('holdfast:tunnel-server', []),
      egressSocket: this.#socket,
    };
    writeFileSync(file, JSON.stringify(settings, null, 1));
    const program = [path.join(projectRoot(), 'dist', 'holdfast.mjs'), 'tunnel-server', '--config', file];
    const logFile = plane.logFile(processName);
    await plane.processes.start(processName, ['setpriv', '--pdeathsig', 'KILL', process.execPath, ...program], {
      logFile,
    });
    const ready = async (): Promise<boolean> =>
      (await getPlain({ host: plane.address, port: opsPort, path: '/readyz' })).status === 200;
    await waitFor('the tunnel server is ready', ready, { deadlineMs: 20_000, context: () => logTail(logFile) });
  }

  async stop(): Promise<void> {
    await this.#plane?.processes.stop(processName, 0);
  }

  /** Of the agent on a node: the node's own certificate, and the cluster's CA, since the kubelet's kubeconfig names the hub's. */
  agentSettings(address: string): object {
    return {
      servers: [`${address}:${agentPort}`],
      certificateFile: kubeletPaths.clientCertificate,
      keyFile: kubeletPaths.clientCertificate,
      serverCAFile: kubeletPaths.clusterCa,
    };
  }

  /** `kubectl exec` as administrator; never rejects for an exit code. */
  async exec(pod: string, argv: readonly string[], timeoutMs: number): Promise<RunResult> {
    const kubectl = [binary('kubectl'), '--kubeconfig', this.#kubeconfig, 'exec', pod, '--', ...argv];
    const env = { PATH: process.env['PATH'], HOME: this.#folder };
    return await runFully(kubectl, { mayFail: true, timeoutMs, env });
  }

  get #socket(): string {
    return path.join(this.#folder, 'egress.sock');
  }
}
