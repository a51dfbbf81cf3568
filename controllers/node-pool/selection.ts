// Which pool a node is in: pure. Its label says so. A node without that label comes into the pool whose selector finds it, if it
// is one alone; a label that somebody set is never touched.
import { labelRequirements } from '../../kube/selectors/label-selector-object.ts';
import { matchesLabels } from '../../kube/selectors/label-selector.ts';
import { nodePoolLabel } from '../../peers/membership.ts';
import { poolNameOf, type Node } from '../nodes.ts';
import { readRecord } from './attributes.ts';
import type { NodePool } from './node-pool-crd.ts';

export interface Selection {
  /** The pool that the node is in, or is to be brought into. */
  readonly pool: string | undefined;
  /** The same, where a selector finds it. */
  readonly selectedBy: string | undefined;
  /** Pools that all find it, so that it is in none; sorted. */
  readonly contenders: readonly string[];
}

/** `pools` are those that have a selector. One whose selector cannot be read finds nothing: the CRD refuses such ones. */
export function selectPool(node: Node, pools: readonly NodePool[]): Selection {
  const label = poolNameOf(node);
  const record = readRecord(node);
  if (label !== undefined && label !== record.selectedBy) return { pool: label, selectedBy: undefined, contenders: [] };
  const labels = labelsOfItsOwn(node);
  const finders = pools
    // One that is being deleted lets its nodes go.
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .filter((pool) => finds(pool, labels))
    .map(({ metadata }) => metadata.name)
    .sort();
  if (finders.length === 1) return { pool: finders[0], selectedBy: finders[0], contenders: [] };
  // Where it is already, it stays: a second pool that is too greedy must not take a site apart.
  if (label !== undefined && finders.includes(label)) return { pool: label, selectedBy: label, contenders: finders };
  return { pool: undefined, selectedBy: undefined, contenders: finders };
}

export function hasSelector({ spec }: NodePool): boolean {
  return spec?.selector !== undefined;
}

function finds({ spec }: NodePool, labels: Readonly<Record<string, string>>): boolean {
  try {
    const requirements = labelRequirements(spec?.selector ?? {});
    // Every node of the cluster, control plane included, is never meant.
    return requirements.length > 0 && matchesLabels(requirements, labels);
  } catch {
    return false;
  }
}

/** Without what pools gave: a pool that selects by what it gives would never let go. */
function labelsOfItsOwn(node: Node): Readonly<Record<string, string>> {
  const { given, before } = readRecord(node);
  const { [nodePoolLabel]: _pool, ...labels } = node.metadata.labels ?? {};
  const own: Record<string, string> = { ...labels };
  for (const [key, value] of Object.entries(given.labels))
    if (own[key] === value) {
      delete own[key];
      if (before.labels[key] !== undefined) own[key] = before.labels[key];
    }
  return own;
}
