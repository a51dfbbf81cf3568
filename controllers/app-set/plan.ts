// One look at an app set: from everything that is observed to everything that is to be done, and what to say about it.
// Pure: the same observation gives the same plan, and once it is carried out, nothing more.
import { SelectorError } from '../../kube/errors.ts';
import { labelRequirements } from '../../kube/selectors/label-selector-object.ts';
import type { LabelSelector } from '../../kube/selectors/label-selector-object.ts';
import { looksLike } from './drift.ts';
import { TemplateError } from './errors.ts';
import { workloadName } from './names.ts';
import { progressOf } from './progress.ts';
import type { Progress } from './progress.ts';
import { renderWorkload, templateOf } from './render.ts';
import type { Rendered } from './render.ts';
import { planRevisions } from './revisions.ts';
import type { RevisionPlan } from './revisions.ts';
import { planRollout } from './rollout.ts';
import type { PoolProgress, RolloutPlan } from './rollout.ts';
import { poolOf, selectPools } from './selection.ts';
import type { Selection } from './selection.ts';
import { appliedAnnotation, finalizer, replicasAnnotation, revisionLabel, startedAnnotation } from './types.ts';
import type {
  ControllerRevision,
  NodePool,
  PoolStatus,
  Workload,
  WorkloadKind,
  WorkloadSpec,
  YurtAppSet,
  YurtAppSetStatus,
} from './types.ts';

const defaultPoolDeadlineSeconds = 600;

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

/** A wanted pool with everything known of it. */
export interface PoolView {
  readonly pool: NodePool;
  readonly workload: Workload | undefined;
  readonly rendered: Rendered | undefined;
  readonly progress: Progress | undefined;
  readonly startedAt: string | undefined;
  readonly rollout: PoolProgress;
}

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

function viewOf(
  observed: Observed,
  pool: NodePool,
  workload: Workload | undefined,
  target: WorkloadSpec | undefined,
  before: PoolStatus | undefined,
): PoolView {
  const { appSet, nowMs, refusals, settled } = observed;
  const name = pool.metadata.name;
  let rendered: Rendered | undefined;
  let failure: string | undefined;
  try {
    if (target !== undefined) rendered = renderWorkload(appSet, target, pool, workload?.metadata.name);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    failure = error.message;
  }
  const refusal = refusals.get(name);
  const isRefused = rendered !== undefined && refusal?.hash === rendered.hash;
  if (isRefused) failure = refusal.message;
  // A pool without status is one that nobody has counted yet.
  const reachable = pool.status?.readyNodeNum !== 0;
  const progress =
    workload &&
    progressOf(workload, {
      nowMs,
      poolDeadlineSeconds: appSet.spec.rollout?.poolDeadlineSeconds ?? defaultPoolDeadlineSeconds,
      readyNodes: pool.status?.readyNodeNum,
    });
  const state = workloadState(workload, rendered, settled);
  const startedAt = workload?.metadata.annotations?.[startedAnnotation];
  // Pods that fail long after the rollout are no failure of the rollout.
  const wasComplete = (before?.state === 'Complete' || before?.state === 'Degraded') && before.startedAt === startedAt;
  const complete = progress?.complete === true || (progress !== undefined && state === 'current' && wasComplete);
  // Where no node is ready nothing can have gone wrong with the template.
  if (state === 'current' && reachable && !complete) failure ??= progress?.failure;
  return {
    pool,
    workload,
    rendered,
    progress,
    startedAt,
    rollout: {
      name,
      reachable,
      workload: state,
      complete,
      failure,
      retry: isRefused && nowMs >= refusal.retryAtMs,
    },
  };
}

