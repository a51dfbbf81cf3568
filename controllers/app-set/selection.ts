// Which pools an app set wants, and what becomes of the workloads in pools that it does not want, or not any more.
import { choosesPool } from './tweaks.ts';
import { lostAnnotation, poolAnnotation, poolLabel } from './types.ts';
import type { NodePool, Workload, YurtAppSetSpec } from './types.ts';

export const defaultPoolLossGraceSeconds = 300;

export interface Selection {
  /** Pools that exist and are wanted: those of the list in its order, then those of the selector by name. */
  readonly targets: readonly NodePool[];
  /** Pools of the list that do not exist. A workload that is there stays; none is made. */
  readonly absent: readonly string[];
  /** Workloads whose pool the selector no longer finds; they stay until `untilMs`, and longer if `sinceMs` is not written down yet. */
  readonly lost: readonly LostWorkload[];
  /** Workloads to be deleted, and why. */
  readonly removed: readonly { readonly workload: Workload; readonly reason: string }[];
  /** Workloads whose pool was lost and is wanted again. */
  readonly returned: readonly Workload[];
}

export interface LostWorkload {
  readonly workload: Workload;
  readonly pool: string;
  /** undefined: it was not lost before. */
  readonly sinceMs: number | undefined;
  readonly untilMs: number;
}

export function poolOf(workload: Workload): string | undefined {
  return workload.metadata.labels?.[poolLabel] ?? workload.metadata.annotations?.[poolAnnotation];
}

export function selectPools(
  spec: YurtAppSetSpec,
  nodePools: readonly NodePool[],
  workloads: readonly Workload[],
  nowMs: number,
): Selection {
  const listed = [...new Set(spec.pools ?? [])];
  const existing = new Map(nodePools.map((pool) => [pool.metadata.name, pool]));
  const targets = listed.flatMap((name) => existing.get(name) ?? []);
  const selected = nodePools
    .filter((pool) => !listed.includes(pool.metadata.name) && choosesPool(spec, pool))
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const wanted = new Set([...listed, ...[...targets, ...selected].map((pool) => pool.metadata.name)]);
  const lost: LostWorkload[] = [];
  const removed: { workload: Workload; reason: string }[] = [];
  const returned: Workload[] = [];
  const graceMs = (spec.poolLossGraceSeconds ?? defaultPoolLossGraceSeconds) * 1000;
  for (const workload of workloads) {
    const pool = poolOf(workload);
    if (pool === undefined || workload.metadata.deletionTimestamp !== undefined) continue;
    const mark = Date.parse(workload.metadata.annotations?.[lostAnnotation] ?? '');
    if (wanted.has(pool)) {
      if (workload.metadata.annotations?.[lostAnnotation] !== undefined) returned.push(workload);
      continue;
    }
    if (spec.nodepoolSelector === undefined) {
      // Only a person takes a pool out of the list.
      removed.push({ workload, reason: `pool ${pool} is not in spec.pools` });
      continue;
    }
    // A NodePool that was deleted and is made again, or that lost a label for a moment, looks the same as one that went for good.
    const sinceMs = Number.isNaN(mark) || mark > nowMs ? undefined : mark;
    if (sinceMs !== undefined && nowMs >= sinceMs + graceMs)
      removed.push({ workload, reason: `spec.nodepoolSelector has not found pool ${pool} for ${graceMs / 1000} s` });
    else lost.push({ workload, pool, sinceMs, untilMs: (sinceMs ?? nowMs) + graceMs });
  }
  return {
    targets: [...targets, ...selected],
    absent: listed.filter((name) => !existing.has(name)),
    lost,
    removed,
    returned,
  };
}
