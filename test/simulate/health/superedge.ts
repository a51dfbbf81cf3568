// The rule of SuperEdge's edge-health, as ../shared/facts.md has it, in the same world: every node of a site checks every other, votes
// are keyed by address, and a majority of the site decides. Its decision only holds the node controller's eviction back, so that what
// it finds dead goes at stock timing. What is not known of it is taken in its favour: its votes here arrive at once, and are not forged.
import type { Timeline } from '../timeline.ts';
import type { World } from './world.ts';

/** Stock Kubernetes: Unknown after 50 s, evicted 300 s later. */
const stockMs = { unknown: 50_000, evicted: 350_000 };
const checkEveryMs = 10_000;
const checkTimeoutMs = 2_000;
/** TCP, and a plain HTTP request. */
const checkRoundTrips = 2;

export interface SuperEdgeDecision {
  readonly node: number;
  readonly atMs: number;
}

export class SuperEdge {
  readonly #world: World;
  readonly #time: Timeline;
  readonly #evicted: (decision: SuperEdgeDecision) => void;
  readonly #renewedMs: number[];
  /** What the cloud was told last: the majority of the site finds the node well. */
  readonly #isWell: boolean[];
  readonly #isEvicted: boolean[];
  checks = 0;

  constructor(world: World, time: Timeline, evicted: (decision: SuperEdgeDecision) => void) {
    this.#world = world;
    this.#time = time;
    this.#evicted = evicted;
    this.#renewedMs = world.names.map(() => 0);
    this.#isWell = world.names.map(() => true);
    this.#isEvicted = world.names.map(() => false);
    const loop = (): void => {
      this.#check();
      time.after(checkEveryMs, loop);
    };
    time.after(checkEveryMs, loop);
  }

  renewed(node: number): void {
    this.#renewedMs[node] = this.#time.nowMs;
    this.#isEvicted[node] = false;
  }

  #check(): void {
    const world = this.#world;
    const running = world.isOn.filter(Boolean).length;
    this.checks += running * (world.names.length - 1);
    for (const node of world.names.keys()) {
      const silentMs = this.#time.nowMs - this.#renewedMs[node]!;
      // Of nodes that are heard the votes change nothing.
      if (silentMs < checkEveryMs * 2) continue;
      for (const side of new Set(world.side)) this.#vote(node, side);
      if (silentMs < stockMs.evicted || this.#isWell[node] || this.#isEvicted[node]) continue;
      this.#isEvicted[node] = true;
      this.#evicted({ node, atMs: this.#time.nowMs });
    }
  }

  /** The nodes of one side exchange their votes; whoever of them reaches the cloud tells it. */
  #vote(subject: number, side: number): void {
    const world = this.#world;
    const voters = [...world.names.keys()].filter((n) => world.isOn[n] && world.side[n] === side);
    if (!voters.some((n) => world.reachesCloud(n))) return;
    const against = voters.filter(
      (n) =>
        n !== subject &&
        (!world.sees(n, subject) || world.exchange(world.lan, checkRoundTrips, true, checkTimeoutMs) === undefined),
    ).length;
    this.#isWell[subject] = against * 2 <= world.names.length;
  }
}
