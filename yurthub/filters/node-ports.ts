// Node ports kept to pools: a Service of type NodePort or LoadBalancer whose annotation leaves this node's pool out is
// shown here as one of type ClusterIP, so that no port is opened. (OpenYurt does not show it at all, and with it goes the
// cluster IP, which pods of that pool may use: the annotation is about who listens, not about who may ask.)
import { child, list, text } from '../../kube/plain-object.ts';
import type { KubeObject, Wire } from '../../kube/wire.ts';
import type { Collection, Filter } from '../views/presenter.ts';
import { annotationsOf, entriesOf, mayHave } from './annotations.ts';
import { isOf } from './collection.ts';
import type { PoolMembership } from './pools.ts';

/** OpenYurt's annotation: names of pools that listen, `-NAME` for one that does not, `*` for all others. */
export const listenAnnotation = 'nodeport.openyurt.io/listen';

const serviceType = { apiVersion: 'v1', kind: 'Service' };

export class NodePortFilter implements Filter {
  readonly name = 'node-ports';
  readonly #nodeName: string;
  readonly #pools: () => PoolMembership;

  constructor(nodeName: string, pools: () => PoolMembership) {
    this.#nodeName = nodeName;
    this.#pools = pools;
  }

  concerns(collection: Collection): boolean {
    return isOf(collection, '', 'services');
  }

  apply(wire: Wire, bytes: Buffer): Buffer {
    if (!mayHave(bytes, listenAnnotation)) return bytes;
    const service = wire.decode(serviceType, bytes);
    const annotation = annotationsOf(service)[listenAnnotation];
    const type = text(child(service, 'spec'), 'type');
    if (annotation === undefined || !['NodePort', 'LoadBalancer'].includes(type)) return bytes;
    // A node of no pool is like any node of Kubernetes.
    const pool = this.#pools().poolOf(this.#nodeName);
    if (pool === undefined || listens(entriesOf(annotation), pool)) return bytes;
    return wire.encode(serviceType, withoutNodePorts(service));
  }
}

/** The first entry that names the pool counts; a pool that none names listens only by `*`. */
export function listens(entries: readonly string[], pool: string): boolean {
  const named = entries.find((entry) => entry === pool || entry === `-${pool}`);
  return named === undefined ? entries.includes('*') : named === pool;
}

function withoutNodePorts(service: KubeObject): KubeObject {
  const {
    externalTrafficPolicy: _external,
    healthCheckNodePort: _health,
    allocateLoadBalancerNodePorts: _allocate,
    loadBalancerClass: _class,
    loadBalancerIP: _ip,
    loadBalancerSourceRanges: _ranges,
    ...spec
  } = child(service, 'spec');
  const ports = list(spec, 'ports').map(({ nodePort: _nodePort, ...port }) => port);
  return { ...service, spec: { ...spec, type: 'ClusterIP', ports }, status: { loadBalancer: {} } };
}
