// What kubelets of peers say of their pods while these peers are cut off from the cloud: heard from the peers themselves, which
// this node sees alive.
import type { Clock, Timer } from '../../runtime/clock.ts';
import { LocalPods, type LocalPod } from './local-pods.ts';

export interface CutOffPeer {
  readonly node: string;
  readonly pods: readonly LocalPod[];
}

export class PeerPods {
  readonly #byNode = new Map<string, LocalPods>();

  get empty(): boolean {
    return this.#byNode.size === 0;
  }

  nodes(): string[] {
    return [...this.#byNode.keys()];
  }

  /** Of a node that says nothing here: undefined. */
  of(node: string): LocalPods | undefined {
    return this.#byNode.get(node);
  }

  made(node: string): LocalPods {
    const pods = this.#byNode.get(node) ?? new LocalPods();
    this.#byNode.set(node, pods);
    return pods;
  }

  forget(node: string): void {
    this.#byNode.delete(node);
  }
}

export interface PeerPodsFeedParts {
  readonly clock: Clock;
  readonly pods: PeerPods;
  readonly cutOff: () => readonly CutOffPeer[];
  readonly isAlive: (node: string) => boolean;
  /** Tells watchers of the endpoints of these pods, by uid, about those that look different now. */
  readonly refresh: (uids: readonly string[]) => void;
}

/** From the report of a kubelet to the endpoints that follow from it the cloud takes seconds. */
const leavingMs = 30_000;

export class PeerPodsFeed {
  readonly #parts: PeerPodsFeedParts;
  readonly #leaving = new Map<string, Timer>();

  constructor(parts: PeerPodsFeedParts) {
    this.#parts = parts;
  }

  /** To be called when a peer was looked at. */
  follow(): void {
    const { pods, cutOff, isAlive, refresh } = this.#parts;
    const changed: string[] = [];
    const peers = cutOff();
    for (const peer of peers) changed.push(...this.#heard(peer));
    for (const node of pods.nodes()) {
      if (peers.some((peer) => peer.node === node)) continue;
      if (isAlive(node)) changed.push(...this.#returned(node));
      // Nobody vouches for its pods any more.
      else changed.push(...this.#forget(node));
    }
    if (changed.length > 0) refresh(changed);
  }

  stop(): void {
    for (const timer of this.#leaving.values()) timer.cancel();
  }

  #heard({ node, pods: said }: CutOffPeer): string[] {
    this.#leaving.get(node)?.cancel();
    this.#leaving.delete(node);
    const pods = this.#parts.pods.made(node);
    const changed = said.filter((pod) => pods.set(pod)).map(({ uid }) => uid);
    const present = new Set(said.map(({ uid }) => uid));
    return [...changed, ...pods.uids().filter((uid) => !present.has(uid) && pods.leave(uid))];
  }

  /** It reaches the cloud again, which hears of its pods from its kubelet now. */
  #returned(node: string): string[] {
    const { clock, pods, refresh } = this.#parts;
    const known = pods.of(node);
    if (known === undefined || this.#leaving.has(node)) return [];
    this.#leaving.set(
      node,
      clock.after(leavingMs, () => refresh(this.#forget(node))),
    );
    return known.uids().filter((uid) => known.leave(uid));
  }

  #forget(node: string): string[] {
    this.#leaving.get(node)?.cancel();
    this.#leaving.delete(node);
    const uids = this.#parts.pods.of(node)?.uids() ?? [];
    this.#parts.pods.forget(node);
    return uids;
  }
}
