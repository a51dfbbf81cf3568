// While a peer is cut off the cloud calls its pods not ready, since it cannot see them. As long as this node sees the peer alive,
// endpoints of its pods are shown as the peer's own kubelet says they are: what serves goes on serving, what fails does not, and
// what came up with another address after a reboot is found there. A peer speaks for its own pods alone.
import { child, text } from '../../kube/plain-object.ts';
import type { KubeObject, Wire } from '../../kube/wire.ts';
import type { Collection, Filter } from '../views/presenter.ts';
import { isOf } from './collection.ts';
import type { LocalPod } from './local-pods.ts';
import { Marker } from './marker.ts';
import type { PeerPods } from './peer-pods.ts';
import { ofFamily, sliceType, sliceWithPods, type CloudWord } from './pod-endpoints.ts';

export class PeerEndpointsFilter implements Filter {
  readonly name = 'peer-endpoints';
  readonly #pods: PeerPods;
  readonly #markers = new Map<string, Marker>();

  constructor(pods: PeerPods) {
    this.#pods = pods;
  }

  concerns(collection: Collection): boolean {
    return isOf(collection, 'discovery.k8s.io', 'endpointslices');
  }

  apply(wire: Wire, bytes: Buffer): Buffer {
    if (this.#pods.empty || !this.#pods.nodes().some((node) => this.#markerOf(node).mayBeIn(wire, bytes))) return bytes;
    const changed = sliceWithPods(wire.decode(sliceType, bytes), (...of) => this.#podOf(...of));
    return changed === undefined ? bytes : wire.encode(sliceType, changed);
  }

  #podOf(endpoint: KubeObject, cloud: CloudWord, type: string): LocalPod | undefined {
    const kept = this.#pods.of(text(endpoint, 'nodeName'))?.get(text(child(endpoint, 'targetRef'), 'uid'));
    if (kept === undefined) return undefined;
    const { pod, leaving } = kept;
    const isHeard = ofFamily(pod, type).join() === cloud.addresses.join();
    if (isHeard && cloud.ready === pod.ready) return undefined;
    // On its return: that a pod is not ready is said by the cloud of every pod that it could not see for a while.
    return leaving && isHeard && cloud.ready ? undefined : pod;
  }

  #markerOf(node: string): Marker {
    const marker = this.#markers.get(node) ?? new Marker(node);
    this.#markers.set(node, marker);
    return marker;
  }
}
