// What `kubectl get` prints: kubectl asks for Tables and lets the server decide on columns. A hub that is cut off, and the
// watches that it serves, need them as well; columns are named and ordered, and cells filled, as the API server does:
// kubernetes/pkg/printers/internalversion/printers.go (v1.34).
import { ageText } from './age-text.ts';
import { child, fieldText, list, metadataOf, text } from './plain-object.ts';
import { podSummary } from './pod-columns.ts';
import type { KubeObject } from './wire.ts';

interface Column {
  readonly name: string;
  /** 1: only with -o wide. */
  readonly priority?: 1;
  readonly cell: (object: KubeObject, nowMs: number) => string | number;
}

const nameColumn: Column = { name: 'Name', cell: (object) => text(metadataOf(object), 'name') };
const ageColumn: Column = {
  name: 'Age',
  cell: (object, nowMs) => ageText(text(metadataOf(object), 'creationTimestamp'), nowMs),
};
const wide = (name: string, cell: Column['cell']): Column => ({ name, priority: 1, cell });

const columnsByKind: Readonly<Record<string, readonly Column[]>> = {
  Pod: [
    nameColumn,
    { name: 'Ready', cell: (pod, nowMs) => podSummary(pod, nowMs).ready },
    { name: 'Status', cell: (pod, nowMs) => podSummary(pod, nowMs).status },
    { name: 'Restarts', cell: (pod, nowMs) => podSummary(pod, nowMs).restarts },
    ageColumn,
    wide('IP', podAddress),
    wide('Node', (pod) => text(child(pod, 'spec'), 'nodeName') || '<none>'),
    wide('Nominated Node', (pod) => text(child(pod, 'status'), 'nominatedNodeName') || '<none>'),
    wide('Readiness Gates', readinessGates),
  ],
  Node: [
    nameColumn,
    { name: 'Status', cell: nodeStatus },
    { name: 'Roles', cell: nodeRoles },
    ageColumn,
    { name: 'Version', cell: (node) => nodeInfo(node, 'kubeletVersion') },
    wide('Internal-IP', (node) => nodeAddress(node, 'InternalIP')),
    wide('External-IP', (node) => nodeAddress(node, 'ExternalIP')),
    wide('OS-Image', (node) => nodeInfo(node, 'osImage') || '<unknown>'),
    wide('Kernel-Version', (node) => nodeInfo(node, 'kernelVersion') || '<unknown>'),
    wide('Container-Runtime', (node) => nodeInfo(node, 'containerRuntimeVersion') || '<unknown>'),
  ],
  ConfigMap: [
    nameColumn,
    {
      name: 'Data',
      cell: (map) => Object.keys(child(map, 'data')).length + Object.keys(child(map, 'binaryData')).length,
    },
    ageColumn,
  ],
  Secret: [
    nameColumn,
    { name: 'Type', cell: (secret) => text(secret, 'type') },
    { name: 'Data', cell: (secret) => Object.keys(child(secret, 'data')).length },
    ageColumn,
  ],
  Namespace: [
    nameColumn,
    { name: 'Status', cell: (namespace) => text(child(namespace, 'status'), 'phase') },
    ageColumn,
  ],
  Service: [
    nameColumn,
    { name: 'Type', cell: (service) => text(child(service, 'spec'), 'type') },
    { name: 'Cluster-IP', cell: (service) => texts(child(service, 'spec'), 'clusterIPs')[0] ?? '<none>' },
    { name: 'External-IP', cell: externalAddresses },
    { name: 'Port(s)', cell: servicePorts },
    ageColumn,
    wide('Selector', (service) => selectorText(child(child(service, 'spec'), 'selector'))),
  ],
};

/** Whether the columns of a kind are known here: an API server lets each kind have its own. */
export function hasColumns(kind: string, apiVersion: string): boolean {
  return apiVersion === 'v1' && Object.hasOwn(columnsByKind, kind);
}

/** A Table of `objects`; the columns are named only `withColumns`: a watch names them in its first event alone. */
export function tableOf(
  kind: string,
  objects: readonly KubeObject[],
  metadata: KubeObject,
  options: { readonly nowMs: number; readonly includeObject: string; readonly withColumns: boolean },
): KubeObject {
  const columns = columnsByKind[kind] ?? [nameColumn, ageColumn];
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: options.withColumns ? columns.map(columnDefinition) : null,
    rows: objects.map((object) => ({
      cells: columns.map((column) => column.cell(object, options.nowMs)),
      ...rowConditions(object),
      object: rowObject(object, options.includeObject),
    })),
  };
}

