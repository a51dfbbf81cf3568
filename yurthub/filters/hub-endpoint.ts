// Clients in pods find the API server by the Service `kubernetes`. On this node its endpoints are the hub, so that they go
// through it without change: kube-proxy takes addresses and ports from endpoints alone, and of the Service only its
// cluster IP and port, which stay. The address is the hub's link-local one: a packet from a pod's network is sent on to
// it by the node itself; one to 127.0.0.1 would be dropped as a martian.
import { list } from '../../kube/plain-object.ts';
import type { KubeObject, TypeMeta, Wire } from '../../kube/wire.ts';
import type { Collection, Filter } from '../views/presenter.ts';
import { isOf, onlyName, reachesNamespace } from './collection.ts';
import { Marker } from './marker.ts';

export interface HubAddress {
  readonly host: string;
  readonly port: number;
  readonly family: 'IPv4' | 'IPv6';
}

const sliceType: TypeMeta = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' };
const endpointsType: TypeMeta = { apiVersion: 'v1', kind: 'Endpoints' };
export const serviceName = 'kubernetes';
const marker = new Marker(serviceName);
const portName = 'https';

export class HubEndpointFilter implements Filter {
  readonly name = 'hub-endpoint';
  readonly #nodeName: string;
  readonly #addresses: () => readonly HubAddress[];

  /** `addresses`: where the hub can be reached from pods. Without any of a slice's family the slice stays as it is. */
  constructor(nodeName: string, addresses: () => readonly HubAddress[]) {
    this.#nodeName = nodeName;
    this.#addresses = addresses;
  }

  concerns(collection: Collection): boolean {
    if (!isOf(collection, 'discovery.k8s.io', 'endpointslices') && !isOf(collection, '', 'endpoints')) return false;
    // The API server names its slice and its Endpoints after the Service.
    return reachesNamespace(collection, 'default') && (onlyName(collection) ?? serviceName) === serviceName;
  }

  apply(wire: Wire, bytes: Buffer, collection: Collection): Buffer {
    if (!marker.mayBeIn(wire, bytes)) return bytes;
    const { namespace, name } = wire.meta(bytes);
    if (namespace !== 'default' || name !== serviceName) return bytes;
    const isSlice = collection.resource === 'endpointslices';
    const typeMeta = isSlice ? sliceType : endpointsType;
    const object = wire.decode(typeMeta, bytes);
    const changed = isSlice ? this.#slice(object) : this.#endpoints(object);
    return changed === undefined ? bytes : wire.encode(typeMeta, changed);
  }

  #slice(slice: KubeObject): KubeObject | undefined {
    const address = this.#addresses().find(({ family }) => family === slice['addressType']);
    if (address === undefined) return undefined;
    const endpoint = { addresses: [address.host], conditions: { ready: true }, nodeName: this.#nodeName };
    return { ...slice, endpoints: [endpoint], ports: atHub(list(slice, 'ports'), address.port) };
  }

  #endpoints(endpoints: KubeObject): KubeObject | undefined {
    const address = this.#addresses().find(({ family }) => family === 'IPv4') ?? this.#addresses()[0];
    if (address === undefined) return undefined;
    const ports = list(endpoints, 'subsets').flatMap((subset) => list(subset, 'ports'));
    const subset = {
      addresses: [{ ip: address.host, nodeName: this.#nodeName }],
      ports: atHub(ports, address.port),
    };
    return { ...endpoints, subsets: [subset] };
  }
}

/** The API server's port with another number; its name is what ties it to the Service's port. */
export function atHub(ports: readonly KubeObject[], port: number): KubeObject[] {
  const https = ports.find((candidate) => candidate['name'] === portName) ?? { name: portName, protocol: 'TCP' };
  return [{ ...https, port }];
}
