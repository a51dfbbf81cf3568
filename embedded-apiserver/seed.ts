// What stands in the embedded API server for `npm start`: one node of a shop, its pods, config maps and a service; and
// a ticker that changes something, so that a watch shows life.
import type { Clock } from '../runtime/clock.ts';
import { delay } from '../runtime/clock.ts';
import type { KubeObject } from '../kube/wire.ts';
import type { EmbeddedApiserver } from './embedded-apiserver.ts';
import { child, list, metadataOf } from '../kube/plain-object.ts';

export const seedNames = {
  node: 'edge-1',
  namespace: 'shop',
  configMap: 'till-settings',
  pods: ['till-0', 'till-1', 'stock', 'display'],
} as const;

const image = 'registry.example/shop:1.0';

/** Puts the objects in; `nowMs` is when the pods became ready. */
export function seed(server: EmbeddedApiserver, nowMs: number): void {
  const since = new Date(nowMs).toISOString().replace(/\.\d+/, '');
  const { namespace, node } = seedNames;
  server.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  server.apply(nodeObject(node, since));
  server.apply({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: node, namespace: 'kube-node-lease' },
    spec: { holderIdentity: node, leaseDurationSeconds: 40, renewTime: new Date(nowMs).toISOString() },
  });
  for (const name of ['default', 'kube-system', namespace])
    server.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: name } });
  server.apply({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: seedNames.configMap, namespace },
    data: { currency: 'EUR', greeting: 'Good morning' },
  });
  server.apply({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'opening-hours', namespace },
    data: { weekdays: '08:00-20:00' },
  });
  server.apply({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'till', namespace },
    spec: {
      type: 'ClusterIP',
      clusterIP: '10.96.0.20',
      selector: { app: 'till' },
      ports: [{ port: 80, protocol: 'TCP', targetPort: 8080 }],
    },
  });
  seedNames.pods.forEach((name, index) => server.apply(podObject(name, `10.244.1.${index + 2}`, since)));
}

/** A running pod of the shop, as its kubelet would report it. */
export function podObject(name: string, podIP: string, since: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: seedNames.namespace, labels: { app: name.replace(/-\d+$/, '') } },
    spec: { nodeName: seedNames.node, containers: [{ name: 'main', image }] },
    status: {
      phase: 'Running',
      podIP,
      startTime: since,
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: since }],
      containerStatuses: [
        { name: 'main', image, ready: true, started: true, restartCount: 0, state: { running: { startedAt: since } } },
      ],
    },
  };
}

function nodeObject(name: string, since: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' } },
    spec: { podCIDR: '10.244.1.0/24' },
    status: {
      addresses: [
        { type: 'InternalIP', address: '192.168.7.11' },
        { type: 'Hostname', address: name },
      ],
      conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', lastTransitionTime: since }],
      nodeInfo: { kubeletVersion: 'v1.34.4', operatingSystem: 'linux', architecture: 'amd64' },
      capacity: { cpu: '4', memory: '8Gi', pods: '110' },
    },
  };
}

/**
 * Changes one thing at each step, in a fixed order: a pod restarts its container, a config map gets another value, a
 * new pod appears, the oldest such pod goes. Returns what it did, in words.
 */
export function tick(server: EmbeddedApiserver, step: number, nowMs: number): string {
  const since = new Date(nowMs).toISOString().replace(/\.\d+/, '');
  const { namespace } = seedNames;
  const visitor = (number: number): string => `visitor-${number}`;
  const round = Math.floor(step / 4);
  switch (step % 4) {
    case 0: {
      const name = seedNames.pods[round % seedNames.pods.length] ?? '';
      const pod = server.read('v1', 'Pod', namespace, name);
      if (pod === undefined) return `pod ${name} is not there to restart`;
      const [container = {}] = list(child(pod, 'status'), 'containerStatuses');
      const restartCount = Number(container['restartCount'] ?? 0) + 1;
      const containerStatuses = [{ ...container, restartCount, state: { running: { startedAt: since } } }];
      server.apply({ ...pod, status: { ...child(pod, 'status'), containerStatuses } });
      return `pod ${name} restarted its container`;
    }
    case 1: {
      const map = server.read('v1', 'ConfigMap', namespace, seedNames.configMap);
      if (map === undefined) return `config map ${seedNames.configMap} is not there to change`;
      server.apply({ ...map, metadata: metadataOf(map), data: { ...child(map, 'data'), changedAt: since } });
      return `config map ${seedNames.configMap} changed`;
    }
    case 2:
      server.apply(podObject(visitor(round), `10.244.1.${100 + (round % 100)}`, since));
      return `pod ${visitor(round)} was created`;
    default:
      server.remove('v1', 'Pod', namespace, visitor(round - 1));
      return round === 0 ? 'nothing changed' : `pod ${visitor(round - 1)} was deleted`;
  }
}

/** Ticks every `intervalMs` until `signal` aborts. */
export async function runTicker(
  { server, clock }: { server: EmbeddedApiserver; clock: Clock },
  { intervalMs }: { intervalMs: number },
  signal: AbortSignal,
): Promise<void> {
  for (let step = 0; ; step += 1) {
    await delay(clock, intervalMs, signal);
    if (signal.aborted) return;
    tick(server, step, clock.wallMs());
  }
}
