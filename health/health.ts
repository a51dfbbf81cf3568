// The health part of a node, put together: it answers its peers, observes those that rendezvous hashing gives it, reports what it
// saw, and leads to the cloud through peers while the node has no way out of its own. Everything follows from the pool's
// membership, which the hub keeps: without a pool there is no port, no probe and no report.
import type { AddressInfo } from 'node:net';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Metrics } from '../runtime/metrics.ts';
import type { Endpoint } from '../runtime/settings.ts';
import { defaultPoolSettings, peerPort, readMembership, type PoolMembership } from '../peers/membership.ts';
import { Observation } from '../peers/observers.ts';
import { PeerCredentialFiles, type CredentialSources } from './credentials.ts';
import type { PeerAddress } from './dial-peer.ts';
import { LocalKubelet } from './local-kubelet.ts';
import { HealthMetrics } from './metrics.ts';
import type { NodeHub } from './node-hub.ts';
import { OwnReport, type OwnAnnotation } from './own-report.ts';
import type { PodState, ProbeAnswer } from './probe-answer.ts';
import { defaultProberSettings, Prober, type ProberSettings } from './prober.ts';
import { defaultRelaySettings, RelayService } from './relay-service.ts';
import { RelayWay } from './relay-way.ts';
import { Serving } from './serving.ts';

export interface HealthParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** In [0, 1): jitter. */
  readonly random: () => number;
}

export interface HealthSettings {
  readonly nodeName: string;
  readonly credentials: CredentialSources;
  /** Where peers come in; undefined: the address that the pool's membership has for this node. */
  readonly listen: Endpoint | undefined;
  /** Where peers listen. */
  readonly peerPort: number;
  readonly kubeletHealth: Endpoint;
  /** Whether this node lets peers through, where the pool allows it. */
  readonly relay: boolean;
  /** Where this node lets peers through to: its own API servers and tunnel servers. */
  readonly relayTargets: () => readonly Endpoint[];
  readonly prober: ProberSettings;
}

export const healthDefaults = { peerPort, prober: defaultProberSettings } as const;

/** What a peer without a way out says of its pods. */
export interface CutOffPeer {
  readonly node: string;
  readonly pods: readonly PodState[];
}

/** Of a pod of this node the last word of its kubelet is as old as this at most. */
const podsRememberedMs = 2_000;

export class Health {
  readonly #parts: HealthParts;
  readonly #settings: HealthSettings;
  readonly #log: Log;
  readonly #kubelet: LocalKubelet;
  readonly #prober: Prober;
  readonly #relayService: RelayService;
  readonly #report: OwnReport;
  readonly #serving: Serving;
  readonly #seenListeners = new Set<() => void>();
  /** Ways into the cloud through peers, for the hub and the tunnel agent. */
  readonly relay: RelayWay;
  #hub: NodeHub | undefined;
  #membership: PoolMembership | undefined;
  #members: ReadonlySet<string> = new Set();
  #pods: { readonly askedMs: number; readonly states: Promise<readonly PodState[]> } | undefined;

