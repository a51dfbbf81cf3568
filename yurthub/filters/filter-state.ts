// What filters know of other objects than the one they show: Services' annotations, pools, this node and its pods. Kept up
// to date from views, only once a filter has asked for it; watchers are told of what looks different when it changes.
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { child, metadataOf, text } from '../../kube/plain-object.ts';
import type { KubeObject, Wire } from '../../kube/wire.ts';
import { wireFor } from '../../kube/wires.ts';
import type { ViewKey } from '../types.ts';
import { ViewFollower, type FollowerSink } from '../views/follower.ts';
import type { ViewSet } from '../views/view-set.ts';
import { AnnotatedServices } from './annotated-services.ts';
import { hostNetworkLabel } from './host-network.ts';
import { localPod, LocalPods, type LocalPod } from './local-pods.ts';
import { LocalPodsFeed } from './local-pods-feed.ts';
import { listenAnnotation } from './node-ports.ts';
import { PeerPods, PeerPodsFeed, type CutOffPeer } from './peer-pods.ts';
import { NodePools, type PoolMembership } from './pools.ts';
import type { ServiceTopology } from './service-topology.ts';
import { StandIns } from './stand-ins.ts';

const anywhere = { namespace: '', labelSelector: '' } as const;
/** As the kubelet asks for it, so that it is the kubelet's view. */
const servicesKey: ViewKey = {
  ...anywhere,
  group: '',
  version: 'v1',
  resource: 'services',
  fieldSelector: 'spec.clusterIP!=None',
  encoding: 'protobuf',
};
const poolType = { apiVersion: 'apps.openyurt.io/v1beta2', kind: 'NodePool' };
const poolsKey: ViewKey = {
  ...anywhere,
  group: 'apps.openyurt.io',
  version: 'v1beta2',
  resource: 'nodepools',
  fieldSelector: '',
  encoding: 'json',
};
const podType = { apiVersion: 'v1', kind: 'Pod' };
/** As the kubelet asks for its pods. */
const podWire = wireFor('protobuf');
const podsKey = (nodeName: string): ViewKey => ({
  ...anywhere,
  group: '',
  version: 'v1',
  resource: 'pods',
  fieldSelector: `spec.nodeName=${nodeName}`,
  encoding: podWire.encoding,
});
const nodeType = { apiVersion: 'v1', kind: 'Node' };
/** As the kubelet watches its Node. */
const nodeKey = (nodeName: string): ViewKey => ({
  ...anywhere,
  group: '',
  version: 'v1',
  resource: 'nodes',
  fieldSelector: `metadata.name=${nodeName}`,
  encoding: 'protobuf',
});
const endpoints = [
  { group: 'discovery.k8s.io', resource: 'endpointslices' },
  { group: '', resource: 'endpoints' },
] as const;
const services = { group: '', resource: 'services' } as const;
const pods = { group: '', resource: 'pods' } as const;

export interface FilterStateParts {
  readonly views: ViewSet;
  readonly clock: Clock;
  readonly log: Log;
  /** Status of every pod as written to the hub while the cloud was out of reach, until the cloud has it. */
  readonly podStatuses: () => Iterable<{ readonly uid: string; readonly status: KubeObject }>;
  readonly nodeName: string;
  /** Peers that this node sees alive and that have no way to the cloud. */
  readonly cutOffPeers: () => readonly CutOffPeer[];
  /** Whether this node sees that peer alive. */
  readonly isAlive: (node: string) => boolean;
}

export class FilterState {
  readonly localPods = new LocalPods();
  readonly peerPods = new PeerPods();
  readonly #services = new AnnotatedServices();
  readonly #pools = new NodePools();
  readonly #standIns = new StandIns();
  #isHostNetwork = false;
  #parts: FilterStateParts | undefined;
  #podsFeed: LocalPodsFeed | undefined;
  #peersFeed: PeerPodsFeed | undefined;
  #servicesFollower: ViewFollower | undefined;
  #poolsFollower: ViewFollower | undefined;
  #nodeFollower: ViewFollower | undefined;
  #podsFollower: ViewFollower | undefined;
  /** The cloud has been in reach of this process. */
  #connected = false;
  #tail: Promise<unknown> = Promise.resolve();

