// The number of pods of a workload: the user's when it is new or changed, else whoever's it is, an autoscaler's for one. Pure.
import type { Rendered } from './render.ts';
import { appliedAnnotation, replicasAnnotation } from './types.ts';
import type { Workload } from './types.ts';

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
