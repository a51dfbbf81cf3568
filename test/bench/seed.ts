// The objects that the benchmark reads, and their paths.
import type { ControlPlane } from '../cluster/control-plane.ts';
import type { LoadTool } from './load-tool.ts';
import type { ClientFiles, Way } from './ways.ts';

export const nodeName = 'bench-node';
/** A node beside it, without a hub, with the same pods to look at and a Lease of its own: two would be in each other's way. */
export const otherNodeName = 'bench-node-without-hub';
const largeBytes = 4096;
export const largeCount = 5_000;
export const podCount = 30;

export const paths = {
  smallObject: '/api/v1/namespaces/bench-small/configmaps/small-0',
  smallCollection: '/api/v1/namespaces/bench-small/configmaps',
  largeCollection: '/api/v1/namespaces/bench-large/configmaps',
  watchedObject: '/api/v1/namespaces/bench-watch/configmaps/watched-0',
  watchedCollection: '/api/v1/namespaces/bench-watch/configmaps',
  pod: '/api/v1/namespaces/bench-pods/pods/pod-0',
  lease: `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${nodeName}`,
} as const;

/** A collection of so many objects, for cold starts: all with one label, over all namespaces. */
export function coldStartCollection(objects: number): { path: string; label: string } {
  const label = `cold-${objects}`;
  return { label, path: `/api/v1/namespaces/bench-cold/configmaps?labelSelector=bench%3D${label}` };
}

export async function seedCluster(
  plane: ControlPlane,
  load: LoadTool,
  direct: Way,
  client: ClientFiles,
  say: (line: string) => void,
): Promise<void> {
  const namespaces = ['bench-small', 'bench-large', 'bench-watch', 'bench-pods', 'bench-cold'];
  for (const name of namespaces) {
    await plane.request('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }
  await ensureNamespace(plane, 'kube-node-lease');
  const seed = (namespace: string, prefix: string, count: number, bytes: number, label = 'seed'): Promise<unknown> =>
    load.run('seed', direct, client, { namespace: `bench-${namespace}`, prefix, count, bytes, label });
  say(`creating ${largeCount.toLocaleString('en')} objects of 4 KB …`);
  await seed('large', 'large', largeCount, largeBytes);
  await seed('small', 'small', 10, 1024);
  await seed('watch', 'watched', 1, 1024);
  await seed('pods', 'pod', podCount, 1024);
  await seedPods(plane);
}

/** More objects, for those who measure with them. */
export async function seedColdStart(load: LoadTool, direct: Way, client: ClientFiles, objects: number): Promise<void> {
  const { label } = coldStartCollection(objects);
  const flags = { namespace: 'bench-cold', prefix: label, count: objects, bytes: largeBytes, label };
  await load.run('seed', direct, client, flags);
}

/** As many services as a cluster of some hundred nodes may have, and their endpoint slices. */
export async function seedServices(
  plane: ControlPlane,
  load: LoadTool,
  direct: Way,
  client: ClientFiles,
): Promise<void> {
  await ensureNamespace(plane, 'bench-services');
  await load.run('seed-services', direct, client, { namespace: 'bench-services', count: 1_000, slices: 3 });
}

async function ensureNamespace(plane: ControlPlane, name: string): Promise<void> {
  const answer = await plane.rawRequest('GET', `/api/v1/namespaces/${name}`);
  if (answer.status !== 404) return;
  await plane.rawRequest('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
}

/** A node, its Lease and that of another, and 30 pods on it that refer to a ConfigMap and a Secret each. */
async function seedPods(plane: ControlPlane): Promise<void> {
  const core = '/api/v1/namespaces/bench-pods';
  await plane.request('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName } });
  for (const name of [nodeName, otherNodeName])
    await plane.request('POST', paths.lease.slice(0, paths.lease.lastIndexOf('/')), {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name },
      spec: { holderIdentity: name, leaseDurationSeconds: 40 },
    });
  for (let index = 0; index < podCount; index++) {
    const name = `pod-${index}`;
    await plane.request('POST', `${core}/secrets`, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name },
      stringData: { password: 'x'.repeat(512) },
    });
    await plane.request('POST', `${core}/pods`, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, labels: { app: 'bench' } },
      spec: {
        nodeName,
        containers: [{ name: 'main', image: 'example.com/app:1', envFrom: [{ configMapRef: { name } }] }],
        volumes: [{ name: 'secret', secret: { secretName: name } }],
      },
    });
  }
}
