// What the guard knows at this moment, as evidence for the rules: its own observations of Leases and Nodes, and the membership
// of pools. It is kept in every replica, so that the next leader need not begin to watch when it takes over.
import type { Clock } from '../../runtime/clock.ts';
import { readMembership, type PoolMembership } from '../../peers/membership.ts';
import { Observation } from '../../peers/observers.ts';
import type { Api } from '../machinery/api.ts';
import type { Informer, InformerSet } from '../machinery/informer.ts';
import type { ApiObject } from '../machinery/resource.ts';
import type { KubeObject } from '../../kube/wire.ts';
import { membershipCollection } from '../membership/membership-controller.ts';
import { nodes, type Node } from '../nodes.ts';
import { guardedLeases, guardedNode, keepLease, leaseResource, nodeLeaseNamespace } from './collections.ts';
import { standingOf } from './node-plan.ts';
import type { GuardedLease, GuardedNode } from './objects.ts';
import { Observations, type Refusal } from './observations.ts';
import type { MemberEvidence, PoolEvidence } from './rules.ts';
import { timing } from './timing.ts';

export interface PictureParts {
  readonly api: Pick<Api, 'get' | 'list'>;
  readonly informers: InformerSet;
  readonly clock: Clock;
  readonly refused: (refusal: Refusal) => void;
}

/** Whether a list or a watch is broken is asked when nothing was heard of anybody for so long. */
const quietMs = (timing.late * 1000) / 2;

interface Pool {
  readonly membership: PoolMembership;
  readonly observation: Observation;
}

export class Picture {
  readonly leases: Informer<GuardedLease>;
  readonly nodes: Informer<Node, 'pool'>;
  readonly slices: Informer<ApiObject, 'pool'>;
  readonly #parts: PictureParts;
  readonly #observations: Observations;
  /** Computed anew when a slice has changed. */
  #pools: ReadonlyMap<string, Pool> | undefined;
  #currentMs: number;
  #reading: Promise<void> | undefined;

  constructor(parts: PictureParts) {
    const { informers, clock, refused } = parts;
    this.#parts = parts;
    this.#observations = new Observations(refused);
    this.#currentMs = clock.monotonicMs();
    this.leases = informers.of(guardedLeases);
    this.nodes = informers.of(nodes);
    this.slices = informers.of(membershipCollection);
    this.leases.subscribe(({ after }) => {
      if (after === undefined) return;
      this.#currentMs = clock.monotonicMs();
      this.#see(after);
    });
    this.nodes.subscribe(({ before, after }) => {
      if (after === undefined) this.#observations.forget(before!.metadata.name);
      else if (after.status.heartbeat !== undefined)
        this.#observations.heartbeat(after.metadata.name, after.status.heartbeat, clock.monotonicMs());
    });
    this.slices.subscribe(() => (this.#pools = undefined));
  }

  get pools(): ReadonlyMap<string, Pool> {
    this.#pools ??= new Map(
      [...readMembership(this.slices.list() as readonly object[] as KubeObject[])].map(([name, membership]) => [
        name,
        {
          membership,
          observation: new Observation(
            membership.members.map(({ nodeName }) => nodeName),
            membership.settings.observers,
          ),
        },
      ]),
    );
    return this.#pools;
  }

  node(name: string): GuardedNode | undefined {
    const node = this.nodes.get({ name });
    return node && guardedNode(node);
  }

  get ageSeconds(): number {
    return (this.#parts.clock.monotonicMs() - this.#currentMs) / 1000;
  }

  /** Whether a hub of ours runs on the node: without one, nobody speaks for it, and it is left to stock Kubernetes. */
  hasHub(nodeName: string): boolean {
    return this.#observations.hasHub(nodeName);
  }

  /** A sign of it came lately. */
  isHeard(nodeName: string): boolean {
    const observed = this.#observations.of(nodeName, this.#parts.clock.monotonicMs());
    return observed !== undefined && observed.everHeard && observed.silentSeconds < timing.heard;
  }

  /** Until the next sign of it: the others of its pool need not wait for it to be heard. */
  foundDead(nodeName: string): void {
    this.#observations.foundDead(nodeName);
  }

  /** Undefined: there is no such pool, or none of its members has a hub. */
  evidenceOn(pool: string): PoolEvidence | undefined {
    const known = this.pools.get(pool);
    if (known === undefined) return undefined;
    const nowMs = this.#parts.clock.monotonicMs();
    const members = known.membership.members.flatMap(({ nodeName }): MemberEvidence[] => {
      const node = this.node(nodeName);
      if (node === undefined) return [];
      return [
        {
          name: nodeName,
          observed: this.#observations.of(nodeName, nowMs),
          cordoned: node.cordoned,
          fenced: node.fenced,
          standing: standingOf(node),
        },
      ];
    });
    if (!members.some(({ name }) => this.hasHub(name))) return undefined;
    return {
      pool,
      settings: known.membership.settings,
      members,
      observation: known.observation,
      pictureAgeSeconds: this.ageSeconds,
    };
  }

  /**
   * When nothing was heard of anybody, the watch may hang, or nobody be there: reads all Leases, so that the rules can tell. When
   * that fails, the picture grows old, and the rules decide nothing. Rejects as `list` does.
   */
  async makeCurrent(signal: AbortSignal): Promise<void> {
    const { api, clock } = this.#parts;
    if (clock.monotonicMs() - this.#currentMs < quietMs) return;
    this.#reading ??= (async () => {
      const leases = await api.list(leaseResource, { namespace: nodeLeaseNamespace }, signal);
      this.#currentMs = clock.monotonicMs();
      for (const lease of leases) this.#see(keepLease(lease));
    })().finally(() => (this.#reading = undefined));
    await this.#reading;
  }

  /** Reads one node's Lease from the API server itself: what a watch brings may be late. Rejects as `get` does. */
  async lookAgain(nodeName: string, signal: AbortSignal): Promise<void> {
    const lease = await this.#parts.api.get(leaseResource, { namespace: nodeLeaseNamespace, name: nodeName }, signal);
    if (lease !== undefined) this.#see(keepLease(lease));
  }

  #see({ metadata: { name: nodeName, uid, resourceVersion }, renewTime, report }: GuardedLease): void {
    this.#observations.lease({ nodeName, uid, resourceVersion, renewTime, report }, this.#parts.clock.monotonicMs());
  }
}
