// The rollout over pools, as a pure decision: who may start now. Everything that is written to a workload's template goes
// through here, its creation as well, so that the limit holds whatever happens.
import type { RolloutSpec } from './types.ts';

/** One wanted pool, as the rollout sees it. */
export interface PoolProgress {
  readonly name: string;
  /** False if no node of the pool is ready: nothing can move there. */
  readonly reachable: boolean;
  /** missing: no workload; leaving: one that is being deleted; outdated: with another template than it should have. */
  readonly workload: 'missing' | 'leaving' | 'outdated' | 'current';
  /** All pods have the template that the workload has, and are available, or were so since it got it. */
  readonly complete: boolean;
  /** Why this pool cannot get, or did not complete, the template that it should have. */
  readonly failure: string | undefined;
  /** The failure is a write that the API server refused, and it is time to try it again. */
  readonly retry: boolean;
}

export interface RolloutPlan {
  /** Pools to be written now, in order. */
  readonly start: readonly string[];
  /** Pools that have to be written later, and why not now. */
  readonly waiting: ReadonlyMap<string, string>;
  readonly failed: readonly PoolProgress[];
  readonly phase: 'complete' | 'running' | 'paused' | 'stopped';
}

/**
 * Pools that are incomplete and reachable count against the limit, except those that have failed with the template that they
 * should have: whether these hold the others up is what `maxFailedPools` says. Broken pools come first, since a change can
 * hardly hurt there and may be the cure.
 */
export function planRollout(pools: readonly PoolProgress[], rollout: RolloutSpec | undefined): RolloutPlan {
  const failed = pools.filter((pool) => pool.failure !== undefined);
  const pending = pools.filter((pool) => pool.workload !== 'current' && (pool.failure === undefined || pool.retry));
  const waiting = new Map<string, string>();
  const start: string[] = [];
  const isStopped = rollout !== undefined && failed.length > (rollout.maxFailedPools ?? 0);
  const limit = poolLimit(rollout?.maxPools, pools.length);
  const isMoving = (pool: PoolProgress): boolean =>
    pool.reachable && pool.failure === undefined && !pool.complete && pool.workload !== 'missing';
  let moving = pools.filter(isMoving).length;
  let movingTowards = pools.filter((pool) => isMoving(pool) && pool.workload === 'current').length;
  const brokenFirst = [...pending.filter(isMoving), ...pending.filter((pool) => !isMoving(pool))];
  for (const pool of brokenFirst) {
    const reason = reasonToWait(pool);
    if (reason !== undefined) {
      waiting.set(pool.name, reason);
      continue;
    }
    start.push(pool.name);
    movingTowards++;
    if (!isMoving(pool)) moving++;
  }
  return { start, waiting, failed, phase: phase() };

  function reasonToWait(pool: PoolProgress): string | undefined {
    if (rollout?.paused === true) return 'the rollout is paused: set spec.rollout.paused to false';
    if (pool.workload === 'leaving') return 'its workload is being deleted';
    // Nothing was changed by what was refused, so trying it again is not to go further.
    if (isStopped && !pool.retry)
      return `the rollout is stopped: ${failed.length} failed, spec.rollout.maxFailedPools is ${rollout.maxFailedPools ?? 0}`;
    if (limit === Infinity) return undefined;
    if (!pool.reachable) return 'no node of the pool is ready';
    const count = isMoving(pool) ? movingTowards : moving;
    return count >= limit ? `spec.rollout.maxPools of ${limit} is reached` : undefined;
  }

  function phase(): RolloutPlan['phase'] {
    if (pending.length === 0 && failed.length === 0 && movingTowards === 0) return 'complete';
    if (rollout?.paused === true && pending.length > 0) return 'paused';
    return isStopped ? 'stopped' : 'running';
  }
}

/** Infinity without a limit; at least 1. */
export function poolLimit(maxPools: number | string | undefined, total: number): number {
  if (maxPools === undefined) return Infinity;
  const percent = /^(\d+)%$/.exec(String(maxPools))?.[1];
  const limit = percent === undefined ? Number(maxPools) : Math.ceil((Number(percent) * total) / 100);
  return Number.isInteger(limit) ? Math.max(1, limit) : 1;
}
