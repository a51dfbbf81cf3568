// Reports that were refused, until the leader tells people of them: whatever a node writes, it is one event for each of its
// faults in ten minutes.
import type { Clock } from '../../runtime/clock.ts';
import type { GuardMetrics } from './metrics.ts';
import type { Refusal } from './observations.ts';

const againAfterMs = 600_000;

export class Refusals {
  readonly #clock: Clock;
  readonly #metrics: GuardMetrics;
  /** By node and problem, of which there are six. */
  readonly #last = new Map<string, Map<string, { refusal: Refusal; atMs: number; isTold: boolean }>>();

  constructor(clock: Clock, metrics: GuardMetrics) {
    this.#clock = clock;
    this.#metrics = metrics;
  }

  add(refusal: Refusal): void {
    this.#metrics.reportsRefused.inc({ problem: refusal.problem });
    const ofNode = this.#last.get(refusal.nodeName) ?? new Map();
    this.#last.set(refusal.nodeName, ofNode);
    const atMs = this.#clock.monotonicMs();
    const before = ofNode.get(refusal.problem);
    if (before !== undefined && atMs - before.atMs < againAfterMs) return;
    ofNode.set(refusal.problem, { refusal, atMs, isTold: false });
  }

  /** Those of a node that were not taken yet. */
  take(nodeName: string): Refusal[] {
    const untold = [...(this.#last.get(nodeName)?.values() ?? [])].filter(({ isTold }) => !isTold);
    for (const entry of untold) entry.isTold = true;
    return untold.map(({ refusal }) => refusal);
  }

  forget(nodeName: string): void {
    this.#last.delete(nodeName);
  }
}
