// The hub as its neighbour sees it, made from the parts that know.
import type { LocalPod } from '../filters/local-pods.ts';
import type { CloudAccess } from '../uplink/hub-uplink.ts';
import type { NodeHub, OwnPool } from './neighbours.ts';
import type { OwnPoolFeed } from './own-pool.ts';

export interface NodeHubParts {
  readonly uplink: {
    readonly access: CloudAccess;
    onAccessChange(listener: (access: CloudAccess) => void): () => void;
  };
  readonly pool: Pick<OwnPoolFeed, 'current' | 'onChange' | 'run'>;
  readonly pods: () => Promise<readonly LocalPod[]>;
}

export class HubForNeighbours implements NodeHub {
  readonly #parts: NodeHubParts;

  constructor(parts: NodeHubParts) {
    this.#parts = parts;
  }

  get cloud(): CloudAccess {
    return this.#parts.uplink.access;
  }

  onCloudAccess(listener: (cloud: CloudAccess) => void): () => void {
    return this.#parts.uplink.onAccessChange(listener);
  }

  get pool(): OwnPool | undefined {
    return this.#parts.pool.current;
  }

  onPool(listener: () => void): () => void {
    return this.#parts.pool.onChange(listener);
  }

  followPool(signal: AbortSignal): Promise<void> {
    return this.#parts.pool.run(signal);
  }

  pods(): Promise<readonly LocalPod[]> {
    return this.#parts.pods();
  }
}
