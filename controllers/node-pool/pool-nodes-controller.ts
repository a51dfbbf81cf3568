// Nodes: what their pool gives to them, and the label by which they are in it where a selector finds them. Keyed by node, so that
// a node that leaves a pool is looked at for its own sake, whatever has become of that pool.
import { watch, type Controller } from '../machinery/controller.ts';
import { ApiError, isConflict, isNotFound } from '../machinery/errors.ts';
import type { Informer, Objects } from '../machinery/informer.ts';
import type { Change } from '../machinery/object-cache.ts';
import { same } from '../machinery/same.ts';
import { nodeResource, nodes as nodeCollection, poolNameOf, watchNodes, type Node } from '../nodes.ts';
import type { ControllerParts } from '../registry.ts';
import { attributesOf, planNode, readRecord } from './attributes.ts';
import { nodePools, type NodePool } from './node-pool-crd.ts';
import { nodePoolCollection } from './node-pools.ts';
import { hasSelector, selectPool } from './selection.ts';

export function poolNodesController(parts: ControllerParts): Controller {
  const pools = parts.informers.of(nodePoolCollection);
  const nodes = parts.informers.of(nodeCollection);
  const reconciler = new PoolNodesReconciler(parts, pools, nodes);
  return {
    name: 'pool-nodes',
    watches: [watchNodes(nodes, ({ key }) => [key]), watch(pools, (change) => nodesOfChange(change, nodes))],
    // Each node is one write, and a cluster that is taken over has thousands: slow answers must not be what they wait for.
    workers: 32,
    reconcile: (key, signal) => reconciler.reconcile(key, signal),
  };
}

export class PoolNodesReconciler {
  readonly #parts: Pick<ControllerParts, 'api' | 'recorder'>;
  readonly #pools: Objects<NodePool>;
  readonly #nodes: Objects<Node, 'pool'>;

  constructor(
    parts: Pick<ControllerParts, 'api' | 'recorder'>,
    pools: Objects<NodePool>,
    nodes: Objects<Node, 'pool'>,
  ) {
    this.#parts = parts;
    this.#pools = pools;
    this.#nodes = nodes;
  }

  async reconcile(name: string, signal: AbortSignal): Promise<void> {
    const { api, recorder } = this.#parts;
    const node = this.#nodes.get({ name });
    if (node === undefined || node.metadata.deletionTimestamp !== undefined) return;
    const { pool: poolName, selectedBy, contenders } = selectPool(node, this.#pools.list().filter(hasSelector));
    if (contenders.length > 1)
      recorder.record(
        nodeResource,
        node,
        'Warning',
        'SeveralPools',
        `The selectors of the pools ${contenders.join(', ')} all find this node: make them exclusive, or say its pool by the label apps.openyurt.io/nodepool.`,
      );
    const pool = poolName === undefined ? undefined : this.#pools.get({ name: poolName });
    const patch = planNode(node, attributesOf(pool?.spec), selectedBy);
    if (patch === undefined) return;
    try {
      this.#nodes.written(await api.patch<Node>(nodeResource, { name }, 'merge', patch, signal));
    } catch (error) {
      if (isNotFound(error)) return;
      if (error instanceof ApiError && error.status < 500 && !isConflict(error) && pool !== undefined)
        recorder.record(
          nodePools,
          pool,
          'Warning',
          'AttributesRefused',
          `The API server does not let the nodes have what spec says, mend it: ${error.message}`,
        );
      throw error;
    }
  }
}

/** Whom a change of a pool concerns: its nodes, and where it has a selector, those that it may find or let go. */
function nodesOfChange({ before, after }: Change<NodePool>, nodes: Informer<Node, 'pool'>): string[] {
  const hasChanged =
    before === undefined ||
    after === undefined ||
    !same(before.spec, after.spec) ||
    before.metadata.deletionTimestamp !== after.metadata.deletionTimestamp;
  if (!hasChanged) return [];
  const { name } = (after ?? before)!.metadata;
  const selects = [before, after].some((pool) => pool !== undefined && hasSelector(pool));
  const concerned = selects
    ? nodes.list().filter((node) => {
        const label = poolNameOf(node);
        return label === undefined || label === name || readRecord(node).selectedBy !== undefined;
      })
    : nodes.byIndex('pool', name);
  return concerned.map(({ metadata }) => metadata.name);
}
