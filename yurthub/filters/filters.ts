// Which filters there are, and what each is made from. All of them apply to what views show to clients on this node,
// online and offline, whoever the client is. A client whose requests pass through gets objects as the cloud has them:
// it may mean to write back what it has read.
import { BlockList, type AddressInfo } from 'node:net';
import type { Filter } from '../views/presenter.ts';
import { HostNetworkFilter } from './host-network.ts';
import { HubCaFilter } from './hub-ca.ts';
import { HubEndpointFilter, type HubAddress } from './hub-endpoint.ts';
import { HubServiceFilter } from './hub-service.ts';
import { ImagePullPolicyFilter } from './image-pull-policy.ts';
import { KubeProxyConfigFilter } from './kube-proxy-config.ts';
import { LoadBalancerFilter } from './load-balancers.ts';
import { LocalEndpointsFilter } from './local-endpoints.ts';
import type { LocalPods } from './local-pods.ts';
import { NodePortFilter } from './node-ports.ts';
import { PeerEndpointsFilter } from './peer-endpoints.ts';
import type { PeerPods } from './peer-pods.ts';
import type { PoolMembership } from './pools.ts';
import { ServiceTopologyFilter, type ServiceTopology } from './service-topology.ts';
import { StandInEndpointsFilter } from './stand-in-endpoints.ts';
import type { StandIns } from './stand-ins.ts';
import type { FilterName } from './names.ts';

export interface FilterParts {
  readonly nodeName: string;
  readonly caPem: string;
  /** Where the hub listens; empty until it does. */
  readonly addresses: () => readonly AddressInfo[];
  /** True while the cloud is out of reach. */
  readonly cutOff: () => boolean;
  readonly state: {
    readonly localPods: LocalPods;
    readonly peerPods: PeerPods;
    readonly topology: ServiceTopology;
    readonly pools: PoolMembership;
    readonly isHostNetwork: boolean;
    readonly standIns: StandIns;
    readonly topologyChanged: (service: string) => void;
  };
}

/** In the order in which they are applied. */
export function makeFilters(parts: FilterParts, disabled: readonly FilterName[]): Filter[] {
  const { nodeName, caPem, addresses, cutOff, state } = parts;
  const filters: Record<FilterName, Filter> = {
    'host-network': new HostNetworkFilter(nodeName, () => state.isHostNetwork),
    'hub-ca': new HubCaFilter(caPem),
    'hub-endpoint': new HubEndpointFilter(nodeName, () => reachableFromPods(addresses())),
    'hub-service': new HubServiceFilter(() => reachableFromPods(addresses())),
    'image-pull-policy': new ImagePullPolicyFilter(cutOff),
    'kube-proxy-config': new KubeProxyConfigFilter(() => serverOnHost(addresses())),
    'load-balancers': new LoadBalancerFilter(),
    'node-ports': new NodePortFilter(nodeName, () => state.pools),
    // Readiness as kubelets see it counts for what is near.
    'local-endpoints': new LocalEndpointsFilter(nodeName, state.localPods),
    'peer-endpoints': new PeerEndpointsFilter(state.peerPods),
    // Before what is near is chosen: they are on this node.
    'stand-ins': new StandInEndpointsFilter(nodeName, { standIns: () => state.standIns, pods: state.localPods }),
    'service-topology': new ServiceTopologyFilter(nodeName, {
      services: () => state.topology,
      pools: () => state.pools,
      onChange: (service) => state.topologyChanged(service),
    }),
  };
  return Object.entries(filters)
    .filter(([name]) => !disabled.includes(name as FilterName))
    .map(([, filter]) => filter);
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');
const everyAddress = ['0.0.0.0', '::'];

export function reachableFromPods(addresses: readonly AddressInfo[]): HubAddress[] {
  return addresses
    .filter((address) => !isLoopback(address) && !everyAddress.includes(address.address))
    .map(({ address, port, family }) => ({ host: address, port, family: family === 'IPv6' ? 'IPv6' : 'IPv4' }));
}

/** Loopback first: it is there also where the link-local address could not be added. */
export function serverOnHost(addresses: readonly AddressInfo[]): string | undefined {
  const chosen = addresses.find(isLoopback) ?? addresses[0];
  if (chosen === undefined) return undefined;
  const { family, port } = chosen;
  const address = everyAddress.includes(chosen.address) ? (family === 'IPv6' ? '::1' : '127.0.0.1') : chosen.address;
  return `https://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

function isLoopback({ address, family }: AddressInfo): boolean {
  return loopback.check(address, family === 'IPv6' ? 'ipv6' : 'ipv4');
}
