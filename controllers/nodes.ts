// Nodes as every controller here sees them: one informer for all. Heartbeats, images and volumes are not kept, so that the largest
// part of what kubelets write all day wakes nobody and takes no room.
import { nodePoolLabel } from '../peers/membership.ts';
import type { Collection } from './machinery/informer.ts';
import { withoutManagedFields, type ApiObject, type Resource } from './machinery/resource.ts';

export interface NodeTaint {
  readonly key: string;
  readonly value?: string;
  readonly effect: string;
  readonly timeAdded?: string;
}

export interface NodeCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly lastTransitionTime?: string;
}

export interface Node extends ApiObject {
  readonly spec: { readonly taints?: readonly NodeTaint[]; readonly unschedulable?: boolean };
  readonly status: {
    readonly addresses: readonly { readonly type: string; readonly address: string }[];
    readonly conditions: readonly NodeCondition[];
  };
}

export const nodeResource: Resource = { group: '', version: 'v1', resource: 'nodes', kind: 'Node', namespaced: false };

export const nodes: Collection<Node, 'pool'> = {
  name: 'nodes',
  resource: nodeResource,
  keep: keepNode,
  indexes: {
    pool: (node) => {
      const pool = poolNameOf(node);
      return pool === undefined ? [] : [pool];
    },
  },
};

/** Undefined for a node of no pool. */
export function poolNameOf(node: ApiObject): string | undefined {
  return node.metadata.labels?.[nodePoolLabel] || undefined;
}

export function isReady({ status }: Node): boolean {
  return status.conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True');
}

/** The pools that a change of a node concerns: the one that it left, and the one that it came to. */
export function poolsOfChange({
  before,
  after,
}: {
  readonly before: Node | undefined;
  readonly after: Node | undefined;
}): string[] {
  const pools = [before, after].flatMap((node) => (node === undefined ? [] : (poolNameOf(node) ?? [])));
  return [...new Set(pools)];
}

function keepNode(object: ApiObject): Node {
  const { metadata, spec, status } = withoutManagedFields<ApiObject & Partial<Node>>(object);
  return {
    metadata,
    spec: {
      ...(spec?.taints === undefined ? {} : { taints: spec.taints }),
      ...(spec?.unschedulable === undefined ? {} : { unschedulable: spec.unschedulable }),
    },
    status: {
      addresses: status?.addresses ?? [],
      conditions: (status?.conditions ?? []).map(({ type, status: value, reason, lastTransitionTime }) => ({
        type,
        status: value,
        ...(reason === undefined ? {} : { reason }),
        ...(lastTransitionTime === undefined ? {} : { lastTransitionTime }),
      })),
    },
  };
}
