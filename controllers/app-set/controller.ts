// The controller of YurtAppSets: observes, has it planned, and carries the plan out.
import { choosesPool } from './tweaks.ts';
import type { Api } from '../machinery/api.ts';
import { watch } from '../machinery/controller.ts';
import type { Controller, Outcome } from '../machinery/controller.ts';
import { ApiError, isConflict, isNotFound } from '../machinery/errors.ts';
import type { Recorder } from '../machinery/event-recorder.ts';
import type { Informer } from '../machinery/informer.ts';
import type { NodePool } from '../node-pool/node-pool-crd.ts';
import { nodePoolCollection } from '../node-pool/node-pools.ts';
import { keyOf, nameOfKey } from '../machinery/resource.ts';
import type { ApiObject, Draft, ObjectName, Resource } from '../machinery/resource.ts';
import { same } from '../machinery/same.ts';
import type { ControllerFactory, ControllerParts } from '../registry.ts';
import type { Clock } from '../../runtime/clock.ts';
import { appSetResource } from './app-set-crd.ts';
import {
  appSetKey,
  appSets,
  controllerOf,
  keptWorkload,
  revisionResource,
  revisions,
  workloadResources,
  workloads,
} from './collections.ts';
import type { StoredAppSet, StoredRevision, StoredWorkload } from './collections.ts';
import { looksLike } from './drift.ts';
import { AppSetMetrics } from './metrics.ts';
import { planAppSet } from './plan.ts';
import type { Action, Observed, Plan, Refusal } from './plan.ts';
import { boundedStatus, noticesOf, statusChange, statusOf } from './status.ts';
import { finalizer, workloadKinds } from './types.ts';
import type { WorkloadKind, YurtAppSetStatus } from './types.ts';
import { applyBody, workloadPatch } from './writes.ts';

const fieldManager = 'holdfast-app-set';
/** Writes for one app set that are on their way at the same time. */
const parallelWrites = 8;
/** Counts of ready pods change with every pod: they are written at most so often. */
const countsEveryMs = 5_000;
const firstRetryMs = 5_000;
const longestRetryMs = 300_000;

type ApplyAction = Extract<Action, { type: 'apply' }>;

