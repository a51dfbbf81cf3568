// The hub as the health part sees it, saying what it is told.
import type { CloudAccess, NodeHub, OwnPool } from '../../health/node-hub.ts';
import type { PodState } from '../../health/probe-answer.ts';

/** What a hub says to the health part beside it, as the test wants it. */
export class FakeHub implements NodeHub {
  podStates: readonly PodState[] = [];
  #cloud: CloudAccess = { reachable: true, own: true };
  #pool: OwnPool | undefined;
  readonly #cloudListeners = new Set<(cloud: CloudAccess) => void>();
  readonly #poolListeners = new Set<() => void>();

  get cloud(): CloudAccess {
    return this.#cloud;
  }

  set cloud(cloud: CloudAccess) {
    this.#cloud = cloud;
    for (const listener of this.#cloudListeners) listener(cloud);
  }

  get pool(): OwnPool | undefined {
    return this.#pool;
  }

  set pool(pool: OwnPool | undefined) {
    this.#pool = pool;
    for (const listener of this.#poolListeners) listener();
  }

  onCloudAccess(listener: (cloud: CloudAccess) => void): () => void {
    this.#cloudListeners.add(listener);
    return () => void this.#cloudListeners.delete(listener);
  }

  onPool(listener: () => void): () => void {
    this.#poolListeners.add(listener);
    return () => void this.#poolListeners.delete(listener);
  }

  followPool(): Promise<void> {
    return Promise.resolve();
  }

  pods(): Promise<readonly PodState[]> {
    return Promise.resolve(this.podStates);
  }
}
