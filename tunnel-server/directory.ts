// What the cluster says about its nodes and pods, as far as connections need it: names, addresses, and which pod address is
// at which edge node. Fed with objects by a watch; knows nothing of how they come.
import { matchesLabels, type LabelRequirement } from '../kube/selectors/label-selector.ts';
import { Networks } from '../tunnel/target.ts';
import type { ReportedNode } from './dnat/address-report.ts';
import { conditionType, type ShownCondition } from './dnat/plan.ts';

export interface NodeObject {
  readonly metadata: {
    readonly name: string;
    readonly uid?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec?: { readonly podCIDR?: string; readonly podCIDRs?: readonly string[] };
  readonly status?: {
    readonly addresses?: readonly { readonly type: string; readonly address: string }[];
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
  };
}

export interface PodObject {
  readonly metadata: { readonly uid: string };
  readonly spec?: { readonly nodeName?: string; readonly hostNetwork?: boolean };
  readonly status?: { readonly phase?: string; readonly podIPs?: readonly { readonly ip: string }[] };
}

/** OpenYurt's: which pool a node is in. */
const poolLabel = 'apps.openyurt.io/nodepool';

interface KnownNode {
  readonly uid: string;
  readonly isEdge: boolean;
  /** Addresses and host names, in lower case. */
  readonly hosts: readonly string[];
  readonly internalAddress: string | undefined;
  /** What kube-apiserver may dial. */
  readonly addresses: readonly string[];
  /** What DNAT mode has said of the node. */
  readonly condition: ShownCondition | undefined;
  readonly pool: string | undefined;
  /** Undefined where a network plugin hands out addresses by itself. */
  readonly podNetworks: Networks | undefined;
}

export class Directory {
  readonly #edgeSelector: readonly LabelRequirement[];
  readonly #nodes = new Map<string, KnownNode>();
  readonly #nodesByHost = new Map<string, Set<string>>();
  readonly #pods = new Map<string, { readonly node: string; readonly addresses: readonly string[] }>();
  readonly #podNodesByAddress = new Map<string, Map<string, string>>();
  /** Whether nodes have been listed once. */
  nodesSynced = false;
  podsSynced = false;

  constructor({ edgeSelector }: { edgeSelector: readonly LabelRequirement[] }) {
    this.#edgeSelector = edgeSelector;
  }

  /** Undefined until nodes have been listed. */
  exists(node: string): boolean | undefined {
    return this.nodesSynced ? this.#nodes.has(node) : undefined;
  }

  isEdge(node: string): boolean {
    return this.#nodes.get(node)?.isEdge ?? false;
  }

  edgeNodes(): string[] {
    return [...this.#nodes].flatMap(([name, { isEdge }]) => (isEdge ? [name] : []));
  }

  internalAddress(node: string): string | undefined {
    return this.#nodes.get(node)?.internalAddress;
  }

  poolOf(node: string): string | undefined {
    return this.#nodes.get(node)?.pool;
  }

  *nodeAddresses(): Iterable<{ name: string; addresses: readonly string[] }> {
    for (const [name, { addresses }] of this.#nodes) yield { name, addresses };
  }

  reportedNodes(): ReadonlyMap<string, ReportedNode> {
    return new Map([...this.#nodes].map(([name, { uid, condition }]) => [name, { uid, condition }]));
  }

  /** Nodes that have this address or host name, or that run a pod with this address. */
  nodesAt(host: string): readonly string[] {
    return [
      ...new Set([...(this.#nodesByHost.get(host) ?? []), ...(this.#podNodesByAddress.get(host)?.values() ?? [])]),
    ];
  }

  setNode(object: NodeObject): void {
    const { name, uid = '', labels = {} } = object.metadata;
    this.removeNode(name);
    const addresses = object.status?.addresses ?? [];
    const networks = object.spec?.podCIDRs ?? (object.spec?.podCIDR === undefined ? [] : [object.spec.podCIDR]);
    const condition = object.status?.conditions?.find(({ type }) => type === conditionType);
    const node = {
      uid,
      isEdge: matchesLabels(this.#edgeSelector, labels),
      hosts: [...new Set(addresses.map(({ address }) => address.toLowerCase()))],
      internalAddress: addresses.find(({ type }) => type === 'InternalIP')?.address,
      addresses: addresses.filter(({ type }) => type.endsWith('IP')).map(({ address }) => address),
      pool: labels[poolLabel],
      condition: condition && { status: condition.status, message: condition.message ?? '' },
      podNetworks: networks.length === 0 ? undefined : new Networks(networks),
    };
    this.#nodes.set(name, node);
    for (const host of node.hosts) {
      const names = this.#nodesByHost.get(host) ?? new Set();
      this.#nodesByHost.set(host, names.add(name));
    }
  }

  removeNode(name: string): void {
    for (const host of this.#nodes.get(name)?.hosts ?? []) {
      const names = this.#nodesByHost.get(host);
      names?.delete(name);
      if (names?.size === 0) this.#nodesByHost.delete(host);
    }
    this.#nodes.delete(name);
  }

  /** Names of nodes that are known now. */
  nodeNames(): string[] {
    return [...this.#nodes.keys()];
  }

  setPod(object: PodObject): void {
    const { uid } = object.metadata;
    this.removePod(uid);
    const { nodeName = '', hostNetwork = false } = object.spec ?? {};
    const phase = object.status?.phase;
    if (nodeName === '' || hostNetwork || phase === 'Succeeded' || phase === 'Failed') return;
    // A kubelet writes its pods' status: it must not draw addresses that are not its node's.
    const allowed = this.#nodes.get(nodeName)?.podNetworks;
    const addresses = (object.status?.podIPs ?? []).map(({ ip }) => ip).filter((ip) => allowed?.has(ip) ?? true);
    if (addresses.length === 0) return;
    this.#pods.set(uid, { node: nodeName, addresses });
    for (const address of addresses) {
      const pods = this.#podNodesByAddress.get(address) ?? new Map<string, string>();
      this.#podNodesByAddress.set(address, pods.set(uid, nodeName));
    }
  }

  removePod(uid: string): void {
    for (const address of this.#pods.get(uid)?.addresses ?? []) {
      const pods = this.#podNodesByAddress.get(address);
      pods?.delete(uid);
      if (pods?.size === 0) this.#podNodesByAddress.delete(address);
    }
    this.#pods.delete(uid);
  }

  podUids(): string[] {
    return [...this.#pods.keys()];
  }
}
