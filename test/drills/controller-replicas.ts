// Two replicas of `holdfast controllers` as they are installed: the bundle, the rights of config/controllers, killed and started
// again as a supervisor would.
import { mkdirSync, copyFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import path from 'node:path';
import { waitFor } from '../cluster/commands.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { claimPort } from '../cluster/ports.ts';
import { logTail, type ProcessRecord } from '../cluster/processes.ts';
import { projectRoot } from '../cluster/project-root.ts';
import type { DrillContext } from './drill.ts';

export const replicaNames = ['controllers-1', 'controllers-2'] as const;
export type ReplicaName = (typeof replicaNames)[number];

export class Replicas {
  readonly #plane: ControlPlane;
  readonly #folder: string;
  readonly #ports = new Map<ReplicaName, number>();

  private constructor(plane: ControlPlane) {
    this.#plane = plane;
    this.#folder = path.join(plane.dir, 'controllers');
  }

  /** As the service account of config/controllers, which has to be applied. */
  static async install(plane: ControlPlane): Promise<Replicas> {
    const replicas = new Replicas(plane);
    mkdirSync(replicas.#folder, { recursive: true });
    // A copy, so that a build during the drill changes nothing.
    for (const file of ['holdfast.mjs', 'holdfast-controllers.mjs'])
      copyFileSync(path.join(projectRoot(), 'dist', file), path.join(replicas.#folder, file));
    const token = await plane.token('kube-system', 'holdfast-controllers', { expirationSeconds: 7_200 });
    const ca = Buffer.from(plane.ca).toString('base64');
    const kubeconfig = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'drill', cluster: { server: plane.url, 'certificate-authority-data': ca } }],
      users: [{ name: 'controllers', user: { token } }],
      contexts: [{ name: 'drill', context: { cluster: 'drill', user: 'controllers' } }],
      'current-context': 'drill',
    };
    writeFileSync(replicas.#kubeconfig, JSON.stringify(kubeconfig), { mode: 0o600 });
    for (const name of replicaNames) replicas.#ports.set(name, await claimPort());
    return replicas;
  }

  /** Both of them, at work; killed when the drill is over. */
  static async startBoth(context: DrillContext, plane: ControlPlane): Promise<Replicas> {
    const replicas = await Replicas.install(plane);
    context.defer(async () => {
      for (const name of replicaNames) await replicas.kill(name);
    });
    for (const name of replicaNames) await replicas.start(name);
    for (const name of replicaNames) await replicas.ready(name);
    return replicas;
  }

  get #kubeconfig(): string {
    return path.join(this.#folder, 'kubeconfig');
  }

  logFile(name: ReplicaName): string {
    return path.join(this.#folder, `${name}.log`);
  }

  log(name: ReplicaName): string {
    return logTail(this.logFile(name));
  }

  running(name: ReplicaName): ProcessRecord | undefined {
    return this.#plane.processes.running(name);
  }

  async start(name: ReplicaName): Promise<void> {
    const program = [path.join(this.#folder, 'holdfast.mjs'), 'controllers', '--kubeconfig', this.#kubeconfig];
    // A short Lease: the next kill then finds a leader again.
    const flags = ['--ops-listen', `127.0.0.1:${this.#ports.get(name)}`, '--lease-seconds', '4'];
    await this.#plane.processes.start(name, [process.execPath, ...program, ...flags], { logFile: this.logFile(name) });
  }

  async ready(name: ReplicaName): Promise<void> {
    await waitFor(`${name} is ready`, async () => (await this.#ops(name, '/readyz')).status === 200, {
      deadlineMs: 180_000,
      context: () => this.log(name),
    });
  }

  /** At once, in the middle of whatever it does. */
  async kill(name: ReplicaName): Promise<void> {
    await this.#plane.processes.stop(name, 0);
  }

  /** As a supervisor asks it to. */
  async stop(name: ReplicaName): Promise<void> {
    await this.#plane.processes.stop(name, 15_000);
  }

  /** The replica that leads by its own word. */
  async leader(): Promise<ReplicaName | undefined> {
    for (const name of replicaNames)
      if ((await this.metric(name, /^holdfast_controllers_leader (\d)$/m)) === 1) return name;
    return undefined;
  }

  /** The sum over what `pattern` finds; the first group is the number. Undefined when the replica does not answer. */
  async metric(name: ReplicaName, pattern: RegExp): Promise<number | undefined> {
    const answer = await this.#ops(name, '/metrics').catch(() => undefined);
    if (answer === undefined) return undefined;
    const global = new RegExp(pattern.source, `${pattern.flags.replace('g', '')}g`);
    return [...answer.text.matchAll(global)].reduce((sum, match) => sum + Number(match[1]), 0);
  }

  /** Writes of this replica that changed something; the Lease is an update, and not among them. */
  async writes(name: ReplicaName): Promise<number> {
    return (await this.metric(name, /api_requests_total\{verb="(?:create|patch|delete)",outcome="ok"\} (\d+)/)) ?? 0;
  }

  #ops(name: ReplicaName, file: string): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const request = get(
        { host: '127.0.0.1', port: this.#ports.get(name), path: file, timeout: 5_000, agent: false },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
          );
        },
      );
      request.on('timeout', () => request.destroy(new Error('no answer')));
      request.on('error', reject);
    });
  }
}