function workloadState(
  workload: Workload | undefined,
  rendered: Rendered | undefined,
  settled: ReadonlySet<string>,
): PoolProgress['workload'] {
  if (workload === undefined) return 'missing';
  if (workload.metadata.deletionTimestamp !== undefined) return 'leaving';
  // What cannot be rendered stays as it is.
  if (rendered === undefined) return 'current';
  const applied = workload.metadata.annotations?.[appliedAnnotation];
  if (applied !== undefined) return applied === rendered.hash ? 'current' : 'outdated';
  return looksLike(workload, rendered.object) || settled.has(workload.metadata.uid ?? '') ? 'current' : 'outdated';
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

/** What the annotation says: the number, or '' where the user leaves it to the cluster. */
export function replicasNote(replicas: number | undefined): string {
  return replicas === undefined ? '' : String(replicas);
}

/**
 * The replicas to send with a template: the user's if it is new or changed, else what is there, so that nobody's scaling is
 * undone; and always something, since a field that is no longer applied is removed and would fall back to 1.
 */
export function replicasToApply(rendered: Rendered, existing: Workload | undefined): number | undefined {
  if (existing === undefined) return rendered.replicas;
  const { annotations } = existing.metadata;
  const live = typeof existing.spec['replicas'] === 'number' ? existing.spec['replicas'] : undefined;
  const isTakenOver = annotations?.[appliedAnnotation] === undefined;
  const isChanged = annotations?.[replicasAnnotation] !== replicasNote(rendered.replicas);
  return rendered.replicas !== undefined && isChanged && !isTakenOver ? rendered.replicas : live;
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

/** The workload of each pool: with several (OpenYurt could make two) the one with our name, else the oldest. */
function ownersOf(
  targets: readonly NodePool[],
  appSet: string,
  workloads: readonly Workload[],
): ReadonlyMap<string, Workload> {
  const byPool = Map.groupBy(workloads, (workload) => poolOf(workload) ?? '');
  const byName = new Map(workloads.map((workload) => [workload.metadata.name, workload]));
  const owners = new Map<string, Workload>();
  for (const { metadata } of targets) {
    const name = workloadName(appSet, metadata.name);
    const candidates = byPool.get(metadata.name) ?? [];
    const age = (workload: Workload): string => workload.metadata.creationTimestamp ?? '';
    const oldest = candidates.toSorted((a, b) => (age(a) < age(b) ? -1 : age(a) > age(b) ? 1 : 0))[0];
    // By name also one whose labels somebody removed.
    const owner = byName.get(name) ?? oldest;
    if (owner !== undefined) owners.set(metadata.name, owner);
  }
  return owners;
}

function duplicates(workloads: readonly Workload[], owners: ReadonlyMap<string, Workload>): Workload[] {
  const chosen = new Set(owners.values());
  return workloads.filter(
    (workload) =>
      workload.metadata.deletionTimestamp === undefined && !chosen.has(workload) && owners.has(poolOf(workload) ?? ''),
  );
}

/** What OpenYurt's CRD lets through and ours does not. */
function specProblem({ appSet, workloads }: Observed): string | undefined {
  const given = templateOf(appSet.spec?.workload?.workloadTemplate);
  if (given === undefined)
    return 'spec.workload.workloadTemplate needs exactly one of deploymentTemplate, statefulSetTemplate, daemonSetTemplate';
  const other = workloads.find((workload): boolean => workload.kind !== given.kind);
  if (other !== undefined) return kindProblem(other.kind, given.kind);
  const maxPools = appSet.spec.rollout?.maxPools;
  if (maxPools !== undefined && !/^([1-9]\d*|[1-9]\d?%|100%)$/.test(String(maxPools)))
    return `spec.rollout.maxPools is '${maxPools}': it has to be a number of at least 1, or a share like 10%`;
  const { nodepoolSelector, workload } = appSet.spec;
  const tweaks = workload.workloadTweaks ?? [];
  return (
    selectorProblem('spec.nodepoolSelector', nodepoolSelector) ??
    tweaks
      .map((tweak, index) =>
        selectorProblem(`spec.workload.workloadTweaks[${index}].nodepoolSelector`, tweak.nodepoolSelector),
      )
      .find((found) => found !== undefined)
  );
}

function selectorProblem(field: string, selector: LabelSelector | undefined): string | undefined {
  if (selector === undefined) return undefined;
  try {
    labelRequirements(selector);
    return undefined;
  } catch (error) {
    if (error instanceof SelectorError) return `${field}.${error.message}`;
    throw error;
  }
}

function kindProblem(is: WorkloadKind, wanted: WorkloadKind): string {
  return `spec.workload.workloadTemplate was a ${is}'s and is a ${wanted}'s now: make another YurtAppSet and delete this one`;
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
