// The pods of a node as far as a conversion cares: which there are, and whether a container of one was started anew.
import type { NodeApi } from './host.ts';
import { DropInError } from './errors.ts';

export interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
    readonly ownerReferences?: readonly { readonly kind: string; readonly name: string }[];
  };
  readonly spec: PodSpec;
  readonly status?: {
    readonly phase?: string;
    readonly startTime?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
}

export interface PodSpec {
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken?: boolean;
  readonly restartPolicy?: string;
  readonly imagePullSecrets?: readonly { readonly name: string }[];
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly Volume[];
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly imagePullPolicy?: string;
  readonly envFrom?: readonly { readonly secretRef?: Reference; readonly configMapRef?: Reference }[];
  readonly env?: readonly {
    readonly valueFrom?: { readonly secretKeyRef?: Reference; readonly configMapKeyRef?: Reference };
  }[];
}

export interface Reference {
  readonly name?: string;
  readonly optional?: boolean;
}

export interface Volume {
  readonly name: string;
  readonly secret?: { readonly secretName?: string; readonly optional?: boolean };
  readonly configMap?: Reference;
  readonly persistentVolumeClaim?: { readonly claimName: string };
  readonly projected?: {
    readonly sources?: readonly {
      readonly secret?: Reference;
      readonly configMap?: Reference;
      readonly serviceAccountToken?: { readonly audience?: string };
    }[];
  };
}

interface ContainerStatus {
  readonly name: string;
  readonly containerID?: string;
  readonly restartCount: number;
  readonly imageID?: string;
}

export const podsPath = (node: string): string =>
  `/api/v1/pods?fieldSelector=${encodeURIComponent(`spec.nodeName=${node}`)}`;

/** Rejects with ERR_DROPIN_CALL unless the answer is a list of pods. */
export async function podsOf(api: NodeApi, node: string): Promise<Pod[]> {
  const { status, body } = await api.request({ method: 'GET', path: podsPath(node) });
  if (status !== 200)
    throw new DropInError('ERR_DROPIN_CALL', `the list of this node's pods was answered with ${status}`);
  return (JSON.parse(body.toString('utf8')) as { items: Pod[] | null }).items ?? [];
}

/** kubeadm's DaemonSet. */
export function isKubeProxy({ metadata }: Pod): boolean {
  return metadata.namespace === 'kube-system' && metadata.labels?.['k8s-app'] === 'kube-proxy';
}

export function isReady({ metadata, status }: Pod): boolean {
  const ready = status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True');
  return metadata.deletionTimestamp === undefined && ready === true;
}

/** One text per container that runs now, in which its id stands: another id is another container. */
export function runningContainers(pods: readonly Pod[]): string[] {
  return pods
    .filter(
      (pod) => !isKubeProxy(pod) && pod.metadata.deletionTimestamp === undefined && pod.status?.phase === 'Running',
    )
    .flatMap(({ metadata, status }) =>
      (status?.containerStatuses ?? []).map(
        ({ name, containerID, restartCount }) =>
          `${metadata.namespace}/${metadata.name}/${name} ${containerID ?? ''} ${restartCount}`,
      ),
    )
    .sort();
}

/** Whether it asks the API server: a token is mounted. */
export function usesApi({ spec }: Pod): boolean {
  return (spec.volumes ?? []).some(({ projected }) =>
    (projected?.sources ?? []).some(({ serviceAccountToken }) => serviceAccountToken !== undefined),
  );
}
