// After a reboot with the cloud gone this node's pods have other addresses than the cloud knows, and their endpoints lead
// nowhere. They are shown with the addresses and the readiness that the kubelet reported since: so Services and DNS go on
// working. When the cloud is back it has called every pod not ready that it could not see; until it has heard from the
// kubelet again, what the kubelet said counts. Endpoints of other nodes' pods stay.
import { isIPv6 } from 'node:net';
import { child, list, text } from '../../kube/plain-object.ts';
import type { KubeObject, TypeMeta, Wire } from '../../kube/wire.ts';
import type { Collection, Filter } from '../views/presenter.ts';
import { isOf } from './collection.ts';
import type { LocalPod, LocalPods } from './local-pods.ts';
import { Marker } from './marker.ts';

const sliceType: TypeMeta = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' };
const endpointsType: TypeMeta = { apiVersion: 'v1', kind: 'Endpoints' };

export class LocalEndpointsFilter implements Filter {
  readonly name = 'local-endpoints';
  readonly #node: Marker;
  readonly #pods: LocalPods;

  constructor(nodeName: string, pods: LocalPods) {
    this.#node = new Marker(nodeName);
    this.#pods = pods;
  }

  concerns(collection: Collection): boolean {
    return isOf(collection, 'discovery.k8s.io', 'endpointslices') || isOf(collection, '', 'endpoints');
  }

  apply(wire: Wire, bytes: Buffer, collection: Collection): Buffer {
    // Endpoints of pods say on which node they are.
    if (this.#pods.empty || !this.#node.mayBeIn(wire, bytes)) return bytes;
    const isSlice = collection.resource === 'endpointslices';
    const typeMeta = isSlice ? sliceType : endpointsType;
    const object = wire.decode(typeMeta, bytes);
    const changed = isSlice ? this.#slice(object) : this.#endpoints(object);
    return changed === undefined ? bytes : wire.encode(typeMeta, changed);
  }

  #slice(slice: KubeObject): KubeObject | undefined {
    const type = text(slice, 'addressType');
    let touched = false;
    const endpoints = list(slice, 'endpoints').flatMap((endpoint) => {
      const cloud = {
        addresses: (endpoint['addresses'] ?? []) as string[],
        ready: child(endpoint, 'conditions')['ready'] !== false,
      };
      const pod = this.#podOf(endpoint, cloud, type);
      if (pod === undefined) return [endpoint];
      touched = true;
      const addresses = ofFamily(pod, type);
      return addresses.length === 0 ? [] : [{ ...endpoint, addresses, conditions: conditionsOf(pod, endpoint) }];
    });
    return touched ? { ...slice, endpoints } : undefined;
  }

  #endpoints(endpoints: KubeObject): KubeObject | undefined {
    let touched = false;
    const subsets = list(endpoints, 'subsets').map((subset) => {
      const sorted: Record<'addresses' | 'notReadyAddresses', KubeObject[]> = { addresses: [], notReadyAddresses: [] };
      for (const field of ['addresses', 'notReadyAddresses'] as const)
        for (const address of list(subset, field)) {
          const ip = text(address, 'ip');
          const type = isIPv6(ip) ? 'IPv6' : 'IPv4';
          const pod = this.#podOf(address, { addresses: [ip], ready: field === 'addresses' }, type);
          if (pod === undefined) sorted[field].push(address);
          else {
            touched = true;
            const [now] = ofFamily(pod, type);
            if (now !== undefined) sorted[pod.ready ? 'addresses' : 'notReadyAddresses'].push({ ...address, ip: now });
          }
        }
      const { addresses: _ready, notReadyAddresses: _notReady, ...rest } = subset;
      const present = Object.fromEntries(Object.entries(sorted).filter(([, addresses]) => addresses.length > 0));
      return { ...present, ...rest };
    });
    return touched ? { ...endpoints, subsets } : undefined;
  }

  /** The pod of an endpoint, if what is known of it here counts more than what the cloud says. */
  #podOf(
    endpoint: KubeObject,
    cloud: { addresses: readonly string[]; ready: boolean },
    type: string,
  ): LocalPod | undefined {
    const kept = this.#pods.get(text(child(endpoint, 'targetRef'), 'uid'));
    if (kept === undefined) return undefined;
    const { pod, leaving } = kept;
    const isHeard = ofFamily(pod, type).join() === cloud.addresses.join();
    // That a pod is not ready is said by the cloud of every pod that it could not see for a while.
    return leaving && isHeard && (cloud.ready || !pod.ready) ? undefined : pod;
  }
}

function ofFamily({ addresses, finished }: LocalPod, type: string): string[] {
  return finished ? [] : addresses.filter((address) => isIPv6(address) === (type === 'IPv6'));
}

/** By the rules of the EndpointSlice controller; `terminating` is the cloud's to say, since it alone deletes pods. */
function conditionsOf(pod: LocalPod, endpoint: KubeObject): KubeObject {
  const before = child(endpoint, 'conditions');
  const terminating = before['terminating'] === true;
  // Ready without serving: the Service publishes addresses that are not ready.
  const always = before['ready'] === true && before['serving'] === false;
  return { ready: always || (pod.ready && !terminating), serving: pod.ready, terminating };
}
