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
import { ofFamily, sliceType, sliceWithPods, type CloudWord } from './pod-endpoints.ts';

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
    const changed = isSlice ? sliceWithPods(object, (...of) => this.#podOf(...of)) : this.#endpoints(object);
    return changed === undefined ? bytes : wire.encode(typeMeta, changed);
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
  #podOf(endpoint: KubeObject, cloud: CloudWord, type: string): LocalPod | undefined {
    const kept = this.#pods.get(text(child(endpoint, 'targetRef'), 'uid'));
    if (kept === undefined) return undefined;
    const { pod, leaving } = kept;
    const isHeard = ofFamily(pod, type).join() === cloud.addresses.join();
    // That a pod is not ready is said by the cloud of every pod that it could not see for a while.
    return leaving && isHeard && (cloud.ready || !pod.ready) ? undefined : pod;
  }
}
