// Which workload is a pool's, where there are several, and which are one too many. Pure.
import { workloadName } from './names.ts';
import { poolOf } from './selection.ts';
import type { NodePool, Workload } from './types.ts';

/** The workload of each pool: with several (OpenYurt could make two) the one with our name, else the oldest. */
export function ownersOf(
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

/** Of pools that have an owner, all others. */
export function duplicates(workloads: readonly Workload[], owners: ReadonlyMap<string, Workload>): Workload[] {
  const chosen = new Set(owners.values());
  return workloads.filter(
    (workload) =>
      workload.metadata.deletionTimestamp === undefined && !chosen.has(workload) && owners.has(poolOf(workload) ?? ''),
  );
}
