// What the hub takes from the part beside it that knows the node's peers (the folder health), and what it gives it: an interface
// of the hub's own, so that neither knows the other's folder. cli/node.ts hands the two to each other.
import type { KubeObject } from '../../kube/wire.ts';
import { untilAborted } from '../../runtime/until-aborted.ts';
import type { LocalPod } from '../filters/local-pods.ts';
import type { CutOffPeer } from '../filters/peer-pods.ts';
import { noRelay, type RelayWay } from '../uplink/relay.ts';
import type { CloudAccess } from '../uplink/hub-uplink.ts';
import type { LeaseAnnotation } from '../writes/annotated-lease.ts';

/** The pool that this node's Node object names, with its membership slices. */
export interface OwnPool {
  readonly name: string;
  readonly slices: readonly KubeObject[];
}

/** The hub, as its neighbour sees it. */
export interface NodeHub {
  readonly cloud: CloudAccess;
  /** Calls back on every change; returns the way to stop that. */
  onCloudAccess(listener: (cloud: CloudAccess) => void): () => void;
  /** Undefined while nothing is known, and for a node of no pool. */
  readonly pool: OwnPool | undefined;
  onPool(listener: () => void): () => void;
  /** Keeps `pool` up to date until `signal` aborts. */
  followPool(signal: AbortSignal): Promise<void>;
  /** The pods of this node as its kubelet sees them. May reject: the store cannot be read. */
  pods(): Promise<readonly LocalPod[]>;
}

export interface Neighbours {
  /** For the renewal of the node's Lease that is about to go out; undefined: there is nothing to say, ever. */
  leaseAnnotation(): LeaseAnnotation | undefined;
  /** Peers that this node sees alive and that have no way to the cloud: they alone know how their pods are. */
  readonly cutOffPeers: readonly CutOffPeer[];
  /** Whether this node sees that peer alive. */
  isAlive(node: string): boolean;
  /** Calls back after each look at a peer; returns the way to stop that. */
  onSeen(listener: () => void): () => void;
  /** The way to API servers while there is no other. */
  readonly relay: RelayWay;
  /** Until `signal` aborts; never rejects. */
  run(hub: NodeHub, signal: AbortSignal): Promise<void>;
}

/** A hub alone. */
export const noNeighbours: Neighbours = {
  leaseAnnotation: () => undefined,
  cutOffPeers: [],
  isAlive: () => false,
  onSeen: () => () => undefined,
  relay: noRelay,
  run: (_hub, signal) => untilAborted(signal),
};
