// One look at an app set: from everything that is observed to everything that is to be done, and what to say about it.
// Pure: the same observation gives the same plan, and once it is carried out, nothing more.
import { looksLike } from './drift.ts';
import { duplicates, ownersOf } from './owners.ts';
import { viewOf } from './pool-view.ts';
import type { PoolView } from './pool-view.ts';
import type { Rendered } from './render.ts';
import { replicasNote } from './replicas.ts';
import { planRevisions } from './revisions.ts';
import type { RevisionPlan } from './revisions.ts';
import { planRollout } from './rollout.ts';
import type { RolloutPlan } from './rollout.ts';
import { poolOf, selectPools } from './selection.ts';
import type { Selection } from './selection.ts';
import { specProblem } from './spec-problem.ts';
import { appliedAnnotation, finalizer, replicasAnnotation, revisionLabel } from './types.ts';
import type { ControllerRevision, NodePool, Workload, YurtAppSet, YurtAppSetStatus } from './types.ts';

export interface Observed {
  readonly appSet: YurtAppSet;
  readonly nodePools: readonly NodePool[];
  /** Those that the app set controls, of every kind. */
  readonly workloads: readonly Workload[];
  /** Those that the app set controls. */
  readonly revisions: readonly ControllerRevision[];
  /** By pool: the template that the API server refused, by its hash. */
  readonly refusals: ReadonlyMap<string, Refusal>;
  /** Workloads, by uid, that do not look like what was applied although it was applied since they last changed. */
  readonly settled: ReadonlySet<string>;
  /** What the last look found, as far as it is known: which pools were complete, and since when conditions hold. */
  readonly previous: Partial<YurtAppSetStatus> | undefined;
  readonly nowMs: number;
}

export interface Refusal {
  readonly hash: string;
  readonly message: string;
  /** When it is tried again, milliseconds since 1970. */
  readonly retryAtMs: number;
}

export type Action =
  | { readonly type: 'add-finalizer' }
  | { readonly type: 'remove-finalizer' }
  | { readonly type: 'create-revision'; readonly object: Readonly<Record<string, unknown>> }
  | { readonly type: 'renumber-revision'; readonly revision: ControllerRevision; readonly to: number }
  | { readonly type: 'delete-revision'; readonly revision: ControllerRevision }
  | {
      readonly type: 'apply';
      /** start: the pods change. record: only what is noted on the workload. repair: somebody else changed it. */
      readonly why: 'start' | 'record' | 'repair';
      readonly pool: string;
      readonly rendered: Rendered;
      readonly revision: string;
      /** undefined: it is to be made. */
      readonly existing: Workload | undefined;
    }
  | {
      readonly type: 'scale';
      readonly pool: string;
      readonly workload: Workload;
      readonly replicas: number | undefined;
    }
  | { readonly type: 'mark-lost'; readonly pool: string; readonly workload: Workload }
  | { readonly type: 'unmark-lost'; readonly workload: Workload }
  | { readonly type: 'delete'; readonly workload: Workload; readonly reason: string };

export interface Plan {
  /** In this order; one that fails does not keep the others from being tried, except a revision that cannot be made. */
  readonly actions: readonly Action[];
  /** undefined while the app set is being deleted. */
  readonly view: PlanView | undefined;
  /** To be looked at again by then, milliseconds since 1970, if nothing changes before. */
  readonly lookAgainAtMs: number | undefined;
}

/** What the status is made of. */
export type PlanView =
  | { readonly kind: 'invalid'; readonly problem: string }
  | {
      readonly kind: 'valid';
      readonly pools: readonly PoolView[];
      readonly selection: Selection;
      readonly revisions: RevisionPlan;
      readonly rollout: RolloutPlan;
    };

export function planAppSet(observed: Observed): Plan {
  const { appSet } = observed;
  if (appSet.metadata.deletionTimestamp !== undefined) return planDeletion(observed);
  const finalize: Action[] = appSet.metadata.finalizers?.includes(finalizer) ? [] : [{ type: 'add-finalizer' }];
  const problem = specProblem(observed);
  if (problem !== undefined) return { actions: [], view: { kind: 'invalid', problem }, lookAgainAtMs: undefined };
  return planPools(observed, finalize);
}

