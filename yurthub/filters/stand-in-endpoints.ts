// A Service for which ready pods of this node stand in is answered by them alone here; where none is ready, by whom the cloud says. The
// Service and its endpoints stay as they are for everybody else: a node without a hub never dials a pod at a site that it cannot reach.
import { list, text } from '../../kube/plain-object.ts';
import type { KubeObject, Wire } from '../../kube/wire.ts';
import type { Collection, Filter } from '../views/presenter.ts';
import { isOf } from './collection.ts';
import type { LocalPods } from './local-pods.ts';
import { ofFamily, sliceType } from './pod-endpoints.ts';
import type { StandIn, StandIns } from './stand-ins.ts';

export interface StandInParts {
  readonly standIns: () => Pick<StandIns, 'empty' | 'of'>;
  /** What the kubelet said while the cloud was out of reach counts more than what the cloud says of it just after. */
  readonly pods: Pick<LocalPods, 'get'>;
}

export class StandInEndpointsFilter implements Filter {
  readonly name = 'stand-ins';
  readonly #nodeName: string;
  readonly #parts: StandInParts;

  constructor(nodeName: string, parts: StandInParts) {
    this.#nodeName = nodeName;
    this.#parts = parts;
  }

  /** Of EndpointSlices only: who still reads Endpoints has not moved for years. */
  concerns(collection: Collection): boolean {
    return isOf(collection, 'discovery.k8s.io', 'endpointslices');
  }

  apply(wire: Wire, bytes: Buffer): Buffer {
    const standIns = this.#parts.standIns();
    if (standIns.empty) return bytes;
    const service = wire.labels(bytes)['kubernetes.io/service-name'];
    if (service === undefined) return bytes;
    const { namespace } = wire.meta(bytes);
    const here = standIns.of(namespace, service);
    if (here.length === 0) return bytes;
    const slice = wire.decode(sliceType, bytes);
    const type = text(slice, 'addressType');
    const ready = here.flatMap((one) => this.#endpoint(one, namespace, type));
    const [first] = ready;
    if (first === undefined) return bytes;
    // A Service without a single pod elsewhere has slices without ports.
    const ports = list(slice, 'ports').length > 0 ? list(slice, 'ports') : first.ports;
    return wire.encode(sliceType, { ...slice, endpoints: ready.map(({ endpoint }) => endpoint), ports });
  }

  #endpoint(
    { name, pod: shown, ports }: StandIn,
    namespace: string,
    type: string,
  ): { endpoint: KubeObject; ports: readonly KubeObject[] }[] {
    const said = this.#parts.pods.get(shown.uid)?.pod ?? shown;
    const pod = { ...said, finished: said.finished || shown.finished };
    const addresses = ofFamily(pod, type);
    if (!pod.ready || addresses.length === 0) return [];
    const endpoint = {
      addresses,
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: this.#nodeName,
      targetRef: { kind: 'Pod', namespace, name, uid: pod.uid },
    };
    return [{ endpoint, ports }];
  }
}
