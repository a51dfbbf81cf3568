// An application with a service, for each node of its own, since pods of one node do not reach those of another here; and a
// client of it, which also uses the API as any pod does.
import { readFileSync } from 'node:fs';
import { binary } from '../../cluster/binaries.ts';
import { registryName } from '../../cluster/images.ts';
import type { ImageSpec } from '../../cluster/images.ts';
import { core } from '../../cluster/manifest.ts';
import type { Manifest } from '../../cluster/manifest.ts';

export const namespace = 'shop';
export const replicas = 2;
/** kube-proxy, CoreDNS, the application, its client. */
export const podsPerNode = 3 + replicas;
/** A folder of the node, and the file in it that the client writes. */
export const dataFolder = '/var/lib/drill';
export const stateFile = 'client.json';
/** The client's service account. */
export const account = 'client';

const image = `${registryName}/in-cluster:1`;
const rbac = 'rbac.authorization.k8s.io';
const serve = 'mkdir /www; echo "$HOSTNAME" > /www/index.html; exec httpd -f -p 8080 -h /www';

const ports = [{ port: 80, targetPort: 8080 }];
/** A Service of the application of all nodes, kept to the node of whoever asks. */
export const sharedService = 'application';
const sharedLabels = { part: 'application' };

export const serviceName = (nodeName: string): string => `application-${nodeName}`;
export const headlessName = (nodeName: string): string => `application-${nodeName}-pods`;

export function clientImage(): ImageSpec {
  return {
    name: image,
    command: ['/in-cluster'],
    files: [{ path: '/in-cluster', content: readFileSync(binary('in-cluster')), mode: 0o755 }],
  };
}

/** Once per cluster. The client may read the ConfigMaps of its namespace. */
export function sharedManifests(): Manifest[] {
  const subject = { kind: 'ServiceAccount', name: account, namespace };
  const rules = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list', 'watch'] }];
  const roles = (plural: string, kind: string, body: Record<string, unknown>): Manifest => ({
    path: `/apis/${rbac}/v1/namespaces/${namespace}/${plural}`,
    body: { apiVersion: `${rbac}/v1`, kind, metadata: { name: account }, ...body },
  });
  return [
    { path: '/api/v1/namespaces', body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } } },
    core(namespace, 'serviceaccounts', 'ServiceAccount', { metadata: { name: account } }),
    roles('roles', 'Role', { rules }),
    roles('rolebindings', 'RoleBinding', {
      roleRef: { apiGroup: rbac, kind: 'Role', name: account },
      subjects: [subject],
    }),
    core(namespace, 'services', 'Service', {
      metadata: {
        name: sharedService,
        annotations: { 'openyurt.io/topologyKeys': 'kubernetes.io/hostname' },
      },
      spec: { selector: sharedLabels, ports },
    }),
    core(namespace, 'configmaps', 'ConfigMap', { metadata: { name: 'settings' }, data: { value: 'before' } }),
  ];
}

export function nodeManifests(nodeName: string): Manifest[] {
  const name = serviceName(nodeName);
  const selector = { app: name };
  return [
    core(namespace, 'services', 'Service', { metadata: { name }, spec: { selector, ports } }),
    core(namespace, 'services', 'Service', {
      metadata: { name: headlessName(nodeName) },
      spec: { selector, ports, clusterIP: 'None' },
    }),
    deployment(
      nodeName,
      name,
      replicas,
      {
        containers: [
          {
            name: 'main',
            image: `${registryName}/busybox:1`,
            command: ['sh', '-c', serve],
            readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
          },
        ],
      },
      sharedLabels,
    ),
    deployment(nodeName, `client-${nodeName}`, 1, {
      serviceAccountName: account,
      containers: [
        {
          name: 'main',
          image,
          command: [
            '/in-cluster',
            `-namespace=${namespace}`,
            '-configmap=settings',
            `-service=http://${name}/`,
            `-state=/drill/${stateFile}`,
          ],
          volumeMounts: [{ name: 'drill', mountPath: '/drill' }],
        },
      ],
      volumes: [{ name: 'drill', hostPath: { path: dataFolder } }],
    }),
  ];
}

function deployment(
  nodeName: string,
  app: string,
  count: number,
  podSpec: Record<string, unknown>,
  labels: Record<string, string> = {},
): Manifest {
  return {
    path: `/apis/apps/v1/namespaces/${namespace}/deployments`,
    body: {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: app },
      spec: {
        replicas: count,
        selector: { matchLabels: { app } },
        template: {
          metadata: { labels: { app, ...labels } },
          spec: {
            nodeSelector: { 'kubernetes.io/hostname': nodeName },
            tolerations: [{ operator: 'Exists' }],
            terminationGracePeriodSeconds: 1,
            ...podSpec,
          },
        },
      },
    },
  };
}
