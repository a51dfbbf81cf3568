// What `kubectl get` prints: kubectl asks for Tables and lets the server decide on columns. A hub that is cut off, and the
// watches that it serves, need them as well; columns are named and ordered as the API server's are.
import type { KubeObject } from './wire.ts';
import { child, fieldText, list, metadataOf, text } from './plain-object.ts';

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

const columnsByKind: Readonly<Record<string, readonly Column[]>> = {
  Pod: [
    nameColumn,
    { name: 'Ready', cell: podReady },
    { name: 'Status', cell: podStatus },
    { name: 'Restarts', cell: podRestarts },
    ageColumn,
    { name: 'IP', priority: 1, cell: (pod) => text(child(pod, 'status'), 'podIP') || '<none>' },
    { name: 'Node', priority: 1, cell: (pod) => text(child(pod, 'spec'), 'nodeName') || '<none>' },
    {
      name: 'Nominated Node',
      priority: 1,
      cell: (pod) => text(child(pod, 'status'), 'nominatedNodeName') || '<none>',
    },
    { name: 'Readiness Gates', priority: 1, cell: () => '<none>' },
  ],
  Node: [
    nameColumn,
    { name: 'Status', cell: nodeStatus },
    { name: 'Roles', cell: nodeRoles },
    ageColumn,
    { name: 'Version', cell: (node) => text(child(child(node, 'status'), 'nodeInfo'), 'kubeletVersion') },
  ],
  ConfigMap: [
    nameColumn,
    {
      name: 'Data',
      cell: (map) => Object.keys(child(map, 'data')).length + Object.keys(child(map, 'binaryData')).length,
    },
    ageColumn,
  ],
  Service: [
    nameColumn,
    { name: 'Type', cell: (service) => text(child(service, 'spec'), 'type') || 'ClusterIP' },
    { name: 'Cluster-IP', cell: (service) => text(child(service, 'spec'), 'clusterIP') || '<none>' },
    { name: 'External-IP', cell: () => '<none>' },
    { name: 'Port(s)', cell: servicePorts },
    ageColumn,
  ],
};

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
      object: rowObject(object, options.includeObject),
    })),
  };
}

function columnDefinition({ name, priority }: Column): KubeObject {
  const type = name === 'Data' ? 'integer' : 'string';
  return { name, type, format: name === 'Name' ? 'name' : '', description: name, priority: priority ?? 0 };
}

function rowObject(object: KubeObject, includeObject: string): KubeObject | null {
  if (includeObject === 'None') return null;
  if (includeObject === 'Object') return object;
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: metadataOf(object) };
}

function podReady(pod: KubeObject): string {
  const statuses = list(child(pod, 'status'), 'containerStatuses');
  const ready = statuses.filter((container) => container['ready'] === true).length;
  return `${ready}/${list(child(pod, 'spec'), 'containers').length}`;
}

function podStatus(pod: KubeObject): string {
  const status = child(pod, 'status');
  if (text(metadataOf(pod), 'deletionTimestamp') !== '') return 'Terminating';
  for (const container of list(status, 'containerStatuses')) {
    const state = child(container, 'state');
    const reason = text(child(state, 'waiting'), 'reason') || text(child(state, 'terminated'), 'reason');
    if (reason !== '') return reason;
  }
  return text(status, 'reason') || text(status, 'phase');
}

function podRestarts(pod: KubeObject): string {
  const counts = list(child(pod, 'status'), 'containerStatuses').map((container) => container['restartCount']);
  return String(counts.reduce<number>((sum, count) => sum + (typeof count === 'number' ? count : 0), 0));
}

function nodeStatus(node: KubeObject): string {
  const ready = list(child(node, 'status'), 'conditions').find((condition) => condition['type'] === 'Ready');
  const word = ready === undefined ? 'Unknown' : ready['status'] === 'True' ? 'Ready' : 'NotReady';
  return child(node, 'spec')['unschedulable'] === true ? `${word},SchedulingDisabled` : word;
}

function nodeRoles(node: KubeObject): string {
  const prefix = 'node-role.kubernetes.io/';
  const labels = Object.keys(child(metadataOf(node), 'labels'));
  const roles = labels.filter((label) => label.startsWith(prefix)).map((label) => label.slice(prefix.length));
  return roles.toSorted().join(',') || '<none>';
}

function servicePorts(service: KubeObject): string {
  const ports = list(child(service, 'spec'), 'ports').map((port) => {
    const nodePort = fieldText(port, 'nodePort');
    return `${fieldText(port, 'port') ?? ''}${nodePort === undefined ? '' : `:${nodePort}`}/${text(port, 'protocol') || 'TCP'}`;
  });
  return ports.join(',') || '<none>';
}

/** As k8s.io/apimachinery/pkg/util/duration.HumanDuration writes it: 90s, 5m30s, 3h, 2d. */
export function ageText(timestamp: string, nowMs: number): string {
  const seconds = Math.floor((nowMs - Date.parse(timestamp)) / 1000);
  if (Number.isNaN(seconds)) return '<unknown>';
  if (seconds < 0) return '0s';
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`;
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`;
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (hours < 192) return hours % 24 === 0 ? `${days}d` : `${days}d${hours % 24}h`;
  if (days < 365 * 2) return `${days}d`;
  const years = Math.floor(days / 365);
  return days < 365 * 8 && days % 365 !== 0 ? `${years}y${days % 365}d` : `${years}y`;
}
