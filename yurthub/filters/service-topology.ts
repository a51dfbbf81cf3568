// Traffic kept near: the endpoints of a Service whose annotation asks for it are trimmed to those of this node or of its
// pool. Keys are tried in order, as Kubernetes' own topologyKeys were: the first for which there is a ready endpoint
// counts, `*` for all; when none counts, nobody is asked rather than somebody far away.
import { child, list, text } from '../../kube/plain-object.ts';
import type { KubeObject, TypeMeta, Wire } from '../../kube/wire.ts';
import type { Collection, Filter } from '../views/presenter.ts';
import { isOf } from './collection.ts';
import type { PoolMembership } from './pools.ts';

/** OpenYurt's annotation on Services. */
export const topologyAnnotation = 'openyurt.io/topologyKeys';

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
  /** In the order of preference; undefined for a Service that asks for nothing, or that is not known. */
  reachesOf(namespace: string, service: string): readonly Reach[] | undefined;
}

const sliceType: TypeMeta = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' };
const endpointsType: TypeMeta = { apiVersion: 'v1', kind: 'Endpoints' };

export class ServiceTopologyFilter implements Filter {
  readonly name = 'service-topology';
  readonly #nodeName: string;
  readonly #services: ServiceTopology;
  readonly #pools: PoolMembership;

  constructor(nodeName: string, services: ServiceTopology, pools: PoolMembership) {
    this.#nodeName = nodeName;
    this.#services = services;
    this.#pools = pools;
  }

  concerns(collection: Collection): boolean {
    return isOf(collection, 'discovery.k8s.io', 'endpointslices') || isOf(collection, '', 'endpoints');
  }

  apply(wire: Wire, bytes: Buffer, collection: Collection): Buffer {
    const isSlice = collection.resource === 'endpointslices';
    const { namespace, name } = wire.meta(bytes);
    const service = isSlice ? wire.labels(bytes)['kubernetes.io/service-name'] : name;
    const reaches = service === undefined ? undefined : this.#services.reachesOf(namespace, service);
    if (reaches === undefined) return bytes;
    const typeMeta = isSlice ? sliceType : endpointsType;
    const object = wire.decode(typeMeta, bytes);
    const changed = isSlice ? this.#slice(object, reaches) : this.#endpoints(object, reaches);
    return changed === undefined ? bytes : wire.encode(typeMeta, changed);
  }

  #slice(slice: KubeObject, reaches: readonly Reach[]): KubeObject | undefined {
    const endpoints = list(slice, 'endpoints');
    const ready = endpoints.filter((endpoint) => child(endpoint, 'conditions')['ready'] !== false);
    const reach = this.#choose(reaches, ready);
    const kept = endpoints.filter((endpoint) => this.#isWithin(reach, endpoint));
    return kept.length === endpoints.length ? undefined : { ...slice, endpoints: kept };
  }

  #endpoints(endpoints: KubeObject, reaches: readonly Reach[]): KubeObject | undefined {
    const subsets = list(endpoints, 'subsets');
    const ready = subsets.flatMap((subset) => list(subset, 'addresses'));
    const reach = this.#choose(reaches, ready);
    let dropped = false;
    const kept = subsets.map((subset) => {
      const { addresses: _ready, notReadyAddresses: _notReady, ...rest } = subset;
      const lists = (['addresses', 'notReadyAddresses'] as const).flatMap((field) => {
        const all = list(subset, field);
        const near = all.filter((address) => this.#isWithin(reach, address));
        dropped ||= near.length < all.length;
        return near.length === 0 ? [] : [[field, near] as const];
      });
      return lists.length === 0 ? undefined : { ...Object.fromEntries(lists), ...rest };
    });
    return dropped ? { ...endpoints, subsets: kept.filter((subset) => subset !== undefined) } : undefined;
  }

  /** The first reach that finds a ready endpoint; the farthest where none does, for those that are not ready yet. */
  #choose(reaches: readonly Reach[], ready: readonly KubeObject[]): Reach {
    const found = reaches.find((reach) => ready.some((endpoint) => this.#isWithin(reach, endpoint)));
    return found ?? reaches.at(-1) ?? 'all';
  }

  #isWithin(reach: Reach, endpoint: KubeObject): boolean {
    const node = text(endpoint, 'nodeName');
    if (reach === 'all' || node === this.#nodeName) return true;
    // A node of no pool is a pool by itself.
    const pool = this.#pools.poolOf(this.#nodeName);
    return reach === 'pool' && pool !== undefined && this.#pools.poolOf(node) === pool;
  }
}
