// Pools: their status, and that none goes before its nodes. Keyed by pool. What nodes get of their pool is pool-nodes-controller's.
import { watch, type Controller } from '../machinery/controller.ts';
import type { Objects } from '../machinery/informer.ts';
import { nodes as nodeCollection, poolsOfChange, watchNodes, type Node } from '../nodes.ts';
import type { ControllerParts } from '../registry.ts';
import { nodePools, type NodePool } from './node-pool-crd.ts';
import { nodePoolCollection } from './node-pools.ts';
import { deletionProblem, isNews, planStatus } from './status.ts';

/** Keeps a pool that is deleted until its last node has left. */
export const poolFinalizer = 'holdfast.dev/node-pool';
/** OpenYurt's label of pools. */
const typeLabel = 'nodepool.openyurt.io/type';

/** What nodes get of their pool is on its way a moment after they come: one write of the status then does. */
const settleMs = 100;
/** A pool writes its status at most so often: a large one is a large object, whose nodes all change when a site returns. */
const quietMs = (members: number): number => 200 + members / 5;
/** And so often where it only says which nodes are waited for: a change of the pool goes to its nodes one by one. */
const wordsMs = 60_000;

export function nodePoolController(parts: ControllerParts): Controller {
  const pools = parts.informers.of(nodePoolCollection);
  const nodes = parts.informers.of(nodeCollection);
  const reconciler = new NodePoolReconciler(parts, pools, nodes);
  return {
    name: 'node-pool',
    watches: [watch(pools, ({ key }) => [key]), watchNodes(nodes, poolsOfChange, { afterMs: settleMs })],
    workers: 4,
    reconcile: (key, signal) => reconciler.reconcile(key, signal),
  };
}

export class NodePoolReconciler {
  readonly #parts: Pick<ControllerParts, 'api' | 'recorder' | 'clock'>;
  readonly #pools: Objects<NodePool>;
  readonly #nodes: Objects<Node, 'pool'>;
  readonly #writtenMs = new Map<string, number>();
  #knowsGeneration = true;

  constructor(
    parts: Pick<ControllerParts, 'api' | 'recorder' | 'clock'>,
    pools: Objects<NodePool>,
    nodes: Objects<Node, 'pool'>,
  ) {
    this.#parts = parts;
    this.#pools = pools;
    this.#nodes = nodes;
  }

  async reconcile(name: string, signal: AbortSignal): Promise<{ againAfterMs?: number } | void> {
    const { api, recorder, clock } = this.#parts;
    const pool = this.#pools.get({ name });
    if (pool === undefined) {
      this.#writtenMs.delete(name);
      return;
    }
    const members = this.#nodes.byIndex('pool', name);
    const isLeaving = pool.metadata.deletionTimestamp !== undefined;
    const metadata = planMetadata(pool, isLeaving && members.length === 0);
    if (metadata !== undefined) {
      this.#pools.written(await api.patch<NodePool>(nodePools, { name }, 'merge', { metadata }, signal));
      // What was written comes as a change, and this pool again with it.
      return;
    }
    if (isLeaving && members.length === 0) return;
    const problem = deletionProblem(
      pool,
      members.map((node) => node.metadata.name),
    );
    if (problem !== undefined) recorder.record(nodePools, pool, 'Warning', 'NodesRemain', problem);
    const nowMs = clock.monotonicMs();
    const now = new Date(clock.wallMs()).toISOString().replace(/\.\d+Z$/, 'Z');
    const status = planStatus(pool, members, { now, knowsGeneration: this.#knowsGeneration });
    if (status === undefined) return;
    const pauseMs = isNews(pool.status, status) ? quietMs(members.length) : wordsMs;
    const dueMs = (this.#writtenMs.get(name) ?? -Infinity) + pauseMs;
    if (nowMs < dueMs) return { againAfterMs: dueMs - nowMs };
    this.#writtenMs.set(name, nowMs);
    // The version: conditions of others are in the list that is written.
    const body = { metadata: { resourceVersion: pool.metadata.resourceVersion }, status };
    const written = await api.patch<NodePool>(nodePools, { name }, 'merge', body, signal, { subresource: 'status' });
    if (status.observedGeneration !== undefined && written.status?.observedGeneration === undefined)
      this.#knowsGeneration = false;
    this.#pools.written(written);
  }
}

/** The finalizer and OpenYurt's label, or undefined when they are as they should be: pure. */
export function planMetadata(pool: NodePool, mayGo: boolean): Readonly<Record<string, unknown>> | undefined {
  const { finalizers = [], labels = {}, resourceVersion, deletionTimestamp } = pool.metadata;
  const has = finalizers.includes(poolFinalizer);
  if (mayGo)
    return has ? { resourceVersion, finalizers: finalizers.filter((each) => each !== poolFinalizer) } : undefined;
  // The API server takes no new finalizer on what is being deleted.
  if (deletionTimestamp !== undefined) return undefined;
  const type = (pool.spec?.type ?? 'Edge').toLowerCase();
  if (has && labels[typeLabel] === type) return undefined;
  return {
    resourceVersion,
    ...(has ? {} : { finalizers: [...finalizers, poolFinalizer] }),
    ...(labels[typeLabel] === type ? {} : { labels: { [typeLabel]: type } }),
  };
}
