// The eviction guard as a controller: a key is a pool, which is judged every few seconds, and what follows from the verdicts is
// done at once. It fights nobody: it writes what is its own, deletes pods of nodes that are proved dead, and when it is not sure,
// or not there, what was decided before stands.
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Api } from '../machinery/api.ts';
import { watch, type Controller } from '../machinery/controller.ts';
import { ApiError, isConflict, isNotFound } from '../machinery/errors.ts';
import type { Recorder } from '../machinery/event-recorder.ts';
import type { Informer } from '../machinery/informer.ts';
import type { Change } from '../machinery/object-cache.ts';
import { nodeResource, poolsOfChange, watchNodes, type Node } from '../nodes.ts';
import { guardedNode, podResource, poolsOf } from './collections.ts';
import type { GuardMetrics } from './metrics.ts';
import { isMarked, planNode, standingOf } from './node-plan.ts';
import { fencedAnnotation, type GuardedNode, type GuardedPod } from './objects.ts';
import type { Refusal } from './observations.ts';
import type { Picture } from './picture.ts';
import type { Refusals } from './refusals.ts';
import { fateOf } from './pod-plan.ts';
import { judgePool, verdictKinds, type Verdict, type VerdictKind } from './rules.ts';
import { timing } from './timing.ts';

export interface GuardParts {
  readonly api: Api;
  readonly picture: Picture;
  readonly pods: Informer<GuardedPod, 'node'>;
  readonly refusals: Refusals;
  readonly recorder: Recorder;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: GuardMetrics;
}

/** A pool in which nobody is missed is looked at so often; others more often. */
const calmMs = 5_000;
const troubledMs = 1_000;

/** Verdicts for people: reason and type of the event. */
const events: Readonly<
  Record<Exclude<VerdictKind, 'observing'>, readonly [reason: string, type: 'Normal' | 'Warning']>
> = {
  alive: ['NodeBack', 'Normal'],
  cutOff: ['NodeCutOff', 'Warning'],
  siteCutOff: ['SiteCutOff', 'Warning'],
  dead: ['NodeDead', 'Warning'],
  undecided: ['NodeUndecided', 'Warning'],
};

export class EvictionGuard implements Controller {
  readonly name = 'eviction-guard';
  readonly workers = 4;
  readonly watches: Controller['watches'];
  readonly #parts: GuardParts;
  readonly #log: Log;
  /** Members by verdict, and pods that wait for fencing, of each pool. */
  readonly #counts = new Map<string, { readonly verdicts: ReadonlyMap<string, Verdict>; readonly waiting: number }>();
  /** What was last said of a dead node's pods: once is enough. */
  readonly #said = new Map<string, string>();

  constructor(parts: GuardParts) {
    this.#parts = parts;
    this.#log = parts.log.child(this.name);
    const { nodes, slices, leases } = parts.picture;
    this.watches = [
      watch(slices, ({ before, after }) => poolsOf(before, after)),
      watchNodes(nodes, keysOfNode),
      watch(parts.pods, () => []),
      watch(leases, () => []),
    ];
  }

  async reconcile(key: string, signal: AbortSignal): Promise<{ readonly againAfterMs: number } | void> {
    if (key.startsWith(nodeKeyPrefix)) return await this.#release(key.slice(nodeKeyPrefix.length), signal);
    const { picture, metrics, refusals } = this.#parts;
    if (!picture.pools.has(key)) {
      this.#counts.delete(key);
      this.#publish();
      return undefined;
    }
    await picture.makeCurrent(signal).catch((error: unknown) => this.#failed('leases', key, error, signal));
    metrics.pictureAge.set(picture.ageSeconds);
    const verdicts = this.#judge(key);
    let waiting = 0;
    let pauseMs = 0;
    // The dead first: theirs is the work that people wait for.
    for (const [name, verdict] of [...verdicts].sort(([, one], [, other]) => Number(other.act) - Number(one.act)))
      try {
        this.#tellRefusals(refusals.take(name));
        waiting += await this.#carryOut(key, name, verdict, signal);
      } catch (error) {
        // One node that cannot be written must not keep the others of its pool from being judged.
        pauseMs = Math.max(pauseMs, this.#failed(verdict.act ? 'pods' : 'node', name, error, signal));
      }
    this.#counts.set(key, { verdicts, waiting });
    this.#publish();
    const isCalm = [...verdicts.values()].every(({ kind, reason }) => kind === 'alive' && reason === 'Heard');
    return { againAfterMs: Math.max(isCalm ? calmMs : troubledMs, Math.min(pauseMs, 10_000)) };
  }

  #judge(pool: string): Map<string, Verdict> {
    const { picture } = this.#parts;
    const evidence = picture.evidenceOn(pool);
    const verdicts = evidence === undefined ? new Map<string, Verdict>() : judgePool(evidence);
    for (const [name, { act }] of verdicts) if (act) picture.foundDead(name);
    return verdicts;
  }

  /** Writes the verdict and does what it asks for; gives the number of pods that wait for fencing. */
  async #carryOut(pool: string, name: string, verdict: Verdict, signal: AbortSignal): Promise<number> {
    const { picture } = this.#parts;
    const node = picture.node(name);
    if (node === undefined) return 0;
    if (verdict.kind !== 'dead') this.#said.delete(name);
    await this.#write(node, verdict, signal);
    if (verdict.act) {
      if (this.#podsOf(node, 'delete').length > 0) await this.#deletePods(pool, node, signal);
      this.#say(node);
    }
    return verdict.kind === 'dead' && !node.fenced ? this.#podsOf(node, 'needsFencing').length : 0;
  }

  async #write(node: GuardedNode, verdict: Verdict | undefined, signal: AbortSignal): Promise<void> {
    const { api, picture, clock, metrics, recorder } = this.#parts;
    const { name } = node.metadata;
    const plan = planNode(node, verdict, new Date(clock.wallMs()).toISOString().replace(/\.\d+Z$/, 'Z'));
    // The taint first: a condition that says what is not done yet would make the next round think that it is.
    if (plan.taints !== undefined)
      picture.nodes.written(await api.patch(nodeResource, { name }, 'merge', plan.taints, signal));
    if (plan.condition === undefined) return;
    const subresource = 'status';
    picture.nodes.written(
      await api.patch(nodeResource, { name }, 'strategic', plan.condition, signal, { subresource }),
    );
    if (verdict === undefined || verdict.kind === 'observing') return;
    metrics.decisions.inc({ verdict: verdict.kind });
    const { reason, message } = verdict;
    const before = standingOf(node) ?? 'none';
    this.#log.info('decided', { node: name, verdict: verdict.kind, before, reason, message });
    const [event, type] = events[verdict.kind];
    recorder.record(nodeResource, node, type, event, `${reason}: ${message}`);
  }