function columnDefinition({ name, priority }: Column): KubeObject {
  return { name, type: 'string', format: name === 'Name' ? 'name' : '', description: name, priority: priority ?? 0 };
}

function rowObject(object: KubeObject, includeObject: string): KubeObject | null {
  if (includeObject === 'None') return null;
  if (includeObject === 'Object') return object;
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: metadataOf(object) };
}

/** Of pods that have ended. */
function rowConditions(object: KubeObject): KubeObject {
  const phase = object['kind'] === 'Pod' ? text(child(object, 'status'), 'phase') : '';
  if (phase !== 'Succeeded' && phase !== 'Failed') return {};
  const message = phase === 'Failed' ? 'The pod failed.' : 'The pod has completed successfully.';
  return { conditions: [{ type: 'Completed', status: 'True', reason: phase, message }] };
}

function podAddress(pod: KubeObject): string {
  const status = child(pod, 'status');
  return text(list(status, 'podIPs')[0] ?? {}, 'ip') || text(status, 'podIP') || '<none>';
}

function readinessGates(pod: KubeObject): string {
  const gates = list(child(pod, 'spec'), 'readinessGates');
  if (gates.length === 0) return '<none>';
  const conditions = list(child(pod, 'status'), 'conditions');
  const met = gates.filter((gate) =>
    conditions.some(({ type, status }) => type === gate['conditionType'] && status === 'True'),
  );
  return `${met.length}/${gates.length}`;
}

function nodeStatus(node: KubeObject): string {
  const ready = list(child(node, 'status'), 'conditions').findLast((condition) => condition['type'] === 'Ready');
  const word = ready === undefined ? 'Unknown' : ready['status'] === 'True' ? 'Ready' : 'NotReady';
  return child(node, 'spec')['unschedulable'] === true ? `${word},SchedulingDisabled` : word;
}

function nodeRoles(node: KubeObject): string {
  const prefix = 'node-role.kubernetes.io/';
  const labels = child(metadataOf(node), 'labels');
  const roles = Object.keys(labels)
    .filter((label) => label.startsWith(prefix))
    .map((label) => label.slice(prefix.length));
  roles.push(text(labels, 'kubernetes.io/role'));
  return [...new Set(roles.filter((role) => role !== ''))].toSorted().join(',') || '<none>';
}

function nodeInfo(node: KubeObject, field: string): string {
  return text(child(child(node, 'status'), 'nodeInfo'), field);
}

function nodeAddress(node: KubeObject, type: string): string {
  const found = list(child(node, 'status'), 'addresses').find((address) => text(address, 'type') === type);
  return found === undefined ? '<none>' : text(found, 'address');
}

function externalAddresses(service: KubeObject): string {
  const spec = child(service, 'spec');
  const own = texts(spec, 'externalIPs');
  switch (text(spec, 'type')) {
    case 'ClusterIP':
    case 'NodePort':
      return own.join(',') || '<none>';
    case 'LoadBalancer': {
      const balancer = list(child(child(service, 'status'), 'loadBalancer'), 'ingress');
      const given = balancer.map((ingress) => text(ingress, 'ip') || text(ingress, 'hostname')).filter(Boolean);
      return [...[...new Set(given)].toSorted(), ...own].join(',') || '<pending>';
    }
    case 'ExternalName':
      return text(spec, 'externalName');
    default:
      return '<unknown>';
  }
}

function servicePorts(service: KubeObject): string {
  const ports = list(child(service, 'spec'), 'ports').map((port) => {
    const nodePort = fieldText(port, 'nodePort');
    return `${fieldText(port, 'port') ?? ''}${nodePort === undefined ? '' : `:${nodePort}`}/${text(port, 'protocol') || 'TCP'}`;
  });
  return ports.join(',') || '<none>';
}

function selectorText(selector: KubeObject): string {
  const pairs = Object.keys(selector)
    .toSorted()
    .map((key) => `${key}=${text(selector, key)}`);
  return pairs.join(',') || '<none>';
}

function texts(object: KubeObject, field: string): string[] {
  const value = object[field];
  return Array.isArray(value) ? value.filter((part): part is string => typeof part === 'string') : [];
}
