// What runs on an edge node in a drill: the kinds of pods that fail rivals after an offline reboot. Pure manifests.
//
// All pods of a node tolerate an unreachable node without limit: whether a pod is evicted is the guard's matter, not the
// hub's, and an eviction would look like a restart.
import { registryName } from '../cluster/images.ts';
import type { Manifest } from '../cluster/manifest.ts';

export const namespace = 'drill';
/** A folder of the node that pods of the drill mount, and that the drill writes into. */
export const dataFolder = '/var/lib/drill';

/** How many pods a node has: three of the application, `latest`, the job, the daemon, the static pod. */
export const podsPerNode = 7;
export const applicationReplicas = 3;

const image = `${registryName}/busybox:1`;
const latestImage = `${registryName}/busybox:latest`;
const stay = 'trap "exit 0" TERM; sleep 1000000 & wait';

/** Once per cluster. */
export function sharedManifests(): Manifest[] {
  return [
    { path: '/api/v1/namespaces', body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } } },
    {
      path: '/apis/storage.k8s.io/v1/storageclasses',
      body: {
        apiVersion: 'storage.k8s.io/v1',
        kind: 'StorageClass',
        metadata: { name: 'drill-local' },
        provisioner: 'kubernetes.io/no-provisioner',
      },
    },
    core('configmaps', { kind: 'ConfigMap', metadata: { name: 'settings' }, data: { value: 'before' } }),
    core('secrets', { kind: 'Secret', metadata: { name: 'credentials' }, stringData: { password: 'secret' } }),
    apps('daemonsets', 'DaemonSet', 'daemon', {
      selector: { matchLabels: { app: 'daemon' } },
      template: template('daemon', undefined, { containers: [container(image, stay)] }),
    }),
  ];
}

/** A local volume of a node, and the claim that it is for. */
export function nodeVolume(nodeName: string): { readonly volume: Manifest; readonly claim: Manifest } {
  const name = claimOf(nodeName);
  return {
    volume: { path: '/api/v1/persistentvolumes', body: localVolume(nodeName, name) },
    claim: core('persistentvolumeclaims', {
      kind: 'PersistentVolumeClaim',
      metadata: { name },
      spec: {
        storageClassName: 'drill-local',
        volumeName: name,
        accessModes: ['ReadWriteOnce'],
        resources: { requests: { storage: '1Mi' } },
      },
    }),
  };
}

/** For each node, once its claim is bound. */
export function nodeManifests(nodeName: string): Manifest[] {
  return [
    deployment(nodeName, 'application', applicationReplicas, applicationPod(claimOf(nodeName))),
    deployment(nodeName, 'latest', 1, latestPod()),
    {
      path: `/apis/batch/v1/namespaces/${namespace}/jobs`,
      body: {
        apiVersion: 'batch/v1',
        kind: 'Job',
        metadata: { name: `job-${nodeName}`, namespace },
        spec: { backoffLimit: 3, template: template('job', nodeName, jobPod()) },
      },
    },
  ];
}

/** For the kubelet's manifest folder. */
export function staticPod(): Record<string, unknown> {
  const spec = { containers: [container(image, stay)], terminationGracePeriodSeconds: 1 };
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'static', namespace, labels: { app: 'static' } }, spec };
}

const claimOf = (nodeName: string): string => `data-${nodeName}`;

/** Needs a ConfigMap, a Secret, the projected token and a local volume before it stays. */
function applicationPod(claim: string): Record<string, unknown> {
  const script = [
    'set -e',
    'cat /settings/value > /dev/null',
    'test "$(cat /credentials/password)" = secret',
    'test "$PASSWORD" = secret',
    'test -s /var/run/secrets/kubernetes.io/serviceaccount/token',
    'test -s /var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
    'date >> /data/starts',
    stay,
  ];
  return {
    containers: [
      {
        ...container(image, script.join('; ')),
        env: [{ name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'credentials', key: 'password' } } }],
        volumeMounts: [
          { name: 'settings', mountPath: '/settings' },
          { name: 'credentials', mountPath: '/credentials' },
          { name: 'data', mountPath: '/data' },
        ],
      },
    ],
    volumes: [
      { name: 'settings', configMap: { name: 'settings' } },
      { name: 'credentials', secret: { secretName: 'credentials' } },
      { name: 'data', persistentVolumeClaim: { claimName: claim } },
    ],
  };
}

/** Tag `latest`, so imagePullPolicy is Always; Ready as long as the drill lets the file `ready` be. */
function latestPod(): Record<string, unknown> {
  return {
    containers: [
      {
        ...container(latestImage, stay),
        readinessProbe: { exec: { command: ['test', '-e', '/drill/ready'] }, periodSeconds: 1, failureThreshold: 1 },
        volumeMounts: [{ name: 'drill', mountPath: '/drill' }],
      },
    ],
    volumes: [{ name: 'drill', hostPath: { path: dataFolder } }],
  };
}

/** Ends when the drill makes the file `finish`, and writes a line for each time that it ended. */
function jobPod(): Record<string, unknown> {
  const script = 'until test -e /drill/finish; do sleep 0.2; done; echo done >> /drill/job-runs';
  return {
    restartPolicy: 'Never',
    containers: [{ ...container(image, script), volumeMounts: [{ name: 'drill', mountPath: '/drill' }] }],
    volumes: [{ name: 'drill', hostPath: { path: dataFolder } }],
  };
}

function localVolume(nodeName: string, claim: string): Record<string, unknown> {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: claim },
    spec: {
      storageClassName: 'drill-local',
      capacity: { storage: '1Mi' },
      accessModes: ['ReadWriteOnce'],
      claimRef: { namespace, name: claim },
      local: { path: `${dataFolder}/volume` },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [nodeName] }] },
          ],
        },
      },
    },
  };
}

function deployment(nodeName: string, app: string, replicas: number, spec: Record<string, unknown>): Manifest {
  return apps('deployments', 'Deployment', `${app}-${nodeName}`, {
    replicas,
    selector: { matchLabels: { app, node: nodeName } },
    template: template(app, nodeName, spec),
  });
}

function template(app: string, nodeName: string | undefined, spec: Record<string, unknown>): Record<string, unknown> {
  return {
    metadata: { labels: { app, ...(nodeName === undefined ? {} : { node: nodeName }) } },
    spec: {
      tolerations: [{ operator: 'Exists' }],
      terminationGracePeriodSeconds: 1,
      ...(nodeName === undefined ? {} : { nodeSelector: { 'kubernetes.io/hostname': nodeName } }),
      ...spec,
    },
  };
}

function container(containerImage: string, script: string): Record<string, unknown> {
  return { name: 'main', image: containerImage, command: ['sh', '-c', script] };
}

function core(plural: string, body: Record<string, unknown>): Manifest {
  return { path: `/api/v1/namespaces/${namespace}/${plural}`, body: { apiVersion: 'v1', ...body } };
}

function apps(plural: string, kind: string, name: string, spec: Record<string, unknown>): Manifest {
  return {
    path: `/apis/apps/v1/namespaces/${namespace}/${plural}`,
    body: { apiVersion: 'apps/v1', kind, metadata: { name, namespace }, spec },
  };
}
