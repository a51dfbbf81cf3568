// Where a connection goes: through the agent of a node, or directly. A pure decision over what is connected and what the
// cluster says. Names decide before addresses, since two sites may use the same addresses.
import net from 'node:net';
import { RefusedError } from '../tunnel/refusal.ts';
import type { Endpoint } from '../runtime/settings.ts';

export interface RouteView {
  /** Whether an agent of this node is connected now. */
  isConnected(node: string): boolean;
  /** Whether the node is reached by the tunnel only: labelled so, or seen connected before. */
  isEdge(node: string): boolean;
  /** Address of a node of the cluster that is no edge node. */
  cloudAddress(node: string): string | undefined;
  /** Nodes that have this address or host name, or a pod with this address. */
  nodesAt(host: string): readonly string[];
}

export type Route =
  | { readonly kind: 'node'; readonly node: string; readonly target: Endpoint }
  /** `node`: the one that the target is, or whose pod; undefined for what is no node's. */
  | { readonly kind: 'direct'; readonly node: string | undefined; readonly target: Endpoint };

/** Throws RefusedError (not-connected, ambiguous). */
export function route(target: Endpoint, view: RouteView): Route {
  const { host } = target;
  if (net.isIP(host) === 0 && (view.isConnected(host) || view.isEdge(host))) return toNode(host, target, view);
  const nodes = view.nodesAt(host);
  const edge = nodes.filter((node) => view.isEdge(node) || view.isConnected(node));
  // An edge node writes its own addresses into its status: it must not draw what belongs to a node of the cloud.
  if (edge.length === 0 || edge.length < nodes.length) return direct(target, view);
  const [node = '', ...others] = edge;
  if (others.length === 0) return toNode(node, net.isIP(host) === 0 ? { ...target, host: node } : target, view);
  throw new RefusedError(
    'ambiguous',
    `${host} is at ${edge.length} nodes (${edge.slice(0, 3).join(', ')}): ask by name`,
  );
}

function toNode(node: string, target: Endpoint, view: RouteView): Route {
  if (!view.isConnected(node)) throw new RefusedError('not-connected', `node ${node} is not connected to the tunnel`);
  return { kind: 'node', node, target };
}

/** Names of cloud nodes need not resolve on this host: their Node says where they are. */
function direct(target: Endpoint, view: RouteView): Route {
  const address = net.isIP(target.host) === 0 ? view.cloudAddress(target.host) : undefined;
  const node = address === undefined ? view.nodesAt(target.host).find((name) => !view.isEdge(name)) : target.host;
  return { kind: 'direct', node, target: { ...target, host: address ?? target.host } };
}
