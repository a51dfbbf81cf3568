// The health part of a node, put together: it answers its peers, observes those that rendezvous hashing gives it, reports what it
// saw, and leads to the cloud through peers while the node has no way out of its own. Everything follows from the pool's
// membership, which the hub keeps: without a pool there is no port, no probe and no report.
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { delay, type Clock } from '../runtime/clock.ts';
import { LinkedAbort } from '../runtime/linked-abort.ts';
import type { Log } from '../runtime/log.ts';
import type { Metrics } from '../runtime/metrics.ts';
import type { Endpoint } from '../runtime/settings.ts';
import { untilAborted } from '../runtime/until-aborted.ts';
import { defaultPoolSettings, peerPort, readMembership, type PoolMembership } from '../peers/membership.ts';
import { Observation } from '../peers/observers.ts';
import { formatReport, reportAnnotation } from '../peers/report.ts';
import { PeerCredentialFiles, type CredentialSources } from './credentials.ts';
import { CutRecord } from './cut-record.ts';
import type { PeerAddress } from './dial-peer.ts';
import { LocalKubelet } from './local-kubelet.ts';
import { HealthMetrics } from './metrics.ts';
import type { NodeHub } from './node-hub.ts';
import { PeerPort, peerPortLimits } from './peer-port.ts';
import type { PodState, ProbeAnswer } from './probe-answer.ts';
import { defaultProberSettings, Prober, type ProberSettings } from './prober.ts';
import { defaultRelaySettings, RelayService } from './relay-service.ts';
import { RelayWay } from './relay-way.ts';
import { heldMs } from './target-state.ts';

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

const listenRetryMs = 5_000;
/** Of a pod of this node the last word of its kubelet is as old as this at most. */
const podsRememberedMs = 2_000;

export class Health {
  readonly #parts: HealthParts;
  readonly #settings: HealthSettings;
  readonly #log: Log;
  readonly #metrics: HealthMetrics;
  readonly #credentials: PeerCredentialFiles;
  readonly #kubelet: LocalKubelet;
  readonly #prober: Prober;
  readonly #relayService: RelayService;
  readonly #cuts: CutRecord;
  readonly #boot = randomBytes(8).toString('hex');
  readonly #seenListeners = new Set<() => void>();
  /** Ways into the cloud through peers, for the hub and the tunnel agent. */
  readonly relay: RelayWay;
  #hub: NodeHub | undefined;
  #membership: PoolMembership | undefined;
  #members: ReadonlySet<string> = new Set();
  #seq = 0;
  #port: AddressInfo | undefined;
  #pods: { readonly askedMs: number; readonly states: Promise<readonly PodState[]> } | undefined;

  constructor(parts: HealthParts, settings: HealthSettings) {
    const { clock, random } = parts;
    const log = parts.log.child('health');
    const metrics = new HealthMetrics(parts.metrics);
    const credentials = new PeerCredentialFiles({ log, clock }, settings.credentials);
    this.#parts = parts;
    this.#settings = settings;
    this.#log = log;
    this.#metrics = metrics;
    this.#credentials = credentials;
    this.#kubelet = new LocalKubelet({ clock }, settings.kubeletHealth);
    this.#cuts = new CutRecord(clock);
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
    this.relay = new RelayWay({ clock, metrics, credentials, candidates: () => this.#relayCandidates() });
    parts.metrics.onScrape(() => metrics.targets(this.#prober.targets.map(({ state }) => state.state)));
  }

  /** Where peers come in now. */
  get address(): AddressInfo | undefined {
    return this.#port;
  }

  /** The annotation for the next renewal of the node's Lease; without a text there must be none. */
  leaseAnnotation(): { readonly key: string; readonly text: string | undefined } {
    const membership = this.#membership;
    if (membership === undefined) return { key: reportAnnotation, text: undefined };
    this.#seq += 1;
    const nowMs = this.#parts.clock.monotonicMs();
    const text = formatReport({
      reporter: this.#settings.nodeName,
      pool: membership.pool,
      boot: this.#boot,
      seq: this.#seq,
      onlineSeconds: this.#cuts.onlineSeconds,
      cutSeconds: this.#cuts.cutSeconds,
      peers: this.#prober.targets.map(({ address, state }) => ({
        name: address.node,
        state: state.state,
        forSeconds: heldMs(state, nowMs) / 1_000,
        probedSeconds: (nowMs - state.probedMs) / 1_000,
        failures: state.failures,
      })),
    });
    return { key: reportAnnotation, text };
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
    this.#cuts.update(hub.cloud.reachable);
    const stops = [
      hub.onCloudAccess(({ reachable }) => this.#cuts.update(reachable)),
      hub.onPool(() => this.#poolChanged()),
    ];
    this.#poolChanged();
    const following = hub.followPool(signal).catch((error: unknown) => {
      this.#log.error('the pool of this node cannot be followed', { error: String(error) });
    });
    await Promise.all([following, this.#prober.run(signal), this.#serve(signal)]);
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
    this.#listenChanged();
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

  #listenChanged: () => void = () => undefined;

  get #listenAt(): Endpoint | undefined {
    if (this.#membership === undefined) return undefined;
    const { listen, nodeName, peerPort: port } = this.#settings;
    if (listen !== undefined) return listen;
    const own = this.#membership.members.find((member) => member.nodeName === nodeName);
    return own && { host: own.address, port };
  }

  /** The port for peers follows the address of this node, until `signal` aborts. */
  async #serve(signal: AbortSignal): Promise<void> {
    let said = '';
    while (!signal.aborted) {
      using changed = new LinkedAbort(signal);
      const at = this.#listenAt;
      this.#listenChanged = () => {
        const now = this.#listenAt;
        if (now?.host !== at?.host || now?.port !== at?.port) changed.abort();
      };
      const credentials = this.#credentials.current();
      if (at === undefined) {
        await untilAborted(changed.signal);
        continue;
      }
      if (credentials === undefined) {
        await delay(this.#parts.clock, listenRetryMs, changed.signal);
        continue;
      }
      const port = new PeerPort(
        {
          ...this.#parts,
          log: this.#log,
          metrics: this.#metrics,
          credentials: this.#credentials,
          answer: (peer) => this.#answer(peer),
          relay: (peer, authority, socket, head) => this.#relayService.connect(peer, authority, socket, head),
        },
        { ...peerPortLimits, listen: at },
        credentials,
      );
      try {
        this.#port = await port.listen();
        this.#log.info('peers are served', { address: this.#port.address, port: this.#port.port });
        said = '';
        await untilAborted(changed.signal);
      } catch (error) {
        const { message } = error as Error;
        if (message !== said) this.#log.error('peers cannot be served', { problem: message });
        said = message;
        await delay(this.#parts.clock, listenRetryMs, changed.signal);
      } finally {
        this.#port = undefined;
        await port.close();
      }
    }
    this.#listenChanged = () => undefined;
  }
}

/** A pool whose members are not published yet: this node is in it, and knows nobody. */
function unpublished(pool: string): PoolMembership {
  return { pool, members: [], settings: defaultPoolSettings, problems: [] };
}
