// What the health part needs of the hub that it runs beside. The hub does not know this folder, nor this folder the hub.
import type { KubeObject } from '../kube/wire.ts';
import type { PodState } from './probe-answer.ts';

/** The pool that this node's Node object names, with its EndpointSlices as the hub last had them. */
export interface OwnPool {
  readonly name: string;
  readonly slices: readonly KubeObject[];
}

export interface CloudAccess {
  /** An API server can be reached, by whichever way. */
  readonly reachable: boolean;
  /** One can be reached without a peer. */
  readonly own: boolean;
}

export interface NodeHub {
  readonly cloud: CloudAccess;
  /** Calls back on every change; returns the way to stop that. */
  onCloudAccess(listener: (cloud: CloudAccess) => void): () => void;
  /** Undefined while nothing is known, and for a node of no pool. Known without the cloud, too. */
  readonly pool: OwnPool | undefined;
  onPool(listener: () => void): () => void;
  /** Keeps `pool` up to date until `signal` aborts. */
  followPool(signal: AbortSignal): Promise<void>;
  /** The pods of this node as its kubelet sees them. May reject: the store cannot be read. */
  pods(): Promise<readonly PodState[]>;
}
