// What DNAT mode does, decided from the nodes that are known: which address leads to which node, which addresses several
// nodes have, and what their Nodes should say about that. Nothing here touches the network.
import net from 'node:net';
import { isLocalAddress } from '../../tunnel/target.ts';

export interface NodeAddresses {
  readonly name: string;
  /** Reached through the tunnel only. */
  readonly isEdge: boolean;
  /** What kube-apiserver may dial, as the Node has it. */
  readonly addresses: readonly string[];
}

export interface DnatPlan {
  /** Address, and the one node that has it. */
  readonly mapped: ReadonlyMap<string, string>;
  /** Addresses of several edge nodes and of nobody else: refused at once, since whoever answers may be the wrong one. */
  readonly refused: readonly string[];
  /** Edge nodes that cannot be reached by an address, and why, in words for people. */
  readonly conflicts: ReadonlyMap<string, string>;
}

/** `isOwn`: whether an address is this host's. */
export function planDnat(nodes: Iterable<NodeAddresses>, isOwn: (address: string) => boolean): DnatPlan {
  const owners = new Map<string, { edge: string[]; cloud: string[] }>();
  for (const { name, isEdge, addresses } of nodes) {
    for (const address of new Set(addresses.flatMap(canonical))) {
      const known = owners.get(address) ?? { edge: [], cloud: [] };
      known[isEdge ? 'edge' : 'cloud'].push(name);
      owners.set(address, known);
    }
  }
  const mapped = new Map<string, string>();
  const refused: string[] = [];
  const conflicts = new Map<string, string[]>();
  for (const [address, { edge, cloud }] of [...owners].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const complain = (node: string, why: string): void =>
      void conflicts.set(node, [...(conflicts.get(node) ?? []), `${address} is also ${why}`]);
    const others = (node: string): string => list([...edge, ...cloud].filter((name) => name !== node));
    const [first] = edge;
    if (first === undefined) continue;
    // A kubelet writes its Node's addresses: it must draw neither this host's connections to itself nor a cloud node's.
    if (isOwn(address)) for (const node of edge) complain(node, 'an address of the control plane');
    else if (edge.length + cloud.length > 1) {
      for (const node of edge) complain(node, `the address of ${others(node)}`);
      if (cloud.length === 0) refused.push(address);
    } else mapped.set(address, first);
  }
  return {
    mapped,
    refused,
    conflicts: new Map([...conflicts].map(([node, whys]) => [node, `${whys.join('; ')}: ${advice}`])),
  };
}

const advice = 'kube-apiserver cannot reach this node by its address; use the EgressSelector, which asks by name';

/** One text for each address; nothing for names and for addresses that mean something else on every host. */
function canonical(address: string): string[] {
  const family = net.isIP(address);
  if (family === 0 || isLocalAddress(address)) return [];
  return [new net.SocketAddress({ address, family: family === 4 ? 'ipv4' : 'ipv6' }).address];
}

function list(names: readonly string[]): string {
  const shown = [...names].sort().slice(0, 5);
  return `node ${shown.join(', ')}${names.length > shown.length ? ` and ${names.length - shown.length} more` : ''}`;
}

export const conditionType = 'holdfast.dev/AddressConflict';

/** Of the condition above, as a Node has it. */
export interface ShownCondition {
  readonly status: string;
  readonly message: string;
}

export interface ConditionChange {
  readonly node: string;
  readonly status: 'True' | 'False';
  readonly reason: 'EqualAddresses' | 'DistinctAddresses';
  readonly message: string;
}

/** Nodes that never had a conflict get no condition: it would be one more thing to read for everybody. */
export function planConditions(
  conflicts: ReadonlyMap<string, string>,
  shown: ReadonlyMap<string, ShownCondition | undefined>,
): ConditionChange[] {
  const changes: ConditionChange[] = [];
  for (const [node, condition] of shown) {
    const message = conflicts.get(node);
    if (message !== undefined) {
      if (condition?.status !== 'True' || condition.message !== message)
        changes.push({ node, status: 'True', reason: 'EqualAddresses', message });
    } else if (condition?.status === 'True')
      changes.push({
        node,
        status: 'False',
        reason: 'DistinctAddresses',
        message: 'no other node has an address of this one',
      });
  }
  return changes;
}
