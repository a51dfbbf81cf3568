// Which fields the API server selects by, for each built-in kind, beside the name and the namespace: the field label
// conversions and field sets of kubernetes/pkg/apis/*/conversion.go and pkg/registry/*/strategy.go (v1.34).
import { child, fieldText, list, text } from '../plain-object.ts';
import type { KubeObject } from '../wire.ts';

interface Selectable {
  /** Each field to its value; '' where the object does not have it. */
  readonly fields: Readonly<Record<string, (object: KubeObject) => string>>;
  /** False for the kinds that refuse `metadata.namespace`. */
  readonly namespace: boolean;
  /** How the API server refuses another field. */
  readonly refusal: (field: string) => string;
}

const at =
  (path: string) =>
  (object: KubeObject): string =>
    fieldText(object, path) ?? '';
const flag =
  (path: string) =>
  (object: KubeObject): string =>
    fieldText(object, path) ?? 'false';
/** Fields left out of JSON when they are zero. */
const count =
  (path: string) =>
  (object: KubeObject): string =>
    fieldText(object, path) ?? '0';

const notSupported = (field: string): string => `field label not supported: ${field}`;

const byKind: Readonly<Record<string, Selectable>> = {
  Pod: {
    namespace: true,
    refusal: notSupported,
    fields: {
      'spec.nodeName': at('spec.nodeName'),
      'spec.host': at('spec.nodeName'),
      'spec.restartPolicy': at('spec.restartPolicy'),
      'spec.schedulerName': at('spec.schedulerName'),
      'spec.serviceAccountName': at('spec.serviceAccountName'),
      'spec.hostNetwork': flag('spec.hostNetwork'),
      'status.phase': at('status.phase'),
      'status.podIP': (pod) => text(list(child(pod, 'status'), 'podIPs')[0] ?? {}, 'ip'),
      // Taken by the API server, and never set: it selects by the first address only.
      'status.podIPs': () => '',
      'status.nominatedNodeName': at('status.nominatedNodeName'),
    },
  },
  Node: { namespace: false, refusal: notSupported, fields: { 'spec.unschedulable': flag('spec.unschedulable') } },
  Namespace: { namespace: false, refusal: notSupported, fields: { 'status.phase': at('status.phase') } },
  Secret: { namespace: true, refusal: notSupported, fields: { type: at('type') } },
  Service: {
    namespace: true,
    refusal: notSupported,
    fields: { 'spec.clusterIP': at('spec.clusterIP'), 'spec.type': at('spec.type') },
  },
  ReplicationController: {
    namespace: true,
    refusal: notSupported,
    fields: { 'status.replicas': count('status.replicas') },
  },
  Job: {
    namespace: true,
    refusal: (field) => `field label ${JSON.stringify(field)} not supported for Job`,
    fields: { 'status.successful': count('status.succeeded') },
  },
  CertificateSigningRequest: {
    namespace: false,
    refusal: notSupported,
    fields: { 'spec.signerName': at('spec.signerName') },
  },
  ResourceSlice: {
    namespace: false,
    refusal: (field) => `field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: ${field}`,
    fields: { 'spec.nodeName': at('spec.nodeName'), 'spec.driver': at('spec.driver') },
  },
};

const others: Selectable = {
  namespace: true,
  refusal: (field) =>
    `${JSON.stringify(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`,
  fields: {},
};

/** How the API server refuses to select built-in objects of this kind by this field; undefined when it does not. */
export function fieldRefusal(kind: string, field: string): string | undefined {
  const { fields, namespace, refusal } = selectable(kind);
  if (field === 'metadata.name' || (field === 'metadata.namespace' && namespace)) return undefined;
  return Object.hasOwn(fields, field) ? undefined : refusal(field);
}

/** The field that is meant by a field of old (`spec.host`). */
export function canonicalField(kind: string, field: string): string {
  return kind === 'Pod' && field === 'spec.host' ? 'spec.nodeName' : field;
}

/** The value of a field other than name and namespace, '' when there is none. */
export function selectedField(kind: string, object: KubeObject, field: string): string {
  const { fields } = selectable(kind);
  return Object.hasOwn(fields, field) ? (fields[field]?.(object) ?? '') : (fieldText(object, field) ?? '');
}

function selectable(kind: string): Selectable {
  return (Object.hasOwn(byKind, kind) ? byKind[kind] : undefined) ?? others;
}