  constructor(parts: HealthParts, settings: HealthSettings) {
    const { clock, random } = parts;
    const log = parts.log.child('health');
    const metrics = new HealthMetrics(parts.metrics);
    const credentials = new PeerCredentialFiles({ log, clock }, settings.credentials);
    this.#parts = parts;
    this.#settings = settings;
    this.#log = log;
    this.#kubelet = new LocalKubelet({ clock }, settings.kubeletHealth);
    this.#report = new OwnReport({ clock }, settings.nodeName);
    const seen = (): void => {
      for (const listener of this.#seenListeners) listener();
    };
    this.#prober = new Prober({ log, clock, metrics, credentials, random, seen }, settings.prober);
    this.#relayService = new RelayService(
      {
        log,
        clock,
        metrics,
        allowed: () => this.#relays,
        hasWayOut: () => this.#hub?.cloud.own === true,
        isMember: (node) => this.#members.has(node),
        targets: settings.relayTargets,
      },
      defaultRelaySettings,
    );
    this.#serving = new Serving({
      log,
      clock,
      metrics,
      credentials,
      answer: (peer) => this.#answer(peer),
      relay: (peer, authority, socket, head) => this.#relayService.connect(peer, authority, socket, head),
    });
    this.relay = new RelayWay({ clock, metrics, credentials, candidates: () => this.#relayCandidates() });
    parts.metrics.onScrape(() => metrics.targets(this.#prober.targets.map(({ state }) => state.state)));
  }

  /** Where peers come in now. */
  get address(): AddressInfo | undefined {
    return this.#serving.address;
  }

  /** The annotation for the next renewal of the node's Lease; without a text there must be none. */
  leaseAnnotation(): OwnAnnotation {
    return this.#report.next(this.#membership?.pool, this.#prober.targets);
  }

  /** Peers that this node sees alive and that have no way out: only they know how their pods are. */
  get cutOffPeers(): readonly CutOffPeer[] {
    return this.#prober.targets.flatMap(({ address, state, answer }) =>
      state.state === 'up' && answer?.pods !== undefined && answer.kubelet === 'ok'
        ? [{ node: address.node, pods: answer.pods }]
        : [],
    );
  }

  isAlive(node: string): boolean {
    return this.#prober.target(node)?.state.state === 'up';
  }

  /** Calls back after each probe of a peer; returns the way to stop that. */
  onSeen(listener: () => void): () => void {
    this.#seenListeners.add(listener);
    return () => void this.#seenListeners.delete(listener);
  }

  /** Until `signal` aborts. Never rejects: what is wrong with peers is never the hub's matter. */
  async run(hub: NodeHub, signal: AbortSignal): Promise<void> {
    this.#hub = hub;
    this.#report.cloud(hub.cloud.reachable);
    const stops = [
      hub.onCloudAccess(({ reachable }) => this.#report.cloud(reachable)),
      hub.onPool(() => this.#poolChanged()),
    ];
    this.#poolChanged();
    const following = hub.followPool(signal).catch((error: unknown) => {
      this.#log.error('the pool of this node cannot be followed', { error: String(error) });
    });
    await Promise.all([following, this.#prober.run(signal), this.#serving.run(signal)]);
    for (const stop of stops) stop();
    this.#relayService.close();
    this.#kubelet.close();
  }

  #poolChanged(): void {
    const pool = this.#hub?.pool;
    const before = this.#membership;
    const membership =
      pool === undefined ? undefined : (readMembership(pool.slices).get(pool.name) ?? unpublished(pool.name));
    this.#membership = membership;
    this.#members = new Set(membership?.members.map(({ nodeName }) => nodeName));
    for (const problem of membership?.problems ?? [])
      if (before?.problems.includes(problem) !== true) this.#log.warn('the membership of the pool', { problem });
    const { nodeName, peerPort: port } = this.#settings;
    const observed = new Observation(this.#members, membership?.settings.observers ?? 0).observedBy(nodeName);
    const addresses = new Map(membership?.members.map((member) => [member.nodeName, member.address]));
    this.#prober.observe(observed.map((node) => ({ node, host: addresses.get(node) ?? '', port })));
    if (before?.pool !== membership?.pool || before?.members.length !== membership?.members.length)
      this.#log.info('peers of this node', {
        pool: membership?.pool,
        members: membership?.members.length,
        observed: observed.join(),
      });
    // Switched off is off for what goes on, too.
    if (!this.#relays) this.#relayService.close();
    this.#serving.move(this.#listenAt);
  }

  get #relays(): boolean {
    return this.#settings.relay && this.#membership?.settings.relay === true;
  }

  #relayCandidates(): PeerAddress[] {
    if (this.#membership?.settings.relay !== true) return [];
    const { random } = this.#parts;
    return (
      this.#prober.targets
        // How its kubelet is does not matter.
        .filter(({ answer }) => answer?.wayOut === 'own' && answer.relays)
        .map(({ address }) => ({ address, at: random() }))
        // Nodes of a site that lose their ways out together do not all come to the same peer.
        .sort((one, other) => one.at - other.at)
        .map(({ address }) => address)
    );
  }

  async #answer(peer: string): Promise<ProbeAnswer> {
    const cloud = this.#hub?.cloud;
    const wayOut = cloud?.own === true ? 'own' : cloud?.reachable === true ? 'relayed' : 'none';
    const tellsPods = wayOut === 'none' && this.#members.has(peer);
    const [kubelet, pods] = await Promise.all([this.#kubelet.state(), tellsPods ? this.#ownPods() : undefined]);
    return { node: this.#settings.nodeName, kubelet, wayOut, relays: this.#relays, pods };
  }

  async #ownPods(): Promise<readonly PodState[] | undefined> {
    const nowMs = this.#parts.clock.monotonicMs();
    if (this.#pods === undefined || nowMs - this.#pods.askedMs >= podsRememberedMs)
      this.#pods = { askedMs: nowMs, states: this.#hub?.pods() ?? Promise.resolve([]) };
    try {
      return await this.#pods.states;
    } catch (error) {
      // Peers then go by what the cloud says of these pods.
      this.#log.warn('peers cannot be told of the pods of this node', { error: String(error) });
      return undefined;
    }
  }

  get #listenAt(): Endpoint | undefined {
    if (this.#membership === undefined) return undefined;
    const { listen, nodeName, peerPort: port } = this.#settings;
    if (listen !== undefined) return listen;
    const own = this.#membership.members.find((member) => member.nodeName === nodeName);
    return own && { host: own.address, port };
  }
}

/** A pool whose members are not published yet: this node is in it, and knows nobody. */
function unpublished(pool: string): PoolMembership {
  return { pool, members: [], settings: defaultPoolSettings, problems: [] };
}
