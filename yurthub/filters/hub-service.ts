// The kubelet tells each container it starts where the API server is: the address of the Service `kubernetes`, in the
// environment. To the kubelet, and to it alone, that is the hub's own address, so that pods reach the hub without kube-proxy.
// After a boot they would otherwise dial the cluster IP before kube-proxy has written its rules: the packet leaves the node,
// and client-go gives up only after 30 s. CoreDNS does so every time, and no name is known meanwhile.
//
// kube-proxy and CoreDNS need the Service as it is: a name that pods resolve, and an address with the port that goes with it.
import { list } from '../../kube/plain-object.ts';
import type { TypeMeta, Wire } from '../../kube/wire.ts';
import type { Collection, Filter } from '../views/presenter.ts';
import { isOf } from './collection.ts';
import { atHub, serviceName, type HubAddress } from './hub-endpoint.ts';
import { Marker } from './marker.ts';

const serviceType: TypeMeta = { apiVersion: 'v1', kind: 'Service' };
const headless = 'None';
const marker = new Marker(serviceName);

export class HubServiceFilter implements Filter {
  readonly name = 'hub-service';
  readonly #addresses: () => readonly HubAddress[];

  /** `addresses`: where the hub can be reached from pods. Without any the Service stays as it is. */
  constructor(addresses: () => readonly HubAddress[]) {
    this.#addresses = addresses;
  }

  /** The kubelet's collection: nothing else on a node asks for exactly these. */
  concerns(collection: Collection): boolean {
    const { fieldSelector, labelSelector, namespace } = collection;
    const isKubelets = fieldSelector === `spec.clusterIP!=${headless}` && labelSelector === '' && namespace === '';
    return isOf(collection, '', 'services') && isKubelets;
  }

  apply(wire: Wire, bytes: Buffer): Buffer {
    if (!marker.mayBeIn(wire, bytes)) return bytes;
    const { namespace, name } = wire.meta(bytes);
    const [address] = this.#addresses();
    if (namespace !== 'default' || name !== serviceName || address === undefined) return bytes;
    const { spec, ...service } = wire.decode(serviceType, bytes) as { spec?: Record<string, unknown> };
    const led = {
      ...spec,
      clusterIP: address.host,
      clusterIPs: [address.host],
      ipFamilies: [address.family],
      ports: atHub(list(spec ?? {}, 'ports'), address.port),
    };
    return wire.encode(serviceType, { ...service, spec: led });
  }
}
