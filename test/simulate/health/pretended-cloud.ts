// The cloud's side of the simulation: Leases as the API server has them, the guard's real observations and rules, and what it would
// do to nodes and pods.
import { Observations } from '../../../controllers/eviction-guard/observations.ts';
import { judgePool, type MemberEvidence, type VerdictKind } from '../../../controllers/eviction-guard/rules.ts';
import { defaultPoolSettings } from '../../../peers/membership.ts';
import type { Observation } from '../../../peers/observers.ts';
import type { Timeline } from '../timeline.ts';

export interface Decision {
  readonly name: string;
  readonly atMs: number;
  readonly kind: VerdictKind;
  /** Reason and votes. */
  readonly message: string;
  /** It was not so before. */
  readonly isNew: boolean;
  /** Pods were deleted. */
  readonly acts: boolean;
}

const judgeEveryMs = 1_000;

export class PretendedCloud {
  readonly #pool: string;
  readonly #names: readonly string[];
  readonly #observation: Observation;
  readonly #time: Timeline;
  readonly #decided: (decision: Decision) => void;
  readonly #leases = new Map<string, { version: number; report: string }>();
  /** As in the Nodes' conditions: survives the guard. */
  readonly #standing = new Map<string, VerdictKind>();
  readonly #acted = new Set<string>();
  #observations = new Observations(() => undefined);
  #version = 0;
  #pictureMs = 0;
  isGuardRunning = true;
  /** When the guard that runs was started. */
  #guardSinceMs = 0;
  /** Reports that were refused: in an honest world, none. */
  refused = 0;

  constructor(
    parts: {
      readonly pool: string;
      readonly names: readonly string[];
      readonly observation: Observation;
      readonly time: Timeline;
    },
    decided: (decision: Decision) => void,
  ) {
    this.#pool = parts.pool;
    this.#names = parts.names;
    this.#observation = parts.observation;
    this.#time = parts.time;
    this.#decided = decided;
    this.restartGuard();
    const loop = (): void => {
      this.#judge();
      this.#time.after(judgeEveryMs, loop);
    };
    this.#time.after(judgeEveryMs, loop);
  }

  /** A node's PUT of its Lease. */
  renewed(name: string, report: string): void {
    this.#version += 1;
    const lease = { version: this.#version, report };
    this.#leases.set(name, lease);
    this.#see(name, lease);
  }

  /** For how long the guard has been there. */
  get guardMs(): number {
    return this.#time.nowMs - this.#guardSinceMs;
  }

  /** A new guard knows what stands in the API, and nothing of what was observed. */
  restartGuard(): void {
    this.#guardSinceMs = this.#time.nowMs;
    this.#observations = new Observations(() => (this.refused += 1));
    for (const [name, lease] of this.#leases) this.#see(name, lease);
  }

  #see(name: string, { version, report }: { version: number; report: string }): void {
    if (!this.isGuardRunning) return;
    this.#pictureMs = this.#time.nowMs;
    this.#observations.lease(
      { nodeName: name, uid: name, resourceVersion: `${version}`, renewTime: `${version}`, report },
      this.#time.nowMs,
    );
  }

  #judge(): void {
    if (!this.isGuardRunning) return;
    const { nowMs } = this.#time;
    // As the guard's picture does when all is quiet: it reads the Leases, and finds them as they were.
    if (nowMs - this.#pictureMs > 10_000) this.#pictureMs = nowMs;
    const members = this.#names.map((name): MemberEvidence => ({
      name,
      observed: this.#observations.of(name, nowMs),
      cordoned: false,
      fenced: false,
      standing: this.#standing.get(name),
    }));
    // Nobody late, nothing decided before: every verdict would be `alive`.
    if (this.#standing.size === 0 && members.every(({ observed }) => (observed?.silentSeconds ?? 0) < 15)) return;
    const verdicts = judgePool({
      pool: this.#pool,
      settings: defaultPoolSettings,
      members,
      observation: this.#observation,
      pictureAgeSeconds: (nowMs - this.#pictureMs) / 1000,
    });
    for (const [name, { kind, act, reason, message }] of verdicts) {
      if (kind === 'observing') continue;
      const isNew = (this.#standing.get(name) ?? 'alive') !== kind;
      if (kind === 'alive') this.#standing.delete(name);
      else this.#standing.set(name, kind);
      if (kind !== 'dead') this.#acted.delete(name);
      const acts = act && !this.#acted.has(name);
      if (acts) this.#acted.add(name);
      if (act) this.#observations.foundDead(name);
      if (isNew || acts) this.#decided({ name, atMs: nowMs, kind, message: `${reason}: ${message}`, isNew, acts });
    }
  }
}
