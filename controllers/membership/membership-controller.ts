// Publishes who is in which pool, as EndpointSlices in the namespace holdfast-pools: nodes may read those, and no Nodes. Keyed by
// pool. What a slice looks like is decided in peers/membership.ts, which its readers share.
import { child, metadataOf } from '../../kube/plain-object.ts';
import type { KubeObject } from '../../kube/wire.ts';
import {
  isMembershipSlice,
  membershipSlices,
  poolAnnotations,
  poolLabel,
  poolsNamespace,
  type Member,
} from '../../peers/membership.ts';
import { watch, type Controller } from '../machinery/controller.ts';
import type { Collection, Objects } from '../machinery/informer.ts';
import { withoutManagedFields, type ApiObject, type Draft, type Resource } from '../machinery/resource.ts';
import { same } from '../machinery/same.ts';
import type { NodePool } from '../node-pool/node-pool-crd.ts';
import { nodePoolCollection } from '../node-pool/node-pools.ts';
import { nodes as nodeCollection, poolsOfChange, watchNodes, type Node } from '../nodes.ts';
import type { ControllerParts } from '../registry.ts';

const endpointSlices: Resource = {
  group: 'discovery.k8s.io',
  version: 'v1',
  resource: 'endpointslices',
  kind: 'EndpointSlice',
  namespaced: true,
};

/** Every membership slice, by pool. Shared: the eviction guard reads the same. */
export const membershipCollection: Collection<ApiObject, 'pool'> = {
  name: 'pool-members',
  resource: endpointSlices,
  selection: { namespace: poolsNamespace },
  keep: (object) => withoutManagedFields<ApiObject>(object),
  indexes: {
    pool: (slice) => {
      const pool = slice.metadata.labels?.[poolLabel];
      return pool === undefined ? [] : [pool];
    },
  },
};

/** Many nodes of a pool come together when a site returns: one write of a slice then does for them. */
const settleMs = 200;

export function membershipController(parts: ControllerParts): Controller {
  const pools = parts.informers.of(nodePoolCollection);
  const nodes = parts.informers.of(nodeCollection);
  const slices = parts.informers.of(membershipCollection);
  const reconciler = new MembershipReconciler(parts, pools, nodes, slices);
  return {
    name: 'membership',
    watches: [
      watch(pools, ({ key }) => [key]),
      watchNodes(nodes, poolsOfChange, { afterMs: settleMs }),
      watch(slices, ({ before, after }) =>
        [before, after].flatMap((slice) => slice?.metadata.labels?.[poolLabel] ?? []),
      ),
    ],
    workers: 4,
    reconcile: (key, signal) => reconciler.reconcile(key, signal),
  };
}

export interface SlicePlan {
  /** To be made or changed: fields of ours only. */
  readonly apply: readonly KubeObject[];
  readonly remove: readonly ApiObject[];
}

export class MembershipReconciler {
  readonly #api: Pick<ControllerParts['api'], 'apply' | 'remove'>;
  readonly #pools: Objects<NodePool>;
  readonly #nodes: Objects<Node, 'pool'>;
  readonly #slices: Objects<ApiObject, 'pool'>;

  constructor(
    { api }: { readonly api: Pick<ControllerParts['api'], 'apply' | 'remove'> },
    pools: Objects<NodePool>,
    nodes: Objects<Node, 'pool'>,
    slices: Objects<ApiObject, 'pool'>,
  ) {
    this.#api = api;
    this.#pools = pools;
    this.#nodes = nodes;
    this.#slices = slices;
  }

  async reconcile(name: string, signal: AbortSignal): Promise<void> {
    const { apply, remove } = planSlices(
      name,
      this.#pools.get({ name }),
      this.#nodes.byIndex('pool', name),
      this.#slices.byIndex('pool', name),
    );
    for (const slice of apply) {
      const draft = slice as unknown as Draft & { metadata: { name: string } };
      this.#slices.written(await this.#api.apply(endpointSlices, draft, 'holdfast-membership', signal));
    }
    // After what takes their members up: none is missing in between.
    for (const { metadata } of remove) await this.#api.remove(endpointSlices, metadata, { uid: metadata.uid }, signal);
  }
}

/** What is to be written so that the slices of a pool name its nodes: pure. Without the pool there are none. */
export function planSlices(
  name: string,
  pool: NodePool | undefined,
  members: readonly Node[],
  slices: readonly ApiObject[],
): SlicePlan {
  const own = slices.filter((slice) => isMembershipSlice(slice as unknown as KubeObject));
  if (pool === undefined) return { apply: [], remove: own };
  const addressed = members.flatMap((node): Member[] => {
    const address = node.status.addresses.find(({ type }) => type === 'InternalIP')?.address;
    return address === undefined ? [] : [{ nodeName: node.metadata.name, address }];
  });
  const current = own.map((slice) => slice as unknown as KubeObject);
  const wanted = membershipSlices(name, addressed, settingsOf(pool), current);
  const names = new Set(wanted.map((slice) => metadataOf(slice)['name']));
  const present = new Map(own.map((slice) => [slice.metadata.name as unknown, slice as unknown as KubeObject]));
  return {
    apply: wanted.filter((slice) => !says(present.get(metadataOf(slice)['name']), slice)),
    remove: own.filter(({ metadata }) => !names.has(metadata.name)),
  };
}

/** The annotations of the pool that are settings of its members' daemons. */
function settingsOf({ metadata }: NodePool): Record<string, string> {
  const keys: readonly string[] = Object.values(poolAnnotations);
  return Object.fromEntries(Object.entries(metadata.annotations ?? {}).filter(([key]) => keys.includes(key)));
}

/** Settings that the pool has no more have to go; annotations of others do not concern us. */
function says(present: KubeObject | undefined, wanted: KubeObject): boolean {
  if (present === undefined) return false;
  const keys: readonly string[] = Object.values(poolAnnotations);
  const settings = (slice: KubeObject): KubeObject =>
    Object.fromEntries(Object.entries(child(metadataOf(slice), 'annotations')).filter(([key]) => keys.includes(key)));
  return (
    same(endpointsOf(present), endpointsOf(wanted)) &&
    same(present['ports'], wanted['ports']) &&
    same(settings(present), settings(wanted))
  );
}

/** The API server writes `endpoints: null` for none. */
function endpointsOf(slice: KubeObject): unknown {
  const { endpoints } = slice;
  return Array.isArray(endpoints)
    ? endpoints.map((endpoint: KubeObject) => ({ addresses: endpoint['addresses'], nodeName: endpoint['nodeName'] }))
    : [];
}