/** What is known of an app set beyond what the cluster holds; lost with the process, and only costs time then. */
interface Memory {
  status: YurtAppSetStatus | undefined;
  writtenMs: number;
  readonly refusals: Map<string, Refusal & { readonly pauseMs: number }>;
  /** Workloads, by uid, that do not show what was applied to them, with the generation at that time. */
  readonly settled: Map<string, number | undefined>;
}

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
  readonly #memory = new Map<string, Memory>();
  /** Aborts when this replica leads no more. */
  #term: AbortSignal | undefined;

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
    if (signal !== this.#term) {
      // Another replica may have led since then.
      this.#memory.clear();
      this.#term = signal;
    }
    const appSet = this.#appSets.get(nameOfKey(key));
    if (appSet === undefined) {
      this.#memory.delete(key);
      return;
    }
    const memory = this.#memoryOf(key);
    const observed = this.#observe(appSet, memory);
    const plan = planAppSet(observed);
    const problems = await this.#carryOut(appSet, plan.actions, memory, signal);
    const againMs = await this.#tell(appSet, observed, plan, memory, signal);
    // All others were tried: what is retried is what failed. A conflict solves itself by looking again.
    const worst = problems.find((problem) => !isConflict(problem)) ?? problems[0];
    if (worst !== undefined) throw worst;
    return againMs === undefined ? undefined : { againAfterMs: againMs };
  }

  #memoryOf(key: string): Memory {
    const known = this.#memory.get(key);
    if (known !== undefined) return known;
    const made: Memory = { status: undefined, writtenMs: -Infinity, refusals: new Map(), settled: new Map() };
    this.#memory.set(key, made);
    return made;
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

  /** Gives the errors of what could not be carried out; throws only what makes the rest pointless. */
  async #carryOut(
    appSet: StoredAppSet,
    actions: readonly Action[],
    memory: Memory,
    signal: AbortSignal,
  ): Promise<unknown[]> {
    const problems: unknown[] = [];
    const isFirst = ({ type }: Action): boolean =>
      type === 'add-finalizer' || type === 'create-revision' || type === 'renumber-revision';
    // A workload is never written with a revision that is not recorded, nor for an app set that could vanish without it.
    for (const action of actions.filter(isFirst)) await this.#act(appSet, action, memory, signal);
    const rest = actions.filter((action) => !isFirst(action));
    const next = rest[Symbol.iterator]();
    const worker = async (): Promise<void> => {
      for (const action of next) {
        try {
          signal.throwIfAborted();
          await this.#act(appSet, action, memory, signal);
        } catch (error) {
          problems.push(error);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(parallelWrites, rest.length) }, worker));
    signal.throwIfAborted();
    return problems;
  }

  async #act(appSet: StoredAppSet, action: Action, memory: Memory, signal: AbortSignal): Promise<void> {
    const { namespace, uid } = appSet.metadata;
    const { writes } = this.#metrics;
    switch (action.type) {
      case 'add-finalizer':
      case 'remove-finalizer': {
        const others = (appSet.metadata.finalizers ?? []).filter((name) => name !== finalizer);
        const finalizers = action.type === 'add-finalizer' ? [...others, finalizer] : others;
        // A list is replaced as a whole, so it has to be the one that was looked at.
        const { resourceVersion } = this.#appSets.get(appSet.metadata)?.metadata ?? appSet.metadata;
        const body = { metadata: { uid, resourceVersion, finalizers } };
        const after = await this.#api.patch<StoredAppSet>(appSetResource, appSet.metadata, 'merge', body, signal);
        // The last finalizer of an object that is being deleted is the last of the object.
        if (after.metadata.deletionTimestamp === undefined) this.#appSets.written(after);
        writes.inc({ write: 'finalizer' });
        return;
      }
      case 'create-revision':
        this.#revisions.written(await this.#createRevision(action.object as unknown as Draft, uid, signal));
        writes.inc({ write: 'revision' });
        return;
      case 'renumber-revision': {
        const { metadata } = action.revision as StoredRevision;
        const body = { metadata: { uid: metadata.uid }, revision: action.to };
        this.#revisions.written(await this.#api.patch(revisionResource, metadata, 'merge', body, signal));
        writes.inc({ write: 'revision' });
        return;
      }
      case 'delete-revision':
        await this.#remove(revisionResource, action.revision.metadata as StoredRevision['metadata'], signal);
        writes.inc({ write: 'revision' });
        return;
      case 'delete': {
        const { kind, metadata } = action.workload as StoredWorkload;
        if (await this.#remove(workloadResources[kind], metadata, signal)) {
          writes.inc({ write: 'delete' });
          const message = `${kind} ${metadata.name} was deleted: ${action.reason}`;
          this.#recorder.record(appSetResource, appSet, 'Normal', 'WorkloadDeleted', message);
        }
        return;
      }
      case 'scale':
      case 'mark-lost':
      case 'unmark-lost': {
        const { kind, metadata } = action.workload as StoredWorkload;
        const body = workloadPatch(action, this.#clock.wallMs());
        const name = { namespace, name: metadata.name };
        this.#workloads[kind].written(
          await this.#api.patch(workloadResources[kind], name, 'merge', body, signal).catch(orGone),
        );
        writes.inc({ write: action.type });
        return;
      }
      case 'apply':
        await this.#apply(appSet, action, memory, signal);
    }
  }

  async #apply(appSet: StoredAppSet, action: ApplyAction, memory: Memory, signal: AbortSignal): Promise<void> {
    const { pool, rendered, why } = action;
    const { kind } = rendered.object;
    try {
      const written = await this.#send(appSet, action, signal);
      this.#workloads[kind].written(written);
      this.#metrics.writes.inc({ write: why });
      memory.refusals.delete(pool);
      // What the API server writes in a way of its own is not applied again and again.
      if (looksLike(written, rendered.object)) memory.settled.delete(written.metadata.uid);
      else memory.settled.set(written.metadata.uid, written.metadata.generation);
    } catch (error) {
      if (!(error instanceof ApiError) || !isRefusal(error)) throw error;
      this.#metrics.refusals.inc();
      const before = memory.refusals.get(pool);
      const pauseMs = before?.hash === rendered.hash ? Math.min(2 * before.pauseMs, longestRetryMs) : firstRetryMs;
      const retryAtMs = this.#clock.wallMs() + pauseMs;
      memory.refusals.set(pool, { hash: rendered.hash, message: error.message, pauseMs, retryAtMs });
    }
  }

  async #send(appSet: StoredAppSet, action: ApplyAction, signal: AbortSignal): Promise<StoredWorkload> {
    const { kind, metadata } = action.rendered.object;
    const resource = workloadResources[kind];
    const send = (existing: ApplyAction['existing']): Promise<StoredWorkload> => {
      const body = applyBody({ ...action, existing }, this.#clock.wallMs()) as unknown as Draft & {
        metadata: { name: string };
      };
      // One that is to be made takes nothing from anybody; one that is there is written as it was looked at.
      return this.#api.apply<StoredWorkload>(resource, body, fieldManager, signal, { force: existing !== undefined });
    };
    if (action.existing !== undefined) return await send(action.existing);
    try {
      return await send(undefined);
    } catch (error) {
      if (!isConflict(error)) throw error;
      const found = await this.#api.get<StoredWorkload>(resource, metadata, signal);
      // Gone again: the next look makes it.
      if (found === undefined) throw error;
      if (controllerOf(found)?.uid === appSet.metadata.uid) return await send(keptWorkload(kind, found));
      const message = `a ${kind} ${metadata.name} exists and is not this app set's: delete or rename it`;
      throw new ApiError(message, 422, 'NameTaken');
    }
  }

  async #createRevision(object: Draft, owner: string, signal: AbortSignal): Promise<ApiObject> {
    try {
      return await this.#api.create<StoredRevision>(revisionResource, object, signal);
    } catch (error) {
      if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') throw error;
      const name = { namespace: object.metadata.namespace, name: object.metadata.name ?? '' };
      const found = await this.#api.get<StoredRevision>(revisionResource, name, signal);
      if (found !== undefined && controllerOf(found)?.uid === owner) return found;
      throw error;
    }
  }

  async #remove(resource: Resource, metadata: ApiObject['metadata'], signal: AbortSignal): Promise<boolean> {
    return await this.#api.remove(resource, metadata, { uid: metadata.uid }, signal);
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

/** The object would be refused again: it has to change, or the cluster has to. */
function isRefusal({ status, reason }: ApiError): boolean {
  return status === 400 || status === 403 || status === 404 || status === 422 || reason === 'NameTaken';
}

/** What is gone needs no write: the look that its deletion leads to sees to the rest. */
function orGone(error: unknown): never {
  throw isNotFound(error) ? new ApiError((error as Error).message, 409, 'Conflict') : error;
}
