// What suites of the eviction guard stand on: a real API server, node controller and scheduler; pools of pretended nodes, and time
// that runs eight times as fast for them and for the guard; the node controller's own times are set to match by flags.
import { nodePoolLabel } from '../../../peers/membership.ts';
import { parseReport, reportAnnotation } from '../../../peers/report.ts';
import { waitFor } from '../../cluster/commands.ts';
import { ControlPlane } from '../../cluster/control-plane.ts';
import { GuardReplica, installRights } from './guard-replica.ts';
import { fasterClock, leasePath, PretendedPool } from './pretended-pool.ts';

const factor = 8;
const clock = fasterClock(factor);
/** An emergency brake for what takes so many of the guard's seconds, on a busy machine. */
export const within = (seconds: number): { deadlineMs: number; everyMs: number } => ({
  deadlineMs: 120_000 + (seconds * 1000) / factor,
  everyMs: 100,
});
/** So many seconds of the guard's time. */
export const pass = (seconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, (seconds * 1000) / factor));
export const nowSeconds = (): number => clock.monotonicMs() / 1000;
/** How long a pod that is left to stock Kubernetes stays on a node that is unreachable. */
export const stockSeconds = 4;

export interface Pod {
  metadata: {
    name: string;
    uid: string;
    deletionTimestamp?: string;
    annotations?: Record<string, string>;
    ownerReferences?: { kind: string }[];
  };
  spec: { nodeName?: string; tolerations?: { key?: string; tolerationSeconds?: number }[] };
}

interface Node {
  metadata: { annotations?: Record<string, string> };
  spec: { taints?: { key: string; value?: string; effect: string }[] };
  status: { conditions: Condition[] };
}

export interface Condition {
  type: string;
  status: string;
  reason: string;
  message: string;
}

export class GuardStage {
  readonly plane: ControlPlane;
  readonly pools: PretendedPool[] = [];

  private constructor(plane: ControlPlane) {
    this.plane = plane;
  }

  static async start(): Promise<GuardStage> {
    const plane = await ControlPlane.start({
      controllers: true,
      apiserverArgs: [
        `--default-unreachable-toleration-seconds=${stockSeconds}`,
        `--default-not-ready-toleration-seconds=${stockSeconds}`,
      ],
      // 50 s and one node in 10 s, scaled.
      controllerManagerArgs: [
        '--node-monitor-grace-period=6s',
        '--node-monitor-period=500ms',
        '--node-eviction-rate=1',
      ],
    });
    await installRights(plane);
    return new GuardStage(plane);
  }

  async stop(): Promise<void> {
    await Promise.all(this.pools.map((pool) => pool.stop()));
    await this.plane.stop();
  }

  guard(identity: string): GuardReplica {
    return new GuardReplica(this.plane, clock, identity);
  }

