// Whether what was installed works, and if not, why, in the words that the cluster itself has for it.
import type { ApiObject, Resource } from '../controllers/machinery/resource.ts';
import { resources, type ClusterApi } from './cluster-facts.ts';
import { resourceOf } from './kinds.ts';
import { nameOf, type ClusterObject } from './manifests.ts';

export interface Readiness {
  /** KIND NAMESPACE/NAME */
  readonly object: string;
  readonly ready: boolean;
  /** How many of how many; and why not, if it is not. */
  readonly detail: string;
}

interface Workload extends ApiObject {
  readonly spec?: { readonly replicas?: number; readonly selector?: { readonly matchLabels?: Record<string, string> } };
  readonly status?: Readonly<Record<string, unknown>> & { readonly observedGeneration?: number };
}
interface Crd extends ApiObject {
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
  };
}
export interface Pod extends ApiObject {
  readonly spec?: { readonly nodeName?: string };
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
    readonly containerStatuses?: readonly {
      readonly ready: boolean;
      readonly state?: { readonly waiting?: { readonly reason?: string; readonly message?: string } };
      readonly lastState?: { readonly terminated?: { readonly exitCode: number; readonly message?: string } };
    }[];
  };
}

/** Of those objects that become ready: CRDs and workloads. */
export async function readinessOf(
  api: ClusterApi,
  objects: readonly ClusterObject[],
  signal: AbortSignal,
): Promise<Readiness[]> {
  const found: Readiness[] = [];
  for (const object of objects) {
    const { kind, metadata } = object;
    if (kind === 'CustomResourceDefinition') found.push(await crdReadiness(api, object, signal));
    else if (kind === 'Deployment' || kind === 'DaemonSet') {
      const live = await api.get<Workload>(resourceOf(object), metadata, signal);
      const [have, wanted] = live === undefined ? [0, 1] : counts(kind, live);
      const current = live?.status?.observedGeneration === live?.metadata.generation;
      const ready = current && have >= wanted && wanted > 0;
      const why = ready || live === undefined ? '' : await whyNot(api, live, signal);
      found.push({
        object: nameOf(object),
        ready,
        detail: `${have} of ${wanted} ready${why === '' ? '' : `: ${why}`}`,
      });
    }
  }
  return found;
}

function counts(kind: 'Deployment' | 'DaemonSet', { spec, status }: Workload): [have: number, wanted: number] {
  const count = (field: string): number => Number(status?.[field] ?? 0);
  return kind === 'Deployment'
    ? [Math.min(count('readyReplicas'), count('updatedReplicas')), spec?.replicas ?? 1]
    : [Math.min(count('numberReady'), count('updatedNumberScheduled')), count('desiredNumberScheduled')];
}

async function crdReadiness(api: ClusterApi, object: ClusterObject, signal: AbortSignal): Promise<Readiness> {
  const live = await api.get<Crd>(resources.crds, object.metadata, signal);
  const conditions = live?.status?.conditions ?? [];
  const ready = conditions.some(({ type, status }) => type === 'Established' && status === 'True');
  const problem = conditions.find(({ type, status }) => type === 'NamesAccepted' && status === 'False');
  return { object: nameOf(object), ready, detail: ready ? 'served' : (problem?.message ?? 'not served yet') };
}

/** Of the pods that are not ready, the first reason for each that there is. */
async function whyNot(api: ClusterApi, workload: Workload, signal: AbortSignal): Promise<string> {
  const labels = Object.entries(workload.spec?.selector?.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  const pods = await api.list<Pod>(
    resources.pods satisfies Resource,
    { namespace: workload.metadata.namespace, labelSelector: labels.join(',') },
    signal,
  );
  if (pods.length === 0) return 'it has no pods; kubectl -n kube-system describe says why';
  return [...new Set(pods.map(podProblem).filter((text) => text !== ''))].join('; ');
}

/** '' when it is ready. */
export function podProblem({ metadata, spec, status }: Pod): string {
  const [container] = status?.containerStatuses ?? [];
  if (container?.ready === true) return '';
  const where = spec?.nodeName === undefined ? metadata.name : `${metadata.name} on ${spec.nodeName}`;
  const unschedulable = status?.conditions?.find(
    ({ type, status: value }) => type === 'PodScheduled' && value === 'False',
  );
  if (unschedulable !== undefined) return `${where} is not scheduled: ${unschedulable.message ?? ''}`;
  const { reason = '', message = '' } = container?.state?.waiting ?? {};
  if (/^(ErrImage|ImagePull|ErrImageNeverPull)/.test(reason))
    return `${where}: the image is not on that host and cannot be had (${reason}). Import it there: ctr -n k8s.io images import holdfast-VERSION-image-linux-ARCHITECTURE.tar, or push it to a registry and use --image`;
  const ended = container?.lastState?.terminated;
  const lastWords = ended?.message?.trim().split('\n').at(-1) ?? '';
  const past =
    ended === undefined
      ? ''
      : `, its last run ended with ${ended.exitCode}${lastWords === '' ? '' : ` (${lastWords})`}: kubectl -n kube-system logs ${metadata.name} --previous`;
  if (reason !== '') return `${where}: ${reason}${message === '' ? '' : ` (${message})`}${past}`;
  return `${where} is starting${past}`;
}
