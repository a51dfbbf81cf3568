// The status of an app set and the Events that tell people of its changes, from what a plan saw.
import type { Observed, PlanView } from './plan.ts';
import type { PoolView } from './pool-view.ts';
import { revisionLabel } from './types.ts';
import type { Condition, ConditionType, PoolStatus, YurtAppSetStatus } from './types.ts';

/** Entries in status.pools: with more pools, those that are complete are left out first. */
const maxPools = 1000;
const maxNames = 8;
const maxMessageLength = 400;

/** What people are told, as an Event of the app set. */
export interface Notice {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

type NewCondition = readonly [ConditionType, Condition['status'], string, string];
type ValidView = Extract<PlanView, { kind: 'valid' }>;

export function statusOf(observed: Observed, view: PlanView): YurtAppSetStatus {
  const { appSet, previous, workloads, nowMs } = observed;
  const observedGeneration = appSet.metadata.generation ?? 0;
  const old = new Map((previous?.conditions ?? []).map((condition) => [condition.type, condition]));
  const conditions = (view.kind === 'invalid' ? invalidConditions(view.problem) : validConditions(view)).map(
    ([type, status, reason, message]): Condition => {
      const before = old.get(type);
      const lastTransitionTime =
        before?.status === status && before.lastTransitionTime ? before.lastTransitionTime : rfc3339(nowMs);
      return {
        type,
        status,
        reason,
        message: message.slice(0, maxMessageLength),
        lastTransitionTime,
        observedGeneration,
      };
    },
  );
  if (view.kind === 'invalid') {
    const { currentRevision = '', totalWorkloads = 0, readyWorkloads = 0, updatedWorkloads = 0 } = previous ?? {};
    const pools = previous?.pools ?? [];
    const counts = { currentRevision, totalWorkloads, readyWorkloads, updatedWorkloads, pools };
    return { observedGeneration, ...counts, conditions };
  }
  const present = view.pools.filter((pool) => pool.workload !== undefined);
  return {
    observedGeneration,
    currentRevision: view.revisions.target,
    totalWorkloads: workloads.length,
    readyWorkloads: present.filter((pool) => pool.progress?.ready).length,
    updatedWorkloads: view.pools.filter(isUpdated).length,
    conditions,
    pools: poolStatuses(view),
  };
}

/** The status with as many pools as an object may hold. */
export function boundedStatus(status: YurtAppSetStatus): YurtAppSetStatus {
  const { pools } = status;
  if (pools.length <= maxPools) return status;
  const unfinished = pools.filter((pool) => pool.state !== 'Complete');
  const finished = pools.filter((pool) => pool.state === 'Complete');
  return { ...status, pools: [...unfinished, ...finished].slice(0, maxPools) };
}

/** Whether the new status has to be written: at once (`news`), some time (`counts`), or not at all. */
export function statusChange(
  before: Partial<YurtAppSetStatus> | undefined,
  after: YurtAppSetStatus,
): 'none' | 'counts' | 'news' {
  if (before === undefined) return 'news';
  if (outline(before) !== outline(after)) return 'news';
  // Fields that are not ours, such as OpenYurt's collisionCount, are no difference.
  const ours = Object.fromEntries(Object.keys(after).map((field) => [field, before[field as keyof YurtAppSetStatus]]));
  return JSON.stringify(normal(ours)) === JSON.stringify(normal(after)) ? 'none' : 'counts';
}

/** What people have to be told of the way from one status to the next. */
export function noticesOf(before: Partial<YurtAppSetStatus> | undefined, after: YurtAppSetStatus): Notice[] {
  const old = new Map((before?.conditions ?? []).map((condition) => [condition.type, condition]));
  const notices: Notice[] = [];
  for (const { type, status, reason, message } of after.conditions) {
    const earlier = old.get(type);
    const isNew = earlier?.status !== status || earlier.reason !== reason;
    const isWorthIt =
      type === 'AppUpdated' || (type === 'PoolFound' && (status === 'False' || earlier?.status === 'False'));
    if (isNew && isWorthIt) notices.push({ type: warnings.has(reason) ? 'Warning' : 'Normal', reason, message });
  }
  const states = new Map((before?.pools ?? []).map((pool) => [pool.name, pool.state]));
  for (const [state, reason] of [
    ['Failed', 'PoolFailed'],
    ['Lost', 'PoolLost'],
  ] as const) {
    const pools = after.pools.filter((pool) => pool.state === state && states.get(pool.name) !== state);
    for (const pool of pools.slice(0, maxNames))
      notices.push({ type: 'Warning', reason, message: `pool ${pool.name}: ${pool.message}` });
    if (pools.length > maxNames)
      notices.push({ type: 'Warning', reason, message: `and ${pools.length - maxNames} more pools` });
  }
  return notices;
}

const warnings = new Set(['InvalidSpec', 'RevisionNotFound', 'Stopped', 'Failed', 'NoPool', 'PoolsMissing']);

function invalidConditions(problem: string): NewCondition[] {
  return [['AppUpdated', 'False', 'InvalidSpec', problem]];
}

function validConditions(view: ValidView): NewCondition[] {
  const { pools, selection } = view;
  const missing = pools.filter((pool) => pool.workload === undefined).map((pool) => pool.rollout.name);
  const notReady = pools.filter((pool) => pool.progress?.ready !== true).map((pool) => pool.rollout.name);
  const leaving = selection.removed.map((item) => item.workload.metadata.name);
  const lost = selection.lost.map((item) => item.pool);
  return [
    poolFound(view),
    missing.length === 0
      ? ['AppDispatched', 'True', 'AllPoolsHaveWorkloads', `${pools.length} pools have their workload`]
      : ['AppDispatched', 'False', 'WorkloadsMissing', `no workload yet in ${named(missing)}`],
    updatedCondition(view),
    notReady.length === 0 && pools.length > 0
      ? ['AppReady', 'True', 'AllWorkloadsReady', `all pods of ${pools.length} pools are ready`]
      : [
          'AppReady',
          'False',
          pools.length === 0 ? 'NoWorkload' : 'WorkloadsNotReady',
          `not ready in ${named(notReady)}`,
        ],
    leaving.length === 0 && lost.length === 0
      ? ['AppDeleted', 'True', 'NothingToDelete', 'no workload is there that should not be']
      : leaving.length > 0
        ? ['AppDeleted', 'False', 'Deleting', `being deleted: ${named(leaving)}`]
        : ['AppDeleted', 'False', 'PoolLost', `kept for now: the workloads of ${named(lost)}`],
  ];
}

function poolFound({ selection: { targets, absent } }: ValidView): NewCondition {
  if (absent.length > 0)
    return ['PoolFound', 'False', 'PoolsMissing', `spec.pools names ${named(absent)}, and there is no such NodePool`];
  if (targets.length === 0)
    return ['PoolFound', 'False', 'NoPool', 'no NodePool is named in spec.pools or found by spec.nodepoolSelector'];
  return ['PoolFound', 'True', 'PoolsFound', `${targets.length} pools`];
}

function updatedCondition({ pools, revisions, rollout }: ValidView): NewCondition {
  const updated = pools.filter(isUpdated).length;
  const so = `${updated} of ${pools.length} pools have revision ${revisions.target}`;
  if (revisions.workload === undefined) {
    const message = `spec.rollout.revision names ${revisions.target}, and there is no such ControllerRevision of this app set; the current one is ${revisions.current}`;
    return ['AppUpdated', 'False', 'RevisionNotFound', message];
  }
  const failed = named(rollout.failed.map((pool) => pool.name));
  if (rollout.phase === 'paused') return ['AppUpdated', 'False', 'Paused', `${so}; spec.rollout.paused is true`];
  if (rollout.phase === 'stopped')
    return ['AppUpdated', 'False', 'Stopped', `${so}; failed in ${failed}; nothing further is started`];
  if (rollout.failed.length > 0) return ['AppUpdated', 'False', 'Failed', `${so}; failed in ${failed}`];
  if (updated < pools.length) return ['AppUpdated', 'False', 'RollingOut', so];
  return ['AppUpdated', 'True', 'AllPoolsUpdated', so];
}

function isUpdated({ rollout }: PoolView): boolean {
  return rollout.workload === 'current' && rollout.complete && rollout.failure === undefined;
}

function poolStatuses({ pools, selection, rollout }: ValidView): PoolStatus[] {
  const entries = pools.map((view) => poolStatus(view, rollout.waiting.get(view.rollout.name)));
  for (const name of selection.absent) entries.push({ name, state: 'Absent', message: 'there is no such NodePool' });
  for (const { pool, workload, untilMs, sinceMs } of selection.lost) {
    const until = sinceMs === undefined ? '' : `; its workload is deleted at ${rfc3339(untilMs)}`;
    const message = `spec.nodepoolSelector does not find it${until}`;
    entries.push({ name: pool, state: 'Lost', workload: workload.metadata.name, message });
  }
  return entries;
}

function poolStatus({ workload, progress, startedAt, rollout }: PoolView, waiting: string | undefined): PoolStatus {
  const state = rollout.failure !== undefined ? 'Failed' : waiting !== undefined ? 'Waiting' : undefined;
  const isComplete = rollout.workload === 'current' && rollout.complete;
  const offline = rollout.reachable || isComplete ? undefined : 'no node of the pool is ready';
  const message = (rollout.failure ?? waiting ?? offline)?.slice(0, maxMessageLength);
  const revision = workload?.metadata.labels?.[revisionLabel];
  return {
    name: rollout.name,
    state: state ?? (isComplete ? (progress?.complete ? 'Complete' : 'Degraded') : 'Updating'),
    ...(workload === undefined ? {} : { workload: workload.metadata.name }),
    ...(revision === undefined ? {} : { revision }),
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(progress === undefined ? {} : { replicas: progress.replicas, readyReplicas: progress.readyReplicas }),
    ...(message === undefined ? {} : { message }),
  };
}

/** The first names, and how many more. */
function named(names: readonly string[]): string {
  if (names.length === 0) return 'no pool';
  const rest = names.length - maxNames;
  return `${names.slice(0, maxNames).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

/** What may not wait. Readiness may: it comes and goes with every pool of a rollout, and would be a write each time. */
function outline({
  observedGeneration,
  currentRevision,
  conditions = [],
  pools = [],
}: Partial<YurtAppSetStatus>): string {
  const bad = pools.filter(({ state }) => state === 'Failed' || state === 'Lost' || state === 'Absent');
  return JSON.stringify([
    observedGeneration,
    currentRevision,
    conditions
      .filter(({ type }) => type !== 'AppReady' && type !== 'AppDispatched')
      .map(({ type, status, reason }) => [type, status, reason]),
    bad.map(({ name, state }) => [name, state]),
  ]);
}

/** Fields in one order: the API server returns them sorted. */
function normal(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, normal(inner)]),
  );
}

/** As the API writes times: whole seconds, so that it comes back as it was sent. */
export function rfc3339(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
