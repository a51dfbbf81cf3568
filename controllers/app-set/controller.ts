// The controller of YurtAppSets: observes, has it planned and carried out, and tells of it.
import { choosesPool } from './tweaks.ts';
import type { Api } from '../machinery/api.ts';
import { watch } from '../machinery/controller.ts';
import type { Controller, Outcome } from '../machinery/controller.ts';
import { isConflict } from '../machinery/errors.ts';
import type { Recorder } from '../machinery/event-recorder.ts';
import type { Informer } from '../machinery/informer.ts';
import type { NodePool } from '../node-pool/node-pool-crd.ts';
import { nodePoolCollection } from '../node-pool/node-pools.ts';
import { keyOf, nameOfKey } from '../machinery/resource.ts';
import type { ApiObject, ObjectName } from '../machinery/resource.ts';
import { same } from '../machinery/same.ts';
import type { ControllerFactory, ControllerParts } from '../registry.ts';
import type { Clock } from '../../runtime/clock.ts';
import { appSetResource } from './app-set-crd.ts';
import { appSetKey, appSets, revisions, workloads } from './collections.ts';
import type { StoredAppSet, StoredRevision, StoredWorkload } from './collections.ts';
import { Execution, orGone } from './execution.ts';
import { Memories, type Memory } from './memory.ts';
import { AppSetMetrics } from './metrics.ts';
import { planAppSet } from './plan.ts';
import type { Observed, Plan } from './plan.ts';
import { boundedStatus, noticesOf, statusChange, statusOf } from './status.ts';
import { workloadKinds } from './types.ts';
import type { WorkloadKind, YurtAppSetStatus } from './types.ts';

/** Counts of ready pods change with every pod: they are written at most so often. */
const countsEveryMs = 5_000;

export const appSetController = ((parts) => new AppSetController(parts)) satisfies ControllerFactory;

class AppSetController implements Controller {
  readonly name = 'app-set';
  readonly workers = 4;
  readonly watches;
  readonly #api: Api;
  readonly #recorder: Recorder;
  readonly #clock: Clock;
  readonly #metrics: AppSetMetrics;
  readonly #appSets: Informer<StoredAppSet>;
  readonly #pools: Informer<NodePool>;
  readonly #revisions: Informer<StoredRevision, 'owner'>;
  readonly #workloads: Readonly<Record<WorkloadKind, Informer<StoredWorkload, 'owner'>>>;
  readonly #memories = new Memories();
  readonly #execution: Execution;

