// A CustomResourceDefinition from what is particular about one.
import type { Resource } from '../machinery/resource.ts';
import type { OpenApi, Rule, Schema } from './schema.ts';

export interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'boolean' | 'date';
  readonly jsonPath: string;
  readonly description: string;
  /** 1 and more: shown by `-o wide` only. */
  readonly priority?: number;
}

export interface CustomResource {
  readonly resource: Resource;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly doc: string;
  readonly spec: Schema<unknown>;
  readonly status: Schema<unknown>;
  readonly columns: readonly Column[];
  /** About the whole object: its metadata.name for one. */
  readonly rules?: readonly Rule[];
  /** Earlier versions with the same fields, for manifests that name them; not stored. */
  readonly earlierVersions?: readonly string[];
  /** Further subresources, such as scale. */
  readonly subresources?: Readonly<Record<string, unknown>>;
}

/** As `kubectl apply` takes it. */
export function customResourceDefinition(custom: CustomResource): Readonly<Record<string, unknown>> {
  const { group, version, resource, kind, namespaced } = custom.resource;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${resource}.${group}` },
    spec: {
      group,
      scope: namespaced ? 'Namespaced' : 'Cluster',
      names: {
        kind,
        listKind: `${kind}List`,
        plural: resource,
        singular: custom.singular,
        shortNames: custom.shortNames,
        categories: ['yurt'],
      },
      // Versions differ in nothing but their name.
      conversion: { strategy: 'None' },
      versions: [
        versionOf(custom, version, { served: true, storage: true }),
        ...(custom.earlierVersions ?? []).map((earlier) =>
          versionOf(custom, earlier, {
            served: true,
            storage: false,
            deprecated: true,
            deprecationWarning: `${group}/${earlier} ${kind} is deprecated; write ${group}/${version}`,
          }),
        ),
      ],
    },
  };
}

function versionOf(custom: CustomResource, name: string, about: Readonly<Record<string, unknown>>): unknown {
  const openAPIV3Schema: OpenApi = {
    description: custom.doc,
    type: 'object',
    ...(custom.spec.openApi.required === undefined ? {} : { required: ['spec'] }),
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object' },
      spec: custom.spec.openApi,
      status: custom.status.openApi,
    },
    ...(custom.rules === undefined ? {} : { 'x-kubernetes-validations': custom.rules }),
  };
  return {
    name,
    ...about,
    additionalPrinterColumns: custom.columns,
    schema: { openAPIV3Schema },
    subresources: { status: {}, ...custom.subresources },
  };
}