  /** For filters: from the first look on, Services are followed. */
  get topology(): ServiceTopology {
    this.#servicesFollower?.want();
    return this.#services;
  }

  /** Likewise pools. */
  get pools(): PoolMembership {
    this.#poolsFollower?.want();
    return this.#pools;
  }

  /** Whether this node is in a host-network pool; likewise. */
  get isHostNetwork(): boolean {
    this.#nodeFollower?.want();
    return this.#isHostNetwork;
  }

  /** Likewise this node's pods that stand in for Services. */
  get standIns(): StandIns {
    this.#podsFollower?.want();
    return this.#standIns;
  }

  /** Filters are needed to make views, and views to know what filters have to know: so these come second. */
  connect(parts: FilterStateParts): void {
    const { views, clock, log } = parts;
    this.#parts = parts;
    views.own(poolsKey);
    this.#podsFeed = new LocalPodsFeed({
      clock,
      pods: this.localPods,
      statuses: parts.podStatuses,
      refresh: () => this.#refreshEndpoints([parts.nodeName, ...this.#standIns.services()]),
      failed: (error) => this.#failed(error),
    });
    this.#peersFeed = new PeerPodsFeed({
      clock,
      pods: this.peerPods,
      cutOff: parts.cutOffPeers,
      isAlive: parts.isAlive,
      refresh: (uids) => this.#later(() => this.#refreshEndpoints(uids)),
    });
    const ofAll = { views, clock, log };
    this.#servicesFollower = new ViewFollower(servicesKey, { ...ofAll, how: 'join', sink: this.#servicesSink() });
    this.#poolsFollower = new ViewFollower(poolsKey, { ...ofAll, how: 'make', sink: this.#poolsSink() });
    const ownNode = nodeKey(parts.nodeName);
    this.#nodeFollower = new ViewFollower(ownNode, { ...ofAll, how: 'join', sink: this.#nodeSink() });
    this.#podsFollower = new ViewFollower(podsKey(parts.nodeName), { ...ofAll, how: 'join', sink: this.#podsSink() });
  }

  /** Slices of this Service decide together, and now otherwise than before. */
  topologyChanged(service: string): void {
    this.#later(() => this.#refreshEndpoints([service]));
  }

  /** Takes up what an earlier process kept. To be called before clients are served. */
  async load(): Promise<void> {
    await this.podsChanged();
    await this.#servicesFollower?.prime();
    await this.#poolsFollower?.prime();
    await this.#nodeFollower?.prime();
    await this.#podsFollower?.prime();
    await this.#tail;
  }

  async run(signal: AbortSignal): Promise<void> {
    const followers = [this.#servicesFollower, this.#poolsFollower, this.#nodeFollower, this.#podsFollower];
    await Promise.all(followers.flatMap((follower) => follower?.run(signal) ?? []));
    this.#podsFeed?.stop();
    this.#peersFeed?.stop();
    await this.#tail;
  }

  /** To be called when the status of a pod was written here, or has gone to the cloud. */
  async podsChanged(): Promise<void> {
    await this.#podsFeed?.follow();
  }

  /** To be called when a peer was seen. */
  peerSeen(): void {
    this.#peersFeed?.follow();
  }

  /**
   * The cloud is about to be heard again, and what was written here to be given up. Of all pods it is remembered how they
   * are; after a start only of those that were written since: what an earlier process kept of the others may be of
   * before a reboot.
   */
  async returning(): Promise<void> {
    if (this.#parts === undefined || !this.#connected) return;
    try {
      // Of what is known already this return may be the second attempt, and the view has no more what was written.
      for (const pod of await this.ownPods()) if (this.localPods.get(pod.uid) === undefined) this.localPods.set(pod);
    } catch (error) {
      // Services then go by what the cloud says of these pods, as they would without the hub.
      this.#failed(error);
    }
  }

  /** This node's pods as its kubelet sees them. Rejects with StoreReadError. */
  async ownPods(): Promise<LocalPod[]> {
    if (this.#parts === undefined) return [];
    const view = await this.#parts.views.kept(podsKey(this.#parts.nodeName));
    return ((await view?.snapshot())?.items ?? []).map((bytes) => {
      const pod = podWire.decode(podType, bytes);
      return localPod(text(metadataOf(pod), 'uid'), child(pod, 'status'));
    });
  }

  async returned(): Promise<void> {
    this.#connected = true;
    await this.#podsFeed?.returned();
  }

  #servicesSink(): FollowerSink {
    let changed = new Set<string>();
    return {
      put: (wire, { namespace, name, bytes }) => {
        if (this.#services.put(wire, namespace, name, bytes)) changed.add(name);
      },
      remove: (namespace, name) => {
        if (this.#services.remove(namespace, name)) changed.add(name);
      },
      settled: () => {
        if (changed.size === 0) return;
        const names = [...changed];
        changed = new Set();
        this.#later(() => this.#refreshEndpoints(names));
      },
    };
  }

  #podsSink(): FollowerSink {
    let changed = new Set<string>();
    return {
      put: (wire, { namespace, name, bytes }) => {
        for (const service of this.#standIns.put(wire, namespace, name, bytes)) changed.add(service);
      },
      remove: (namespace, name) => {
        for (const service of this.#standIns.remove(namespace, name)) changed.add(service);
      },
      settled: () => {
        if (changed.size === 0) return;
        const names = [...changed];
        changed = new Set();
        this.#later(() => this.#refreshEndpoints(names));
      },
    };
  }

  #poolsSink(): FollowerSink {
    let changed = false;
    return {
      put: (wire, { name, bytes }) => {
        changed = this.#pools.set(name, nodesOf(wire, bytes)) || changed;
      },
      remove: (_namespace, name) => {
        changed = this.#pools.delete(name) || changed;
      },
      settled: () => {
        if (!changed) return;
        changed = false;
        this.#later(async () => {
          await this.#refreshEndpoints(this.#services.names());
          await this.#parts?.views.refresh(services, (_key, bytes) => bytes.includes(listenAnnotation));
        });
      },
    };
  }

  #nodeSink(): FollowerSink {
    return {
      put: (wire, { bytes }) => {
        const isNow = isOfHostNetworkPool(wire, bytes);
        if (isNow === this.#isHostNetwork) return;
        this.#isHostNetwork = isNow;
        this.#later(async () => {
          await this.#parts?.views.refresh(pods, () => true);
        });
      },
      // A Node that is deleted is made again by its kubelet, and its pods run on as they are.
      remove: () => undefined,
      settled: () => undefined,
    };
  }

  /** Only objects that hold one of these texts can look different. */
  async #refreshEndpoints(texts: readonly string[]): Promise<void> {
    for (const resource of endpoints)
      await this.#parts?.views.refresh(resource, (_key, bytes) => texts.some((part) => bytes.includes(part)));
  }

  /** One after the other: a view that tells of a change must not wait for another view. */
  #later(task: () => Promise<void>): void {
    this.#tail = this.#tail.then(task).catch((error: unknown) => this.#failed(error));
  }

  #failed(error: unknown): void {
    this.#parts?.log.error('watchers could not be told of what looks different now', { error: String(error) });
  }
}

/** A cheap look first: of a Node most is images, and it changes with every heartbeat. */
function isOfHostNetworkPool(wire: Wire, bytes: Buffer): boolean {
  if (!bytes.includes(hostNetworkLabel)) return false;
  return text(child(metadataOf(wire.decode(nodeType, bytes)), 'labels'), hostNetworkLabel) === 'true';
}

function nodesOf(wire: Wire, bytes: Buffer): string[] {
  const { nodes } = child(wire.decode(poolType, bytes), 'status');
  return Array.isArray(nodes) ? nodes.filter((node) => typeof node === 'string') : [];
}
