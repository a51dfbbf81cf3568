// Revisions: what spec.workload was, as ControllerRevisions that OpenYurt and Holdfast both read.
import { isJsonObject } from '../../kube/patch/json-value.ts';
import { canonicalJson, revisionName } from './names.ts';
import { appSetLabel, groupVersion } from './types.ts';
import type { ControllerRevision, WorkloadSpec, YurtAppSet } from './types.ts';

const defaultHistoryLimit = 10;

export interface RevisionPlan {
  /** Name of the revision of spec.workload. */
  readonly current: string;
  /** The revision that pools should have, by name: spec.rollout.revision, or else `current`. */
  readonly target: string;
  /** What it holds; undefined if spec.rollout.revision names one that is not there. */
  readonly workload: WorkloadSpec | undefined;
  /** To be made, as JSON, if the current one is not recorded yet. */
  readonly create: Readonly<Record<string, unknown>> | undefined;
  /** An earlier one that became current again gets the highest number. */
  readonly renumber: { readonly revision: ControllerRevision; readonly to: number } | undefined;
  /** Beyond the history limit; never the current one, the target, or one that a workload still has. */
  readonly expired: readonly ControllerRevision[];
}

export function planRevisions(
  appSet: YurtAppSet,
  revisions: readonly ControllerRevision[],
  inUse: ReadonlySet<string>,
): RevisionPlan {
  const { workload, rollout, revisionHistoryLimit } = appSet.spec;
  const sorted = revisions.toSorted((a, b) => a.revision - b.revision || (a.metadata.name < b.metadata.name ? -1 : 1));
  const text = canonicalJson(workload);
  const equal = sorted.findLast((revision) => canonicalJson(recordedWorkload(revision)) === text);
  const next = (sorted.at(-1)?.revision ?? 0) + 1;
  const current = equal?.metadata.name ?? freeName(appSet.metadata.name, workload, sorted);
  const target = rollout?.revision ?? current;
  const pinned = sorted.find((revision) => revision.metadata.name === target);
  const kept = new Set([current, target, ...inUse]);
  const disposable = sorted.filter((revision) => !kept.has(revision.metadata.name));
  const surplus =
    sorted.length + (equal === undefined ? 1 : 0) - Math.max(1, revisionHistoryLimit ?? defaultHistoryLimit);
  return {
    current,
    target,
    workload: target === current ? workload : pinned && recordedWorkload(pinned),
    create: equal === undefined ? newRevision(appSet, current, next) : undefined,
    renumber: equal !== undefined && equal !== sorted.at(-1) ? { revision: equal, to: next } : undefined,
    expired: disposable.slice(0, Math.max(0, surplus)),
  };
}

/** undefined for data that is no revision of an app set. */
export function recordedWorkload(revision: ControllerRevision): WorkloadSpec | undefined {
  const spec = isJsonObject(revision.data) ? revision.data['spec'] : undefined;
  const workload = isJsonObject(spec) ? spec['workload'] : undefined;
  if (!isJsonObject(workload) || !isJsonObject(workload['workloadTemplate'])) return undefined;
  // OpenYurt writes the directive of a strategic merge patch into it.
  const { $patch: _, ...rest } = workload;
  return rest as unknown as WorkloadSpec;
}

function freeName(appSet: string, workload: WorkloadSpec, taken: readonly ControllerRevision[]): string {
  for (let probe = 0; ; probe++) {
    const name = revisionName(appSet, workload, probe);
    if (!taken.some((revision) => revision.metadata.name === name)) return name;
  }
}

function newRevision(appSet: YurtAppSet, name: string, revision: number): Readonly<Record<string, unknown>> {
  const { metadata, spec } = appSet;
  return {
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: {
      name,
      namespace: metadata.namespace,
      labels: { [appSetLabel]: metadata.name },
      ownerReferences: [
        {
          apiVersion: groupVersion,
          kind: 'YurtAppSet',
          name: metadata.name,
          uid: metadata.uid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    data: { spec: { workload: spec.workload } },
    revision,
  };
}