  constructor({ api, informers, recorder, clock, metrics }: ControllerParts) {
    this.#api = api;
    this.#recorder = recorder;
    this.#clock = clock;
    this.#metrics = new AppSetMetrics(metrics);
    this.#appSets = informers.of(appSets);
    this.#pools = informers.of(nodePoolCollection);
    this.#revisions = informers.of(revisions);
    this.#workloads = {
      Deployment: informers.of(workloads.Deployment),
      StatefulSet: informers.of(workloads.StatefulSet),
      DaemonSet: informers.of(workloads.DaemonSet),
    };
    this.#execution = new Execution({
      api,
      recorder,
      clock,
      metrics: this.#metrics,
      appSets: this.#appSets,
      revisions: this.#revisions,
      workloads: this.#workloads,
    });
    const owner = ({ before, after }: { before: ApiObject | undefined; after: ApiObject | undefined }): string[] =>
      [appSetKey(before), appSetKey(after)].filter((key) => key !== undefined);
    this.watches = [
      watch(this.#appSets, ({ key }) => [key]),
      watch(this.#pools, ({ before, after }) => (isPlannedBy(before, after) ? this.#appSetsOf(before, after) : [])),
      watch(this.#revisions, owner),
      ...workloadKinds.map((kind) => watch(this.#workloads[kind], owner)),
    ];
  }

  async reconcile(key: string, signal: AbortSignal): Promise<Outcome | void> {
    const memory = this.#memories.of(key, signal);
    const appSet = this.#appSets.get(nameOfKey(key));
    if (appSet === undefined) {
      this.#memories.forget(key);
      return;
    }
    const observed = this.#observe(appSet, memory);
    const plan = planAppSet(observed);
    const { problems, wrote } = await this.#execution.carryOut(appSet, plan.actions, memory, signal);
    // The next look sees what was written: a status of before would be one write more. It comes at once, and tells in any case.
    memory.untold = wrote && problems.length === 0 && !memory.untold;
    if (memory.untold) return { againAfterMs: 0 };
    const againMs = await this.#tell(appSet, observed, plan, memory, signal);
    // All others were tried: what is retried is what failed. A conflict solves itself by looking again.
    const worst = problems.find((problem) => !isConflict(problem)) ?? problems[0];
    if (worst !== undefined) throw worst;
    return againMs === undefined ? undefined : { againAfterMs: againMs };
  }

  #observe(appSet: StoredAppSet, memory: Memory): Observed {
    const { uid } = appSet.metadata;
    const owned = workloadKinds.flatMap((kind) => this.#workloads[kind].byIndex('owner', uid));
    const settled = owned.filter(({ metadata }) => {
      const generation = memory.settled.get(metadata.uid);
      return generation !== undefined && generation === metadata.generation;
    });
    return {
      appSet,
      nodePools: this.#pools.list(),
      workloads: owned,
      revisions: this.#revisions.byIndex('owner', uid),
      refusals: memory.refusals,
      settled: new Set(settled.map(({ metadata }) => metadata.uid)),
      // OpenYurt's CRD drops what Holdfast adds to the status.
      previous: appSet.status?.pools === undefined ? (memory.status ?? appSet.status) : appSet.status,
      nowMs: this.#clock.wallMs(),
    };
  }

  /** App sets that have to do with a pool, before or after it changed. */
  #appSetsOf(before: NodePool | undefined, after: NodePool | undefined): string[] {
    const keys: string[] = [];
    for (const { metadata, spec } of this.#appSets.list()) {
      const isConcerned = [before, after].some((pool) => pool !== undefined && concerns(spec, pool));
      if (isConcerned) keys.push(keyOf(metadata));
    }
    return keys;
  }

  /** Status and Events. Gives when to look again. */
  async #tell(
    appSet: StoredAppSet,
    observed: Observed,
    { view, lookAgainAtMs }: Plan,
    memory: Memory,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const waits = lookAgainAtMs === undefined ? [] : [Math.max(0, lookAgainAtMs - this.#clock.wallMs())];
    if (view !== undefined) {
      const status = boundedStatus(statusOf(observed, view));
      const change = statusChange(observed.previous, status);
      const sinceMs = this.#clock.monotonicMs() - memory.writtenMs;
      if (change === 'news' || (change === 'counts' && sinceMs >= countsEveryMs))
        await this.#writeStatus(appSet, status, observed.previous, memory, signal);
      else if (change === 'counts') waits.push(countsEveryMs - sinceMs);
    }
    // What was refused just now is not in the plan yet.
    for (const { retryAtMs } of memory.refusals.values())
      if (retryAtMs > observed.nowMs) waits.push(retryAtMs - observed.nowMs);
    return waits.length === 0 ? undefined : Math.min(...waits) + 1;
  }

  async #writeStatus(
    appSet: StoredAppSet,
    status: YurtAppSetStatus,
    previous: Observed['previous'],
    memory: Memory,
    signal: AbortSignal,
  ): Promise<void> {
    const { uid } = appSet.metadata;
    const body = { metadata: { uid }, status };
    const name: ObjectName = appSet.metadata;
    const after = await this.#api
      .patch<StoredAppSet>(appSetResource, name, 'merge', body, signal, { subresource: 'status' })
      .catch(orGone);
    this.#appSets.written(after);
    memory.status = status;
    memory.writtenMs = this.#clock.monotonicMs();
    this.#metrics.writes.inc({ write: 'status' });
    for (const { type, reason, message } of noticesOf(previous, status))
      this.#recorder.record(appSetResource, appSet, type, reason, message);
  }
}

/** Of a pool a plan reads its labels and how many of its nodes are ready; the rest of the status changes with every node. */
function isPlannedBy(before: NodePool | undefined, after: NodePool | undefined): boolean {
  if (before === undefined || after === undefined) return true;
  return (
    before.status?.readyNodeNum !== after.status?.readyNodeNum || !same(before.metadata.labels, after.metadata.labels)
  );
}

function concerns(spec: StoredAppSet['spec'], pool: NodePool): boolean {
  try {
    return choosesPool(spec, pool);
  } catch {
    // A selector that cannot be used concerns no pool; the plan reports it.
    return false;
  }
}
