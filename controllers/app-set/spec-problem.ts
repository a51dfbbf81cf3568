// Why nothing can be planned for an app set, in words that say what to write instead. Our CRD refuses such specs; OpenYurt's, which
// a cluster may hold, does not. Pure.
import { SelectorError } from '../../kube/errors.ts';
import { labelRequirements } from '../../kube/selectors/label-selector-object.ts';
import type { LabelSelector } from '../../kube/selectors/label-selector-object.ts';
import type { Observed } from './plan.ts';
import { templateOf } from './render.ts';
import type { WorkloadKind } from './types.ts';

/** Undefined when there is none. */
export function specProblem({ appSet, workloads }: Pick<Observed, 'appSet' | 'workloads'>): string | undefined {
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
