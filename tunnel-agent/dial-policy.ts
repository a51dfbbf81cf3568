// What the agent lets the tunnel reach: this node's kubelet, ports of this node that are listed, and pods in the networks
// that are listed. A pure decision; everything else is refused, whoever asks.
import { isLocalAddress } from '../tunnel/target.ts';
import type { Endpoint } from '../runtime/settings.ts';

export interface DialPolicy {
  readonly nodeName: string;
  /** Where the kubelet is dialled when the target is this node by name. */
  readonly kubelet: Endpoint;
  /** Further ports of this node. */
  readonly ports: readonly number[];
  readonly podNetworks: { has(host: string): boolean };
  /** Whether an address is one of this host's own. */
  isOwnAddress(host: string): boolean;
}

export type DialDecision =
  { readonly allowed: true; readonly dial: Endpoint } | { readonly allowed: false; readonly why: string };

export function decideDial(target: Endpoint, policy: DialPolicy): DialDecision {
  const { host, port } = target;
  // Loopback is never a target by itself: the hub's own ports, and much else that trusts it, listen there.
  if (isLocalAddress(host)) return refuse(`${host} is a local address of every host`);
  const byName = host === policy.nodeName;
  if (byName || policy.isOwnAddress(host)) {
    if (port !== policy.kubelet.port && !policy.ports.includes(port))
      return refuse(`port ${port} of this node is not listed in allowPorts`);
    return { allowed: true, dial: { host: byName ? policy.kubelet.host : host, port } };
  }
  if (policy.podNetworks.has(host)) return { allowed: true, dial: target };
  return refuse(`${host} is neither this node nor a pod of it`);
}

function refuse(why: string): DialDecision {
  return { allowed: false, why };
}
