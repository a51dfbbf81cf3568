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
    const sides = this.#sides();
    for (const node of world.names.keys()) {
      const silentMs = this.#time.nowMs - this.#renewedMs[node]!;
      // Of nodes that are heard the votes change nothing.
      if (silentMs < checkEveryMs * 2) continue;
      for (const [side, voters] of sides) this.#vote(node, side, voters);
      if (silentMs < stockMs.evicted || this.#isWell[node] || this.#isEvicted[node]) continue;
      this.#isEvicted[node] = true;
      this.#evicted({ node, atMs: this.#time.nowMs });
    }
  }

  /** Nodes that run, by side, where one of them reaches the cloud. */
  #sides(): Map<number, number[]> {
    const world = this.#world;
    const sides = new Map<number, number[]>();
    for (const [node, side] of world.side.entries()) {
      if (!world.isOn[node]) continue;
      const voters = sides.get(side);
      if (voters === undefined) sides.set(side, [node]);
      else voters.push(node);
    }
    for (const [side, voters] of sides) if (!voters.some((n) => world.reachesCloud(n))) sides.delete(side);
    return sides;
  }

  /** The nodes of one side exchange their votes; whoever of them reaches the cloud tells it. */
  #vote(subject: number, side: number, voters: readonly number[]): void {
    const world = this.#world;
    const isThere = world.isOn[subject]! && world.side[subject] === side;
    const against = isThere
      ? voters.filter(
          (n) => n !== subject && world.exchange(world.lan, checkRoundTrips, true, checkTimeoutMs) === undefined,
        ).length
      : voters.length;
    this.#isWell[subject] = against * 2 <= world.names.length;
  }
}