function planPools(observed: Observed, finalize: readonly Action[]): Plan {
  const { appSet, nodePools, workloads, revisions, nowMs } = observed;
  const selection = selectPools(appSet.spec, nodePools, workloads, nowMs);
  const inUse = new Set(workloads.flatMap((workload) => workload.metadata.labels?.[revisionLabel] ?? []));
  const revisionPlan = planRevisions(appSet, revisions, inUse);
  const { workload: target } = revisionPlan;
  const owners = ownersOf(selection.targets, appSet.metadata.name, workloads);
  const before = new Map((observed.previous?.pools ?? []).map((pool) => [pool.name, pool]));
  const pools = selection.targets.map((pool) =>
    viewOf(observed, pool, owners.get(pool.metadata.name), target, before.get(pool.metadata.name)),
  );
  const rollout =
    target === undefined
      ? { start: [], waiting: new Map<string, string>(), failed: [], phase: 'stopped' as const }
      : planRollout(
          pools.map((pool) => pool.rollout),
          appSet.spec.rollout,
        );
  const actions: Action[] = [...finalize];
  if (revisionPlan.create) actions.push({ type: 'create-revision', object: revisionPlan.create });
  if (revisionPlan.renumber) actions.push({ type: 'renumber-revision', ...revisionPlan.renumber });
  for (const { workload, reason } of selection.removed) actions.push({ type: 'delete', workload, reason });
  for (const { workload, pool, sinceMs } of selection.lost)
    if (sinceMs === undefined) actions.push({ type: 'mark-lost', pool, workload });
  for (const workload of selection.returned) actions.push({ type: 'unmark-lost', workload });
  for (const extra of duplicates(workloads, owners))
    actions.push({ type: 'delete', workload: extra, reason: `pool ${poolOf(extra)} has another workload` });
  const started = new Set(rollout.start);
  const paused = appSet.spec.rollout?.paused === true;
  for (const view of pools) actions.push(...poolActions(view, started, paused, revisionPlan.target, observed));
  for (const revision of revisionPlan.expired) actions.push({ type: 'delete-revision', revision });
  return {
    actions,
    view: { kind: 'valid', pools, selection, revisions: revisionPlan, rollout },
    lookAgainAtMs: nextLook(pools, selection, observed),
  };
}

function poolActions(
  { workload, rendered, rollout: { name } }: PoolView,
  started: ReadonlySet<string>,
  paused: boolean,
  revision: string,
  { settled }: Observed,
): Action[] {
  if (rendered === undefined) return [];
  const apply = (why: 'start' | 'record' | 'repair'): Action[] => [
    { type: 'apply', why, pool: name, rendered, revision, existing: workload },
  ];
  if (started.has(name)) return apply('start');
  if (workload === undefined || workload.metadata.deletionTimestamp !== undefined) return [];
  const { annotations } = workload.metadata;
  const applied = annotations?.[appliedAnnotation];
  if (!paused && applied === undefined && looksLike(workload, rendered.object)) return apply('record');
  const isRepairable = !paused && applied === rendered.hash && !settled.has(workload.metadata.uid ?? '');
  if (isRepairable && !looksLike(workload, rendered.object)) return apply('repair');
  // The number of pods is no part of a rollout: it changes at once, whatever the template is doing.
  const wantsScale = applied !== undefined && annotations?.[replicasAnnotation] !== replicasNote(rendered.replicas);
  return wantsScale ? [{ type: 'scale', pool: name, workload, replicas: rendered.replicas }] : [];
}

function planDeletion({ appSet, workloads }: Observed): Plan {
  const idle: Plan = { actions: [], view: undefined, lookAgainAtMs: undefined };
  const finalizers = appSet.metadata.finalizers ?? [];
  if (!finalizers.includes(finalizer)) return idle;
  // Deleted with --cascade=orphan: the garbage collector lets the workloads go, and they have to stay.
  if (workloads.length === 0 || finalizers.includes('orphan'))
    return { ...idle, actions: [{ type: 'remove-finalizer' }] };
  const actions = workloads
    .filter((workload) => workload.metadata.deletionTimestamp === undefined)
    .map((workload): Action => ({ type: 'delete', workload, reason: 'the app set is being deleted' }));
  return { ...idle, actions };
}

function nextLook(pools: readonly PoolView[], selection: Selection, { nowMs, refusals }: Observed): number | undefined {
  const times = [
    ...[...refusals.values()].map((refusal) => refusal.retryAtMs),
    ...selection.lost.map((lost) => lost.untilMs),
    ...pools.flatMap((pool) =>
      pool.rollout.workload === 'current' && !pool.rollout.complete ? (pool.progress?.deadlineMs ?? []) : [],
    ),
  ].filter((time) => time > nowMs);
  return times.length === 0 ? undefined : Math.min(...times);
}
