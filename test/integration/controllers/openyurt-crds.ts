// CRDs of NodePool and YurtAppSet as OpenYurt leaves them in a cluster, as far as it matters: without the fields that Holdfast adds
// (the API server drops what is not in them), without rules and defaults, and with a webhook that converts between versions.
import { customResourceDefinition } from '../../../controllers/crds/custom-resource.ts';
import { customResources } from '../../../controllers/crds/definitions.ts';
import type { OpenApi } from '../../../controllers/crds/schema.ts';

interface Version {
  readonly name: string;
  readonly schema: { readonly openAPIV3Schema: OpenApi };
}
interface Definition {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly versions: readonly Version[] };
}

const added = new Set([
  'spec.selector',
  'spec.rollout',
  'spec.poolLossGraceSeconds',
  'spec.workload.workloadTemplate.daemonSetTemplate',
  'status.pools',
  'status.conditions.observedGeneration',
]);
const nodePoolOnly = 'status.observedGeneration';

/** `storedAs`: the version in which it keeps NodePools; the latest by default. */
export function openYurtsDefinitions({ storedAs = 'v1beta2' }: { readonly storedAs?: string } = {}): Definition[] {
  return Object.values(customResources).map((custom) => {
    const definition = customResourceDefinition(custom) as unknown as Definition;
    const isNodePool = custom.resource.kind === 'NodePool';
    const dropped = isNodePool ? new Set([...added, nodePoolOnly]) : added;
    const versions = definition.spec.versions.map((version) => ({
      ...version,
      schema: { openAPIV3Schema: pruned(version.schema.openAPIV3Schema, '', dropped) },
      ...(isNodePool ? { storage: version.name === storedAs } : {}),
    }));
    return { ...definition, spec: { ...definition.spec, versions, conversion: webhook } };
  });
}

/** Of a manager that is not there any more. */
const webhook = {
  strategy: 'Webhook',
  webhook: {
    conversionReviewVersions: ['v1beta1', 'v1alpha1'],
    clientConfig: { service: { namespace: 'kube-system', name: 'yurt-manager-webhook-service', path: '/convert' } },
  },
};

function pruned(schema: OpenApi, at: string, dropped: ReadonlySet<string>): OpenApi {
  const { 'x-kubernetes-validations': _rules, default: _default, ...rest } = schema;
  const { properties, items } = rest;
  const kept = Object.entries(properties ?? {}).flatMap(([name, field]) => {
    const path = at === '' ? name : `${at}.${name}`;
    return dropped.has(path) ? [] : [[name, pruned(field, path, dropped)] as const];
  });
  return {
    ...rest,
    ...(properties === undefined ? {} : { properties: Object.fromEntries(kept) }),
    ...(items === undefined ? {} : { items: pruned(items, at, dropped) }),
  };
}