  /** With a namespace of its name; its nodes take pods. */
  async startPool(name: string, size: number, annotations: Record<string, string> = {}): Promise<PretendedPool> {
    const pool = await PretendedPool.start(this.plane, clock, name, size, annotations);
    this.pools.push(pool);
    await this.plane.request('POST', '/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name },
    });
    for (const each of pool.nodes)
      await waitFor(`${each.name} takes pods`, async () => (await this.taintsOf(each.name)).length === 0, within(60));
    return pool;
  }

  /** A Deployment of so many, all bound to nodes; those of guarded pools with their time to stay set ahead. */
  async deploy(pool: string, replicas: number, kept = true): Promise<Pod[]> {
    await this.create(pool, 'Deployment', 'web', { replicas });
    return await waitFor(
      `${pool}: pods have landed`,
      async () => {
        const pods = (await this.podsOf(pool)).filter(
          (pod) => isKind(pod, 'ReplicaSet') && pod.spec.nodeName !== undefined,
        );
        return pods.length === replicas && pods.every((pod) => isKept(pod) === kept) && pods;
      },
      within(120),
    );
  }

  /** On the nodes of the pool, in its namespace. */
  async create(
    pool: string,
    kind: 'Deployment' | 'StatefulSet' | 'DaemonSet',
    name: string,
    spec: object = {},
  ): Promise<void> {
    const labels = { app: name };
    await this.plane.request('POST', `/apis/apps/v1/namespaces/${pool}/${kind.toLowerCase()}s`, {
      apiVersion: 'apps/v1',
      kind,
      metadata: { name },
      spec: {
        ...(kind === 'StatefulSet' ? { serviceName: name } : {}),
        ...spec,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: { nodeSelector: { [nodePoolLabel]: pool }, topologySpreadConstraints: [spread(labels)], containers },
        },
      },
    });
  }

  async podsOf(pool: string, nodeName?: string): Promise<Pod[]> {
    const { items } = await this.plane.request<{ items: Pod[] }>('GET', `/api/v1/namespaces/${pool}/pods`);
    return items.filter(({ spec }) => nodeName === undefined || spec.nodeName === nodeName);
  }

  async annotate(name: string, annotations: Record<string, string>): Promise<void> {
    await this.plane.request('PATCH', `/api/v1/nodes/${name}`, { metadata: { annotations } });
  }

  async taintsOf(name: string): Promise<string[]> {
    return ((await this.#node(name)).spec.taints ?? []).map(({ key }) => key);
  }

  async conditionOf(name: string): Promise<Condition | undefined> {
    return (await this.#node(name)).status.conditions.find(({ type }) => type === 'PeerHealth');
  }

  async says(name: string, reason: string, seconds: number): Promise<void> {
    const isSaid = async (): Promise<boolean> => (await this.conditionOf(name))?.reason === reason;
    await waitFor(`${name} is ${reason}`, isSaid, within(seconds));
  }

  /** Reason and message of each. */
  async eventsOn(name: string): Promise<string[]> {
    const { items } = await this.plane.request<{ items: { reason: string; message: string }[] }>(
      'GET',
      `/api/v1/namespaces/default/events?fieldSelector=involvedObject.name=${name}`,
    );
    return items.map(({ reason, message }) => `${reason} ${message}`);
  }

  /** The number of the report on the node's Lease; 0 where there is none that can be read. */
  async reportedSeq(name: string): Promise<number> {
    const lease = await this.plane.request<{ metadata: { annotations?: Record<string, string> } }>(
      'GET',
      leasePath(name),
    );
    const parsed = parseReport(lease.metadata.annotations?.[reportAnnotation] ?? '', name);
    return parsed.ok ? parsed.report.seq : 0;
  }

  async #node(name: string): Promise<Node> {
    return await this.plane.request<Node>('GET', `/api/v1/nodes/${name}`);
  }
}

export const containers = [{ name: 'main', image: 'none.invalid/none' }];

export const isKind = (pod: Pod, kind: string): boolean => pod.metadata.ownerReferences?.[0]?.kind === kind;

/** Names of those that are being deleted. */
export const leaving = (pods: readonly Pod[]): string[] =>
  pods.filter(({ metadata }) => metadata.deletionTimestamp !== undefined).map(({ metadata }) => metadata.name);

export const unreachableSeconds = (pod: Pod): number | undefined =>
  pod.spec.tolerations?.find(({ key }) => key === 'node.kubernetes.io/unreachable')?.tolerationSeconds;

/** Its time to stay is set ahead, and what it had is not lost. */
export const isKept = (pod: Pod): boolean =>
  pod.metadata.annotations?.['holdfast.dev/original-unreachable-toleration'] === `${stockSeconds}`;

/** Over all nodes that take pods, so that the one that dies has some. */
function spread(labels: Readonly<Record<string, string>>): object {
  return {
    maxSkew: 1,
    topologyKey: 'kubernetes.io/hostname',
    whenUnsatisfiable: 'DoNotSchedule',
    nodeTaintsPolicy: 'Honor',
    labelSelector: { matchLabels: labels },
  };
}
