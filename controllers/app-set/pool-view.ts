// One wanted pool in a look: what it should have, what it has, and how far that is. Pure.
import { looksLike } from './drift.ts';
import { TemplateError } from './errors.ts';
import type { Observed } from './plan.ts';
import { progressOf } from './progress.ts';
import type { Progress } from './progress.ts';
import { renderWorkload } from './render.ts';
import type { Rendered } from './render.ts';
import type { PoolProgress } from './rollout.ts';
import { appliedAnnotation, startedAnnotation } from './types.ts';
import type { NodePool, PoolStatus, Workload, WorkloadSpec } from './types.ts';

const defaultPoolDeadlineSeconds = 600;

/** A wanted pool with everything known of it. */
export interface PoolView {
  readonly pool: NodePool;
  readonly workload: Workload | undefined;
  readonly rendered: Rendered | undefined;
  readonly progress: Progress | undefined;
  readonly startedAt: string | undefined;
  readonly rollout: PoolProgress;
}

/** `target` is what the pool should have, undefined where that is not known; `before` is what the last look said of it. */
export function viewOf(
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
