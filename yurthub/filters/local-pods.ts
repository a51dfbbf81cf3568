// What this node's kubelet last said of its pods while the cloud was out of reach, as far as Services depend on it.
import { list, text } from '../../kube/plain-object.ts';
import type { KubeObject } from '../../kube/wire.ts';

export interface LocalPod {
  readonly uid: string;
  /** Empty before its network is set up. */
  readonly addresses: readonly string[];
  readonly ready: boolean;
  /** Succeeded or Failed: it serves nobody any more. */
  readonly finished: boolean;
}

interface Kept {
  readonly pod: LocalPod;
  /** The kubelet reports to the cloud again: what is known here counts until that has arrived in the endpoints. */
  readonly leaving: boolean;
}

export class LocalPods {
  readonly #pods = new Map<string, Kept>();

  get empty(): boolean {
    return this.#pods.size === 0;
  }

  get(uid: string): Kept | undefined {
    return this.#pods.get(uid);
  }

  uids(): string[] {
    return [...this.#pods.keys()];
  }

  /** True when that makes a difference to Services. */
  set(pod: LocalPod): boolean {
    const before = this.#pods.get(pod.uid);
    this.#pods.set(pod.uid, { pod, leaving: false });
    return before === undefined || before.leaving || JSON.stringify(before.pod) !== JSON.stringify(pod);
  }

  /** The cloud has the last word on this pod again, as soon as it has heard of its addresses. True when it was known. */
  leave(uid: string): boolean {
    const kept = this.#pods.get(uid);
    if (kept === undefined || kept.leaving) return false;
    this.#pods.set(uid, { ...kept, leaving: true });
    return true;
  }

  /** The cloud has had the time to hear of them. Gives the uids. */
  forgetLeaving(): string[] {
    const gone = [...this.#pods].filter(([, { leaving }]) => leaving).map(([uid]) => uid);
    for (const uid of gone) this.#pods.delete(uid);
    return gone;
  }
}

/** From a pod's status as its kubelet writes it. */
export function localPod(uid: string, status: KubeObject): LocalPod {
  const ips = list(status, 'podIPs').map((entry) => text(entry, 'ip'));
  const addresses = ips.length > 0 ? ips : [text(status, 'podIP')];
  const ready = list(status, 'conditions').find((condition) => condition['type'] === 'Ready');
  return {
    uid,
    addresses: addresses.filter((address) => address !== ''),
    ready: ready?.['status'] === 'True',
    finished: ['Succeeded', 'Failed'].includes(text(status, 'phase')),
  };
}
