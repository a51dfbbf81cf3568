// One YurtAppSet of Deployments in a drill: what people do with it, and what is to be seen of it.
import { waitFor } from '../../cluster/commands.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { expectThat } from '../report.ts';

interface AppSet {
  readonly metadata: { readonly generation: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly currentRevision?: string;
    readonly conditions?: readonly { readonly type: string; readonly reason: string }[];
    readonly pools?: readonly { readonly name: string; readonly state: string; readonly message?: string }[];
  };
}
interface Deployment {
  readonly metadata: {
    readonly uid: string;
    readonly generation: number;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly template: { readonly spec: { readonly containers: readonly { readonly image: string }[] } };
  };
}

export const namespace = 'app-sets';
const appSet = `/apis/apps.openyurt.io/v1beta1/namespaces/${namespace}/yurtappsets/till`;
const deployments = `/apis/apps/v1/namespaces/${namespace}/deployments`;
const everyMs = 250;

export async function makeNamespace(plane: ControlPlane): Promise<void> {
  const metadata = { name: namespace };
  await plane.request('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata });
}

export class AppSetInDrill {
  readonly #plane: ControlPlane;
  readonly #pools: readonly string[];

  constructor(plane: ControlPlane, poolNames: readonly string[]) {
    this.#plane = plane;
    this.#pools = poolNames;
  }

  async make(image: string, nodepoolSelector: object, rollout: object): Promise<void> {
    const head = { apiVersion: 'apps.openyurt.io/v1beta1', kind: 'YurtAppSet', metadata: { name: 'till' } };
    const spec = { nodepoolSelector, workload: workload(image), rollout };
    await this.#plane.request('POST', appSet.slice(0, appSet.lastIndexOf('/')), { ...head, spec });
  }

  async change(image: string, rollout: object): Promise<void> {
    await this.#plane.request('PATCH', appSet, { spec: { workload: workload(image), rollout } });
  }

  /** To the revision that has `image`, while the spec keeps the failing one. */
  async rollBack(image: string, rollout: object): Promise<void> {
    const { items } = await this.#plane.request<{ items: { metadata: { name: string }; data: unknown }[] }>(
      'GET',
      `/apis/apps/v1/namespaces/${namespace}/controllerrevisions`,
    );
    const revision = items.find(({ data }) => JSON.stringify(data).includes(`"${image}"`))?.metadata.name;
    await this.#plane.request('PATCH', appSet, { spec: { rollout: { ...rollout, revision } } });
  }

  async becomes(reason: string, deadlineMs: number): Promise<void> {
    let last: AppSet | undefined;
    await waitFor(
      `AppUpdated becomes ${reason}`,
      async () => {
        const { metadata, status } = (last = await this.#plane.request<AppSet>('GET', appSet));
        const updated = status?.conditions?.find(({ type }) => type === 'AppUpdated');
        return status?.observedGeneration === metadata.generation && updated?.reason === reason;
      },
      { deadlineMs, everyMs, context: () => JSON.stringify(last?.status?.pools).slice(0, 2_000) },
    );
  }

  async poolIs(name: string, state: string): Promise<void> {
    await waitFor(
      `pool ${name} is ${state}`,
      async () => {
        const { status } = await this.#plane.request<AppSet>('GET', appSet);
        return status?.pools?.some((pool) => pool.name === name && pool.state === state);
      },
      { deadlineMs: 60_000, everyMs },
    );
  }

  /** Counts, until it is asked, how many pools are neither as before nor complete; gives the most. */
  watchMotion(): () => Promise<number> {
    let most = 0;
    let isOver = false;
    const watching = (async () => {
      while (!isOver) {
        const { items } = await this.#plane.request<{ items: (Deployment & { status: Record<string, number> })[] }>(
          'GET',
          deployments,
        );
        const moving = items.filter(({ metadata, status }) => {
          const { replicas = 0, updatedReplicas = 0, availableReplicas = 0, observedGeneration = 0 } = status;
          return (
            observedGeneration < metadata.generation ||
            updatedReplicas < 1 ||
            availableReplicas < 1 ||
            replicas > updatedReplicas
          );
        });
        most = Math.max(most, moving.length);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    })();
    return async () => {
      isOver = true;
      await watching;
      return most;
    };
  }

  async images(): Promise<(string | undefined)[]> {
    const byPool = await this.#byPool();
    return this.#pools.map((pool) => byPool.get(pool)?.spec.template.spec.containers[0]?.image);
  }

  async expectImages(image: string): Promise<void> {
    const images = await this.images();
    expectThat(
      images.every((each) => each === image),
      `images are ${images.join()}`,
    );
  }

  /** Of the Deployments, in the order of the pools. */
  async uids(): Promise<(string | undefined)[]> {
    const byPool = await this.#byPool();
    return this.#pools.map((pool) => byPool.get(pool)?.metadata.uid);
  }

  async #byPool(): Promise<ReadonlyMap<string, Deployment>> {
    const { items } = await this.#plane.request<{ items: Deployment[] }>('GET', deployments);
    const byPool = new Map(items.map((item) => [item.metadata.labels['apps.openyurt.io/pool-name'] ?? '', item]));
    expectThat(items.length === byPool.size, `${items.length} Deployments in ${byPool.size} pools`);
    return byPool;
  }
}

function workload(image: string): object {
  return { workloadTemplate: { deploymentTemplate: { spec: podsOf('till', image) } } };
}

/** Selector and template; pods go to any node of their pool, whatever taints it gives. */
export function podsOf(app: string, image: string): { selector: object; template: object } {
  const tolerations = [{ key: 'site', operator: 'Exists' }];
  const spec = { tolerations, terminationGracePeriodSeconds: 1, containers: [{ name: app, image }] };
  return { selector: { matchLabels: { app } }, template: { metadata: { labels: { app } }, spec } };
}
