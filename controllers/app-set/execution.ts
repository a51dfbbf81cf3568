// Carries the actions of a plan out: each is one write, and what it gives is taken up at once, so that the next look sees it.
import type { Api } from '../machinery/api.ts';
import { ApiError, isConflict, isNotFound } from '../machinery/errors.ts';
import type { Recorder } from '../machinery/event-recorder.ts';
import type { Informer } from '../machinery/informer.ts';
import type { ApiObject, Draft } from '../machinery/resource.ts';
import type { Clock } from '../../runtime/clock.ts';
import { appSetResource } from './app-set-crd.ts';
import { controllerOf, keptWorkload, revisionResource, workloadResources } from './collections.ts';
import type { StoredAppSet, StoredRevision, StoredWorkload } from './collections.ts';
import { looksLike } from './drift.ts';
import type { Memory } from './memory.ts';
import type { AppSetMetrics } from './metrics.ts';
import type { Action } from './plan.ts';
import { finalizer } from './types.ts';
import type { WorkloadKind } from './types.ts';
import { applyBody, workloadPatch } from './writes.ts';

const fieldManager = 'holdfast-app-set';
/** Writes for one app set that are on their way at the same time. */
const parallelWrites = 8;
const firstRetryMs = 5_000;
const longestRetryMs = 300_000;

type ApplyAction = Extract<Action, { type: 'apply' }>;
type Written<T extends ApiObject> = Pick<Informer<T>, 'written'>;

export interface ExecutionParts {
  readonly api: Pick<Api, 'create' | 'patch' | 'apply' | 'get' | 'remove'>;
  readonly recorder: Recorder;
  readonly clock: Clock;
  readonly metrics: AppSetMetrics;
  readonly appSets: Pick<Informer<StoredAppSet>, 'get' | 'written'>;
  readonly revisions: Written<StoredRevision>;
  readonly workloads: Readonly<Record<WorkloadKind, Written<StoredWorkload>>>;
}

export interface Carried {
  /** Errors of what could not be carried out; what the API server refuses for good is in the memory, and not here. */
  readonly problems: readonly unknown[];
  /** Something was written that the next look sees; what is deleted it sees when the watch tells. */
  readonly wrote: boolean;
}

export class Execution {
  readonly #parts: ExecutionParts;

  constructor(parts: ExecutionParts) {
    this.#parts = parts;
  }

  /** Throws only what makes the rest pointless. */
  async carryOut(
    appSet: StoredAppSet,
    actions: readonly Action[],
    memory: Memory,
    signal: AbortSignal,
  ): Promise<Carried> {
    const problems: unknown[] = [];
    let wrote = false;
    const isFirst = ({ type }: Action): boolean =>
      type === 'add-finalizer' || type === 'create-revision' || type === 'renumber-revision';
    const act = async (action: Action): Promise<void> => {
      if (await this.#act(appSet, action, memory, signal)) wrote = true;
    };
    // A workload is never written with a revision that is not recorded, nor for an app set that could vanish without it.
    for (const action of actions.filter(isFirst)) await act(action);
    const rest = actions.filter((action) => !isFirst(action));
    const next = rest[Symbol.iterator]();
    const worker = async (): Promise<void> => {
      for (const action of next) {
        try {
          signal.throwIfAborted();
          await act(action);
        } catch (error) {
          problems.push(error);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(parallelWrites, rest.length) }, worker));
    signal.throwIfAborted();
    return { problems, wrote };
  }

  /** Whether something was written that the next look sees. */
  async #act(appSet: StoredAppSet, action: Action, memory: Memory, signal: AbortSignal): Promise<boolean> {
    switch (action.type) {
      case 'add-finalizer':
      case 'remove-finalizer':
        return await this.#finalize(appSet, action.type, signal);
      case 'create-revision':
      case 'renumber-revision':
      case 'delete-revision':
        return await this.#recordRevision(appSet, action, signal);
      case 'delete':
        await this.#delete(appSet, action, signal);
        return false;
      case 'scale':
      case 'mark-lost':
      case 'unmark-lost': {
        const { api, clock, metrics, workloads } = this.#parts;
        const { kind, metadata } = action.workload as StoredWorkload;
        const body = workloadPatch(action, clock.wallMs());
        const name = { namespace: appSet.metadata.namespace, name: metadata.name };
        workloads[kind].written(await api.patch(workloadResources[kind], name, 'merge', body, signal).catch(orGone));
        metrics.writes.inc({ write: action.type });
        return true;
      }
      case 'apply':
        return await this.#apply(appSet, action, memory, signal);
    }
  }

