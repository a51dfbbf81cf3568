// Nodes of a host-network pool (NodePool `spec.hostNetwork`) have no pod network: the kubelet is shown each pod of its node as one
// that uses the network of the host, whatever its template says. Which node is in such a pool says a label that the controllers
// set on it; the kubelet watches its Node anyway.
import type { KubeObject, Wire } from '../../kube/wire.ts';
import type { Collection, Filter } from '../views/presenter.ts';

/** OpenYurt's. Set to 'true' where the pool says so, and taken back when the node leaves it. */
export const hostNetworkLabel = 'nodepool.openyurt.io/hostnetwork';

const podType = { apiVersion: 'v1', kind: 'Pod' };

export class HostNetworkFilter implements Filter {
  readonly name = 'host-network';
  readonly #kubeletsPods: string;
  readonly #isHostNetwork: () => boolean;

  /** `isHostNetwork`: whether this node is in such a pool. */
  constructor(nodeName: string, isHostNetwork: () => boolean) {
    this.#kubeletsPods = `spec.nodeName=${nodeName}`;
    this.#isHostNetwork = isHostNetwork;
  }

  /** What a kubelet asks for, and no other list of pods: whoever else reads them may mean to write them back. */
  concerns({ group, version, resource, fieldSelector }: Collection): boolean {
    return group === '' && version === 'v1' && resource === 'pods' && fieldSelector === this.#kubeletsPods;
  }

  apply(wire: Wire, bytes: Buffer): Buffer {
    if (!this.#isHostNetwork()) return bytes;
    const pod = wire.decode(podType, bytes);
    const spec = pod['spec'] as KubeObject | undefined;
    if (spec === undefined || spec['hostNetwork'] === true) return bytes;
    return wire.encode(podType, { ...pod, spec: { ...spec, hostNetwork: true } });
  }
}
