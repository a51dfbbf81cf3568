// Traffic kept near: the endpoints of a Service whose annotation asks for it are trimmed to those of this node or of its
// pool. Keys are tried in order, as Kubernetes' own topologyKeys were: the first for which there is a ready endpoint
// counts, `*` for all; when none counts, nobody is asked rather than somebody far away.
import { child, list, text } from '../../kube/plain-object.ts';
import type { KubeObject, TypeMeta, Wire } from '../../kube/wire.ts';
import type { Collection, Filter } from '../views/presenter.ts';
import { isOf } from './collection.ts';
import type { PoolMembership } from './pools.ts';
import { ReadyNodes } from './ready-nodes.ts';

/** OpenYurt's annotation on Services. */
export const topologyAnnotation = 'openyurt.io/topologyKeys';

/**
 * SuperEdge's, which its ServiceGrid writes: a JSON list of label keys, `["site"]`, whose values are its units. Those are pools here, so
 * any key but the ones below stands for the pool. The text is a part of the one above, so that one look finds both.
 */
export const superEdgeTopologyAnnotation = 'topologyKeys';

/** Where an endpoint may be, from near to far. */
export type Reach = 'node' | 'pool' | 'all';

/** By the annotation's values; OpenYurt takes the zone for the pool. Others mean nothing and are left out. */
export const reachOfKey: Readonly<Record<string, Reach>> = {
  'kubernetes.io/hostname': 'node',
  'openyurt.io/nodepool': 'pool',
  'kubernetes.io/zone': 'pool',
  '*': 'all',
};

/** What Services ask for. */
export interface ServiceTopology {
  /** False while no Service asks for anything. */
  readonly asked: boolean;
  /** In the order of preference; undefined for a Service that asks for nothing, or that is not known. */
  reachesOf(namespace: string, service: string): readonly Reach[] | undefined;
}

const sliceType: TypeMeta = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' };
const endpointsType: TypeMeta = { apiVersion: 'v1', kind: 'Endpoints' };

interface Decisions {
  readonly ready: ReadyNodes;
  /** What was chosen last, by Service and address type. */
  readonly chosen: Map<string, Reach>;
}

export interface TopologyParts {
  readonly services: () => ServiceTopology;
  readonly pools: () => PoolMembership;
  /** Slices of this Service have to be looked at again: one of them decided for all. */
  readonly onChange: (service: string) => void;
}

export class ServiceTopologyFilter implements Filter {
  readonly name = 'service-topology';
  readonly #nodeName: string;
  readonly #parts: TopologyParts;
  /** Each view decides by the slices that it has: two may be at different versions, or one may be held up. */
  readonly #decisions = new WeakMap<Collection, Decisions>();

  constructor(nodeName: string, parts: TopologyParts) {
    this.#nodeName = nodeName;
    this.#parts = parts;
  }

  concerns(collection: Collection): boolean {
    return isOf(collection, 'discovery.k8s.io', 'endpointslices') || isOf(collection, '', 'endpoints');
  }

  apply(wire: Wire, bytes: Buffer, collection: Collection): Buffer {
    if (!this.#parts.services().asked) return bytes;
    const isSlice = collection.resource === 'endpointslices';
    const { namespace, name } = wire.meta(bytes);
    const service = isSlice ? wire.labels(bytes)['kubernetes.io/service-name'] : name;
    const reaches = service === undefined ? undefined : this.#parts.services().reachesOf(namespace, service);
    if (service === undefined || reaches === undefined) return bytes;
    const typeMeta = isSlice ? sliceType : endpointsType;
    const object = wire.decode(typeMeta, bytes);
    const changed = isSlice
      ? this.#slice(object, reaches, { namespace, name, service }, this.#decisionsOf(collection))
      : this.#endpoints(object, reaches);
    return changed === undefined ? bytes : wire.encode(typeMeta, changed);
  }

  gone(collection: Collection, namespace: string, name: string): void {
    const decisions = this.#decisions.get(collection);
    const group = decisions?.ready.remove(`${namespace}/${name}`);
    const service = group?.split('/')[1];
    if (decisions === undefined || group === undefined || service === undefined) return;
    this.#decide(decisions, group, service, this.#parts.services().reachesOf(namespace, service) ?? []);
  }

  #slice(
    slice: KubeObject,
    reaches: readonly Reach[],
    of: { namespace: string; name: string; service: string },
    decisions: Decisions,
  ): KubeObject | undefined {
    const endpoints = list(slice, 'endpoints');
    const ready = endpoints.filter((endpoint) => child(endpoint, 'conditions')['ready'] !== false);
    const group = `${of.namespace}/${of.service}/${text(slice, 'addressType')}`;
    decisions.ready.set(group, `${of.namespace}/${of.name}`, ready.map(nodeOf));
    const reach = this.#decide(decisions, group, of.service, reaches);
    const kept = endpoints.filter((endpoint) => this.#isWithin(reach, nodeOf(endpoint)));
    return kept.length === endpoints.length ? undefined : { ...slice, endpoints: kept };
  }

  #endpoints(endpoints: KubeObject, reaches: readonly Reach[]): KubeObject | undefined {
    const subsets = list(endpoints, 'subsets');
    const ready = subsets.flatMap((subset) => list(subset, 'addresses'));
    const reach = this.#choose(reaches, ready.map(nodeOf));
    let dropped = false;
    const kept = subsets.map((subset) => {
      const { addresses: _ready, notReadyAddresses: _notReady, ...rest } = subset;
      const lists = (['addresses', 'notReadyAddresses'] as const).flatMap((field) => {
        const all = list(subset, field);
        const near = all.filter((address) => this.#isWithin(reach, nodeOf(address)));
        dropped ||= near.length < all.length;
        return near.length === 0 ? [] : [[field, near] as const];
      });
      return lists.length === 0 ? undefined : { ...Object.fromEntries(lists), ...rest };
    });
    return dropped ? { ...endpoints, subsets: kept.filter((subset) => subset !== undefined) } : undefined;
  }

  /** How far the Service reaches by all its slices of this address type. Says so when that is another than before. */
  #decide(decisions: Decisions, group: string, service: string, reaches: readonly Reach[]): Reach {
    const reach = this.#choose(reaches, decisions.ready.of(group));
    const before = decisions.chosen.get(group);
    decisions.chosen.set(group, reach);
    if (before !== undefined && before !== reach) this.#parts.onChange(service);
    return reach;
  }

  #decisionsOf(collection: Collection): Decisions {
    const known = this.#decisions.get(collection);
    if (known !== undefined) return known;
    const made = { ready: new ReadyNodes(), chosen: new Map<string, Reach>() };
    this.#decisions.set(collection, made);
    return made;
  }

  /** The first reach that finds a ready endpoint; the farthest where none does, for those that are not ready yet. */
  #choose(reaches: readonly Reach[], nodes: readonly string[]): Reach {
    const found = reaches.find((reach) => nodes.some((node) => this.#isWithin(reach, node)));
    return found ?? reaches.at(-1) ?? 'all';
  }

  #isWithin(reach: Reach, node: string): boolean {
    if (reach === 'all' || node === this.#nodeName) return true;
    if (reach === 'node') return false;
    // A node of no pool is a pool by itself.
    const pools = this.#parts.pools();
    const pool = pools.poolOf(this.#nodeName);
    return pool !== undefined && pools.poolOf(node) === pool;
  }
}

/** '' for an endpoint that is on no node. */
function nodeOf(endpoint: KubeObject): string {
  return text(endpoint, 'nodeName');
}
