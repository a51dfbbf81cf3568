// The bodies of what a plan writes to workloads.
import { replicasNote, replicasToApply } from './replicas.ts';
import type { Action } from './plan.ts';
import { rfc3339 } from './status.ts';
import { appliedAnnotation, lostAnnotation, replicasAnnotation, revisionLabel, startedAnnotation } from './types.ts';

/**
 * For a server-side apply. On a workload that exists it carries the version that was looked at, so that what others did
 * since then, an autoscaler for one, is not undone: the API server answers 409 and it is looked at again.
 */
export function applyBody(
  action: Extract<Action, { type: 'apply' }>,
  nowMs: number,
): Readonly<Record<string, unknown>> {
  const { rendered, existing, revision, why } = action;
  const { object } = rendered;
  const replicas = object.kind === 'DaemonSet' ? undefined : replicasToApply(rendered, existing);
  const started = why === 'record' ? existing?.metadata.annotations?.[startedAnnotation] : rfc3339(nowMs);
  return {
    ...object,
    metadata: {
      ...object.metadata,
      ...(existing?.metadata.resourceVersion === undefined
        ? {}
        : { uid: existing.metadata.uid, resourceVersion: existing.metadata.resourceVersion }),
      labels: { ...object.metadata.labels, [revisionLabel]: revision },
      annotations: {
        ...object.metadata.annotations,
        [appliedAnnotation]: rendered.hash,
        [replicasAnnotation]: replicasNote(rendered.replicas),
        ...(started === undefined ? {} : { [startedAnnotation]: started }),
      },
    },
    spec: { ...object.spec, ...(replicas === undefined ? {} : { replicas }) },
  };
}

/** Merge patches, each for the object that was looked at. */
export function workloadPatch(
  action: Extract<Action, { type: 'scale' | 'mark-lost' | 'unmark-lost' }>,
  nowMs: number,
): Readonly<Record<string, unknown>> {
  const { uid } = action.workload.metadata;
  const annotate = (key: string, value: string | null): Record<string, unknown> => ({
    metadata: { uid, annotations: { [key]: value } },
  });
  switch (action.type) {
    case 'scale':
      return {
        ...annotate(replicasAnnotation, replicasNote(action.replicas)),
        ...(action.replicas === undefined ? {} : { spec: { replicas: action.replicas } }),
      };
    case 'mark-lost':
      return annotate(lostAnnotation, rfc3339(nowMs));
    case 'unmark-lost':
      return annotate(lostAnnotation, null);
  }
}