  async #deletePods(pool: string, node: GuardedNode, signal: AbortSignal): Promise<void> {
    const { api, picture, metrics } = this.#parts;
    const { name } = node.metadata;
    // A watch may be late, and what follows cannot be taken back.
    await picture.lookAgain(name, signal);
    for (const pod of this.#podsOf(node, 'delete')) {
      // The requests before this one may have taken minutes.
      if (this.#judge(pool).get(name)?.act !== true) return;
      const { namespace, name: podName, uid } = pod.metadata;
      const wasThere = await api
        .remove(podResource, { namespace, name: podName }, { uid }, signal)
        .catch((error: unknown) => {
          // Another pod of that name: the one that was meant is gone.
          if (isConflict(error)) return false;
          throw error;
        });
      if (!wasThere) continue;
      metrics.podsDeleted.inc();
      this.#log.info('a pod of a dead node was deleted', { node: name, namespace, pod: podName });
    }
  }

  /** What is left on a dead node, and what a person can do about it. */
  #say(node: GuardedNode): void {
    const waiting = this.#podsOf(node, 'needsFencing');
    const bare = this.#podsOf(node, 'bare').length;
    const { name } = node.metadata;
    const parts: string[] = [];
    if (waiting.length > 0 && !node.fenced)
      parts.push(
        `${waiting.length} pods of StatefulSets or with volumes wait until the node is known to be off for good: ` +
          `kubectl annotate node ${name} ${fencedAnnotation}=${node.bootID}`,
      );
    if (bare > 0) parts.push(`${bare} pods that nothing would make again stay where they are`);
    const message = parts.join('; ');
    if (message === (this.#said.get(name) ?? '')) return;
    this.#said.set(name, message);
    this.#parts.recorder.record(nodeResource, node, 'Warning', 'PodsLeft', message);
  }

  #podsOf(node: GuardedNode, fate: ReturnType<typeof fateOf>): GuardedPod[] {
    return this.#parts.pods.byIndex('node', node.metadata.name).filter((pod) => fateOf(pod) === fate);
  }

  /** A node that is in no pool any more is given back as it was; while it is silent, nothing is known of it. */
  async #release(name: string, signal: AbortSignal): Promise<{ readonly againAfterMs: number } | void> {
    const { picture } = this.#parts;
    const node = picture.node(name);
    if (node === undefined || node.pool !== undefined || !isMarked(node)) return undefined;
    if (!picture.isHeard(name)) return { againAfterMs: timing.heard * 1000 };
    await this.#write(node, undefined, signal);
    return undefined;
  }

  #tellRefusals(refusals: readonly Refusal[]): void {
    const { picture, recorder } = this.#parts;
    for (const { nodeName, problem, detail } of refusals) {
      this.#log.warn('a report was not taken', { node: nodeName, problem, detail });
      const node = picture.node(nodeName);
      if (node !== undefined)
        recorder.record(nodeResource, node, 'Warning', 'PeerReportRefused', `${problem}: ${detail}`);
    }
  }

  /** How long to wait before another try, in milliseconds. */
  #failed(action: 'node' | 'pods' | 'leases', name: string, error: unknown, signal: AbortSignal): number {
    signal.throwIfAborted();
    if (isNotFound(error) || isConflict(error)) return 0;
    this.#parts.metrics.failures.inc({ action });
    this.#log.warn('an action failed and is tried again', { action, name, problem: (error as Error).message });
    return error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
  }

  #publish(): void {
    const { metrics } = this.#parts;
    const sums = new Map<VerdictKind, number>();
    let waiting = 0;
    for (const pool of this.#counts.values()) {
      waiting += pool.waiting;
      for (const { kind } of pool.verdicts.values()) sums.set(kind, (sums.get(kind) ?? 0) + 1);
    }
    for (const kind of verdictKinds) metrics.count(kind, sums.get(kind) ?? 0);
    metrics.podsWaiting.set(waiting);
  }
}

/** Keys of nodes that are in no pool; a pool's name is a label's value and has no slash. */
const nodeKeyPrefix = 'node/';

function keysOfNode(change: Change<Node>): string[] {
  const pools = poolsOfChange(change);
  const after = change.after && guardedNode(change.after);
  const hasLeft = after !== undefined && after.pool === undefined && isMarked(after);
  return hasLeft ? [...pools, `${nodeKeyPrefix}${after.metadata.name}`] : pools;
}
