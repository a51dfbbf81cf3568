// The pod by which a command of a node is run from the cloud, and what its status says. Pure.
import { createHash } from 'node:crypto';
import type { ApiObject, Draft } from '../controllers/machinery/resource.ts';
import { hostRoot, stageFolder } from '../dropin/on-host.ts';

/** Where clusters let pods near a host in by default; the tunnel server is there too. */
export const podNamespace = 'kube-system';
export const containerName = 'on-host';
/** What the pod runs, so that a second run knows whether it is the same. */
export const runAnnotation = 'holdfast.dev/run';
/** Longer than a command takes to take back what it did. */
const graceSeconds = 180;
const longestName = 200;

export interface NodePodSettings {
  readonly node: string;
  readonly image: string;
  /** Of holdfast on the host: convert, and its flags. */
  readonly args: readonly string[];
}

export interface NodePod extends ApiObject {
  readonly spec?: { readonly containers?: readonly { readonly image?: string }[] };
  readonly status?: {
    readonly phase?: string;
    readonly reason?: string;
    readonly message?: string;
    readonly containerStatuses?: readonly {
      readonly state?: {
        readonly waiting?: { readonly reason?: string; readonly message?: string };
        readonly running?: object;
        readonly terminated?: { readonly exitCode: number; readonly reason?: string; readonly message?: string };
      };
    }[];
  };
}

/** One for each node: two commands on one node at once would undo each other's work. */
export function podName(node: string): string {
  const name = `holdfast-on-${node}`;
  if (name.length <= longestName) return name;
  return `${name.slice(0, longestName)}-${createHash('sha256').update(node).digest('hex').slice(0, 10)}`;
}

export const runText = ({ args }: Pick<NodePodSettings, 'args'>): string => args.join(' ');

export function nodePod(settings: NodePodSettings): Draft {
  const { node, image, args } = settings;
  const label = 'app.kubernetes.io';
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: podName(node),
      namespace: podNamespace,
      labels: { [`${label}/name`]: 'holdfast-on-host', [`${label}/part-of`]: 'holdfast' },
      annotations: { [runAnnotation]: runText(settings) },
    },
    spec: {
      nodeName: node, // whatever the scheduler would think of it: a node may be cordoned
      tolerations: [{ operator: 'Exists' }],
      restartPolicy: 'Never', // a command that failed has taken back what it did, and says why
      priorityClassName: 'system-node-critical', // nobody is to push it out half way
      terminationGracePeriodSeconds: graceSeconds,
      hostPID: true, // systemctl takes no answer from a systemd whose process it cannot see: "No data available"
      hostNetwork: true, // the kubelet's and the hub's ports on loopback; and no network add-on is needed
      dnsPolicy: 'Default',
      automountServiceAccountToken: false, // it asks the API as the node, with the kubelet's certificate
      enableServiceLinks: false,
      containers: [
        {
          name: containerName,
          image,
          imagePullPolicy: 'IfNotPresent',
          args: ['on-host', ...args],
          terminationMessagePolicy: 'FallbackToLogsOnError',
          securityContext: {
            runAsUser: 0,
            runAsGroup: 0,
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            // What an administrator's files need, and chroot. Not privileged: services are started and stopped by the host's systemd, which
            // knows root by its socket.
            capabilities: { drop: ['ALL'], add: ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'SYS_CHROOT'] },
            seccompProfile: { type: 'RuntimeDefault' },
            // Both would keep a container from the host's files, whoever it runs as.
            appArmorProfile: { type: 'Unconfined' },
            seLinuxOptions: { type: 'spc_t' },
          },
          volumeMounts: [
            // From the host: a volume that is unmounted there meanwhile would be busy for as long as this pod lives.
            { name: 'host', mountPath: hostRoot, mountPropagation: 'HostToContainer' },
            { name: 'stage', mountPath: `${hostRoot}${stageFolder}` },
          ],
        },
      ],
      volumes: [
        { name: 'host', hostPath: { path: '/', type: 'Directory' } },
        { name: 'stage', emptyDir: {} },
      ],
    },
  };
}

export type PodState =
  /** `lasting`: it does not get better by waiting. */
  | { readonly kind: 'waiting'; readonly why: string; readonly lasting: boolean }
  | { readonly kind: 'running' }
  /** Without an exit code it never ran. */
  | { readonly kind: 'ended'; readonly exitCode: number | undefined; readonly message: string };

const lastingReasons = new Set([
  'ImagePullBackOff',
  'ErrImageNeverPull',
  'InvalidImageName',
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
]);

export function podState({ status = {} }: Pick<NodePod, 'status'>): PodState {
  const { waiting, running, terminated } = status.containerStatuses?.[0]?.state ?? {};
  if (terminated !== undefined) {
    const { exitCode, reason = '', message = reason } = terminated;
    // The runtime's own number for a program that could not be started.
    return { kind: 'ended', exitCode: reason === 'StartError' ? undefined : exitCode, message };
  }
  if (running !== undefined) return { kind: 'running' };
  if (status.phase === 'Failed' || status.phase === 'Succeeded')
    return { kind: 'ended', exitCode: undefined, message: said(status.reason, status.message) };
  return {
    kind: 'waiting',
    why: waiting === undefined ? 'the kubelet has not begun' : said(waiting.reason, waiting.message),
    lasting: lastingReasons.has(waiting?.reason ?? ''),
  };
}

function said(reason = 'no reason given', message = ''): string {
  return message === '' ? reason : `${reason}: ${message}`;
}
