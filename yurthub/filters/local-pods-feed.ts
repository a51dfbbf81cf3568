// Keeps LocalPods in step with the write path, and has endpoints looked at again when that matters to them.
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { KubeObject } from '../../kube/wire.ts';
import { localPod, type LocalPods } from './local-pods.ts';

export interface LocalPodsFeedParts {
  readonly clock: Clock;
  readonly pods: LocalPods;
  /** Status of every pod as written to the hub while the cloud was out of reach, until the cloud has it. */
  readonly statuses: () => Iterable<{ readonly uid: string; readonly status: KubeObject }>;
  /** Tells watchers of the endpoints of these pods, by uid, about those that look different now. */
  readonly refresh: (uids: readonly string[]) => Promise<void>;
  readonly failed: (error: unknown) => void;
}

/** From the report of a kubelet to the endpoints that follow from it the cloud takes seconds. */
const leavingMs = 30_000;

export class LocalPodsFeed {
  readonly #parts: LocalPodsFeedParts;
  #timer: Timer | undefined;

  constructor(parts: LocalPodsFeedParts) {
    this.#parts = parts;
  }

  /** To be called when statuses may have changed; the first time before clients are served. */
  async follow(): Promise<void> {
    const { pods, statuses } = this.#parts;
    const present = new Set<string>();
    const changed: string[] = [];
    for (const { uid, status } of statuses()) {
      present.add(uid);
      if (pods.set(localPod(uid, status))) changed.push(uid);
    }
    for (const uid of pods.uids()) if (!present.has(uid) && pods.leave(uid)) changed.push(uid);
    if (changed.length > 0) await this.#parts.refresh(changed);
  }

  /** The cloud is back: it hears of the pods from the kubelet now. */
  async returned(): Promise<void> {
    await this.follow();
    this.#timer?.cancel();
    this.#timer = this.#parts.clock.after(leavingMs, () => {
      const gone = this.#parts.pods.forgetLeaving();
      if (gone.length > 0) this.#parts.refresh(gone).catch((error: unknown) => this.#parts.failed(error));
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
