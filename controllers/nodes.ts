// Nodes as every controller here sees them: one informer for all. Images and volumes are not kept, and of the heartbeats one, for
// the eviction guard alone: the largest part of what kubelets write all day wakes nobody else and takes no room.
import { nodePoolLabel } from '../peers/membership.ts';
import { watch, type Watch, type WatchOptions } from './machinery/controller.ts';
import type { Collection, Informer } from './machinery/informer.ts';
import type { Change } from './machinery/object-cache.ts';
import { withoutManagedFields, type ApiObject, type Resource } from './machinery/resource.ts';
import { same } from './machinery/same.ts';

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
    /** `nodeInfo.bootID`. */
    readonly bootID?: string;
    /** Of the kubelet, in the Ready condition. */
    readonly heartbeat?: string;
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

/** As `watch`, for whoever does not ask when a kubelet was last heard: a new heartbeat alone is no change. */
export function watchNodes(
  informer: Informer<Node, 'pool'>,
  keysOf: (change: Change<Node>) => Iterable<string>,
  options: WatchOptions = {},
): Watch {
  return watch(informer, (change) => (isHeartbeatOnly(change) ? [] : keysOf(change)), options);
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

function isHeartbeatOnly({ before, after }: Change<Node>): boolean {
  if (before === undefined || after === undefined || before.status.heartbeat === after.status.heartbeat) return false;
  const { resourceVersion } = before.metadata;
  const { heartbeat } = before.status;
  return same(before, {
    ...after,
    metadata: { ...after.metadata, resourceVersion },
    status: { ...after.status, heartbeat },
  });
}

interface RawStatus {
  readonly addresses?: Node['status']['addresses'];
  readonly conditions?: readonly (NodeCondition & { readonly lastHeartbeatTime?: string })[];
  readonly nodeInfo?: { readonly bootID?: string };
}

function keepNode(object: ApiObject): Node {
  const { metadata, spec, status } = withoutManagedFields<
    ApiObject & Partial<Pick<Node, 'spec'>> & { status?: RawStatus }
  >(object);
  const bootID = status?.nodeInfo?.bootID;
  const heartbeat = status?.conditions?.find(({ type }) => type === 'Ready')?.lastHeartbeatTime;
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
      ...(bootID === undefined ? {} : { bootID }),
      ...(heartbeat === undefined ? {} : { heartbeat }),
    },
  };
}