  async #finalize(
    appSet: StoredAppSet,
    what: 'add-finalizer' | 'remove-finalizer',
    signal: AbortSignal,
  ): Promise<boolean> {
    const { api, appSets, metrics } = this.#parts;
    const others = (appSet.metadata.finalizers ?? []).filter((name) => name !== finalizer);
    const finalizers = what === 'add-finalizer' ? [...others, finalizer] : others;
    // A list is replaced as a whole, so it has to be the one that was looked at.
    const { resourceVersion } = appSets.get(appSet.metadata)?.metadata ?? appSet.metadata;
    const body = { metadata: { uid: appSet.metadata.uid, resourceVersion, finalizers } };
    const after = await api.patch<StoredAppSet>(appSetResource, appSet.metadata, 'merge', body, signal);
    // The last finalizer of an object that is being deleted is the last of the object.
    const isKept = after.metadata.deletionTimestamp === undefined;
    if (isKept) appSets.written(after);
    metrics.writes.inc({ write: 'finalizer' });
    return isKept;
  }

  async #recordRevision(
    appSet: StoredAppSet,
    action: Extract<Action, { type: 'create-revision' | 'renumber-revision' | 'delete-revision' }>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { api, revisions, metrics } = this.#parts;
    if (action.type === 'create-revision')
      revisions.written(await this.#createRevision(action.object as unknown as Draft, appSet.metadata.uid, signal));
    else {
      const { metadata } = action.revision as StoredRevision;
      const { uid } = metadata;
      if (action.type === 'delete-revision') await api.remove(revisionResource, metadata, { uid }, signal);
      else {
        const body = { metadata: { uid }, revision: action.to };
        revisions.written(await api.patch(revisionResource, metadata, 'merge', body, signal));
      }
    }
    metrics.writes.inc({ write: 'revision' });
    return action.type !== 'delete-revision';
  }

  async #createRevision(object: Draft, owner: string, signal: AbortSignal): Promise<ApiObject> {
    const { api } = this.#parts;
    try {
      return await api.create<StoredRevision>(revisionResource, object, signal);
    } catch (error) {
      if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') throw error;
      const name = { namespace: object.metadata.namespace, name: object.metadata.name ?? '' };
      const found = await api.get<StoredRevision>(revisionResource, name, signal);
      if (found !== undefined && controllerOf(found)?.uid === owner) return found;
      throw error;
    }
  }

  async #delete(appSet: StoredAppSet, action: Extract<Action, { type: 'delete' }>, signal: AbortSignal): Promise<void> {
    const { api, metrics, recorder } = this.#parts;
    const { kind, metadata } = action.workload as StoredWorkload;
    if (!(await api.remove(workloadResources[kind], metadata, { uid: metadata.uid }, signal))) return;
    metrics.writes.inc({ write: 'delete' });
    const message = `${kind} ${metadata.name} was deleted: ${action.reason}`;
    recorder.record(appSetResource, appSet, 'Normal', 'WorkloadDeleted', message);
  }

  async #apply(appSet: StoredAppSet, action: ApplyAction, memory: Memory, signal: AbortSignal): Promise<boolean> {
    const { clock, metrics, workloads } = this.#parts;
    const { pool, rendered, why } = action;
    const { kind } = rendered.object;
    try {
      const written = await this.#send(appSet, action, signal);
      workloads[kind].written(written);
      metrics.writes.inc({ write: why });
      memory.refusals.delete(pool);
      // What the API server writes in a way of its own is not applied again and again.
      if (looksLike(written, rendered.object)) memory.settled.delete(written.metadata.uid);
      else memory.settled.set(written.metadata.uid, written.metadata.generation);
      return true;
    } catch (error) {
      if (!(error instanceof ApiError) || !isRefusal(error)) throw error;
      metrics.refusals.inc();
      const before = memory.refusals.get(pool);
      const pauseMs = before?.hash === rendered.hash ? Math.min(2 * before.pauseMs, longestRetryMs) : firstRetryMs;
      const retryAtMs = clock.wallMs() + pauseMs;
      memory.refusals.set(pool, { hash: rendered.hash, message: error.message, pauseMs, retryAtMs });
      return false;
    }
  }

  async #send(appSet: StoredAppSet, action: ApplyAction, signal: AbortSignal): Promise<StoredWorkload> {
    const { api, clock } = this.#parts;
    const { kind, metadata } = action.rendered.object;
    const resource = workloadResources[kind];
    const send = (existing: ApplyAction['existing']): Promise<StoredWorkload> => {
      const body = applyBody({ ...action, existing }, clock.wallMs()) as unknown as Draft & {
        metadata: { name: string };
      };
      // One that is to be made takes nothing from anybody; one that is there is written as it was looked at.
      return api.apply<StoredWorkload>(resource, body, fieldManager, signal, { force: existing !== undefined });
    };
    if (action.existing !== undefined) return await send(action.existing);
    try {
      return await send(undefined);
    } catch (error) {
      if (!isConflict(error)) throw error;
      const found = await api.get<StoredWorkload>(resource, metadata, signal);
      // Gone again: the next look makes it.
      if (found === undefined) throw error;
      if (controllerOf(found)?.uid === appSet.metadata.uid) return await send(keptWorkload(kind, found));
      const message = `a ${kind} ${metadata.name} exists and is not this app set's: delete or rename it`;
      throw new ApiError(message, 422, 'NameTaken');
    }
  }
}

/** The object would be refused again: it has to change, or the cluster has to. */
function isRefusal({ status, reason }: ApiError): boolean {
  return status === 400 || status === 403 || status === 404 || status === 422 || reason === 'NameTaken';
}

/** What is gone needs no write: the look that its deletion leads to sees to the rest. */
export function orGone(error: unknown): never {
  throw isNotFound(error) ? new ApiError((error as Error).message, 409, 'Conflict') : error;
}
