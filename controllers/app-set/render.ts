// From template, tweaks and pool to the workload that the pool should have.
import { cloneJson, isJsonObject } from '../../kube/patch/json-value.ts';
import { TemplateError } from './errors.ts';
import { hashOf, workloadName } from './names.ts';
import { applyPatches, applySimpleTweaks, tweaksForPool } from './tweaks.ts';
import { appSetLabel, groupVersion, nodePoolLabel, poolAnnotation, poolLabel } from './types.ts';
import type { NodePool, TemplateSpec, WorkloadKind, WorkloadSpec, WorkloadTemplate, YurtAppSet } from './types.ts';

/** What is rendered: a workload as JSON, which may be changed. */
export interface RenderedObject {
  readonly apiVersion: 'apps/v1';
  readonly kind: WorkloadKind;
  metadata: Record<string, unknown> & {
    name: string;
    namespace: string;
    labels: Record<string, string>;
    annotations: Record<string, string>;
  };
  spec: Record<string, unknown>;
}

export interface Rendered {
  /** Without replicas and without what says when it was applied. */
  readonly object: RenderedObject;
  /** Of `object`: two that are equal make the same pods. */
  readonly hash: string;
  /** undefined where the user leaves it to the cluster, and for a DaemonSet. */
  readonly replicas: number | undefined;
}

/** The template that is given, and its kind; undefined if there is not exactly one. */
export function templateOf(
  template: WorkloadTemplate | undefined,
): { readonly kind: WorkloadKind; readonly template: TemplateSpec } | undefined {
  const given: { kind: WorkloadKind; template: TemplateSpec }[] = [];
  if (template?.deploymentTemplate) given.push({ kind: 'Deployment', template: template.deploymentTemplate });
  if (template?.statefulSetTemplate) given.push({ kind: 'StatefulSet', template: template.statefulSetTemplate });
  if (template?.daemonSetTemplate) given.push({ kind: 'DaemonSet', template: template.daemonSetTemplate });
  return given.length === 1 ? given[0] : undefined;
}

/**
 * The workload of `pool`. `existingName` is the name of the one that is there already: OpenYurt drew names by chance.
 * Throws TemplateError.
 */
export function renderWorkload(
  appSet: YurtAppSet,
  workload: WorkloadSpec,
  pool: NodePool,
  existingName?: string,
): Rendered {
  const given = templateOf(workload.workloadTemplate);
  if (given === undefined) throw new TemplateError('spec.workload.workloadTemplate needs exactly one template');
  const { kind, template } = given;
  const poolName = pool.metadata.name;
  const name = existingName ?? workloadName(appSet.metadata.name, poolName);
  const object: RenderedObject = {
    apiVersion: 'apps/v1',
    kind,
    metadata: {
      name,
      namespace: appSet.metadata.namespace ?? '',
      labels: { ...template.metadata?.labels, [poolLabel]: poolName, [appSetLabel]: appSet.metadata.name },
      annotations: { ...template.metadata?.annotations, [poolAnnotation]: poolName },
      ownerReferences: [
        {
          apiVersion: groupVersion,
          kind: 'YurtAppSet',
          name: appSet.metadata.name,
          uid: appSet.metadata.uid ?? '',
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: poolSpec(kind, template, poolName),
  };
  const identity = identityOf(object);
  const tweaks = tweaksForPool(workload.workloadTweaks ?? [], pool);
  applySimpleTweaks(object, tweaks);
  const patched = applyPatches(object, tweaks, poolName);
  if (identityOf(patched) !== identity)
    throw new TemplateError(
      `workloadTweaks: patches for pool ${poolName} change apiVersion, kind, name, namespace, owner or the pool's label; remove those patches`,
    );
  // null is how tools and patches say that a field is not there.
  const whole = withoutNulls(patched);
  const { replicas, ...spec } = whole.spec;
  if (replicas !== undefined && (!Number.isInteger(replicas) || (replicas as number) < 0))
    throw new TemplateError(`replicas for pool ${poolName} have to be an integer of at least 0`);
  if (kind === 'DaemonSet' && replicas !== undefined)
    throw new TemplateError('a DaemonSet has one pod on every node of the pool: remove replicas');
  const result = { ...whole, spec };
  return { object: result, hash: hashOf(result), replicas: typeof replicas === 'number' ? replicas : undefined };
}

function poolSpec(kind: WorkloadKind, template: TemplateSpec, pool: string): Record<string, unknown> {
  const spec = cloneJson(template.spec) as Record<string, unknown>;
  const selector = objectIn(spec, 'selector');
  objectIn(selector, 'matchLabels')[poolLabel] = pool;
  const podTemplate = objectIn(spec, 'template');
  const podMetadata = objectIn(podTemplate, 'metadata');
  // Tools print it, and nobody may set it.
  delete podMetadata['creationTimestamp'];
  podMetadata['labels'] = {
    ...objectIn(podMetadata, 'labels'),
    // As in OpenYurt, whose objects may rely on it for their selector.
    ...(kind === 'StatefulSet' ? template.metadata?.labels : {}),
    [poolLabel]: pool,
  };
  objectIn(objectIn(podTemplate, 'spec'), 'nodeSelector')[nodePoolLabel] = pool;
  return spec;
}

function withoutNulls<T>(value: T): T {
  if (Array.isArray(value)) return value.map((item: unknown) => withoutNulls(item)) as T;
  if (!isJsonObject(value)) return value;
  const entries = Object.entries(value).filter(([, inner]) => inner !== null);
  return Object.fromEntries(entries.map(([key, inner]) => [key, withoutNulls(inner)])) as T;
}

function objectIn(parent: Record<string, unknown>, field: string): Record<string, unknown> {
  const value = parent[field];
  if (isJsonObject(value)) return value;
  const made = {};
  parent[field] = made;
  return made;
}

function identityOf(object: RenderedObject): string {
  const metadata = isJsonObject(object.metadata) ? object.metadata : undefined;
  return JSON.stringify([
    object.apiVersion,
    object.kind,
    metadata?.name,
    metadata?.namespace,
    metadata?.['ownerReferences'],
    metadata?.labels?.[poolLabel],
    metadata?.labels?.[appSetLabel],
    isJsonObject(object.spec),
  ]);
}
