// Names at the site (`--site-dns`): CoreDNS on every converted node, in the image and with the settings of the cluster's own. What is
// kubeadm's stays as it is: the hub shows kube-proxy who answers on its node.
import { ApiError } from '../controllers/machinery/errors.ts';
import type { ApiObject, Resource } from '../controllers/machinery/resource.ts';
import type { Check } from '../dropin/preflight.ts';
import { resources, type ClusterApi } from './cluster-facts.ts';
import { resourceOf } from './kinds.ts';
import type { ClusterObject } from './manifests.ts';

const namespace = 'kube-system';
export const siteDnsName = 'holdfast-site-dns';
const deployments: Resource = {
  group: 'apps',
  version: 'v1',
  resource: 'deployments',
  kind: 'Deployment',
  namespaced: true,
};
const services: Resource = { group: '', version: 'v1', resource: 'services', kind: 'Service', namespaced: true };

interface Container {
  readonly name: string;
  readonly image?: string;
  readonly [field: string]: unknown;
}
interface PodSpec {
  readonly containers: readonly Container[];
  readonly [field: string]: unknown;
}
interface Pod extends ApiObject {
  readonly spec?: { readonly nodeName?: string };
}
interface Workload extends ApiObject {
  readonly spec?: { readonly template?: { readonly spec?: PodSpec } };
}

export interface SiteDnsFacts {
  /** Of the cluster's CoreDNS. */
  readonly coreDns: PodSpec | undefined;
  readonly hasService: boolean;
  /** It is there from an earlier run. */
  readonly present: boolean;
  /** Converted nodes that the cluster's own CoreDNS runs on. */
  readonly atSites: readonly string[];
  /** The add-on NodeLocal DNSCache, which takes the same requests before kube-proxy does. */
  readonly hasNodeCache: boolean;
}

/** Rejects with ApiError and ApiUnreachableError. */
export async function siteDnsFacts(
  api: ClusterApi,
  convertedNodes: readonly string[],
  signal: AbortSignal,
): Promise<SiteDnsFacts> {
  const one = <T extends ApiObject>(resource: Resource, name: string): Promise<T | undefined> =>
    api.get<T>(resource, { namespace, name }, signal).catch(unlessForbidden);
  const deployment = await one<Workload>(deployments, 'coredns');
  const pods = await api
    .list<Pod>(resources.pods, { namespace, labelSelector: 'k8s-app=kube-dns' }, signal)
    .catch((error: unknown) => unlessForbidden(error) ?? []);
  return {
    coreDns: deployment?.spec?.template?.spec,
    atSites: [...new Set(pods.flatMap(({ spec }) => spec?.nodeName ?? []))].filter((node) =>
      convertedNodes.includes(node),
    ),
    hasService: (await one(services, 'kube-dns')) !== undefined,
    present: (await one(resources.daemonSets, siteDnsName)) !== undefined,
    hasNodeCache: (await one(resources.daemonSets, 'node-local-dns')) !== undefined,
  };
}

export function siteDnsChecks({ coreDns, hasService, hasNodeCache, atSites }: SiteDnsFacts): Check[] {
  const name = 'names at sites';
  const container = coreDnsContainer(coreDns);
  if (container === undefined || !hasService)
    return [
      {
        name,
        verdict: 'refused',
        cause:
          container === undefined
            ? `there is no Deployment ${namespace}/coredns with a container coredns, whose image and settings could be used`
            : `there is no Service ${namespace}/kube-dns`,
        fix: 'Without --site-dns the rest is installed. Where names are not CoreDNS as kubeadm installs it, see config/site-dns.',
      },
    ];
  if (hasNodeCache)
    return [
      {
        name,
        verdict: 'warning',
        cause: `DaemonSet ${namespace}/node-local-dns takes requests on each node before kube-proxy does`,
        fix: 'Keep it away from nodes with Holdfast (a nodeAffinity: holdfast.dev/converted DoesNotExist), or it goes on asking the cloud there.',
      },
    ];
  if (atSites.length > 0)
    return [
      {
        name,
        verdict: 'warning',
        cause: `the cluster's own CoreDNS runs on ${atSites.join(', ')}: behind NAT it answers nobody else`,
        fix: 'kubectl cordon these nodes, delete its pods there, and uncordon them when it runs in the cloud.',
      },
    ];
  return [
    {
      name,
      verdict: 'ok',
      cause: `${container.image} on every converted node; kube-dns and CoreDNS stay as they are`,
      fix: '',
    },
  ];
}

/** What of the cluster's CoreDNS is the same at sites: everything that its Corefile may depend on. */
export function siteDnsObjects(manifests: readonly ClusterObject[], { coreDns }: SiteDnsFacts): ClusterObject[] {
  const container = coreDnsContainer(coreDns);
  if (coreDns === undefined || container === undefined) return [...manifests];
  const { image, args, command, env, volumeMounts } = container;
  const ofContainer = given({ image, args, command, env, volumeMounts });
  const ofPod = given({ volumes: coreDns['volumes'], imagePullSecrets: coreDns['imagePullSecrets'] });
  return manifests.map((object) => {
    if (object.kind !== 'DaemonSet' || object.metadata.name !== siteDnsName) return object;
    const { spec } = object as unknown as { spec: { template: { spec: PodSpec } } };
    const containers = spec.template.spec.containers.map((each) => ({ ...each, ...ofContainer }));
    return {
      ...object,
      spec: { ...spec, template: { ...spec.template, spec: { ...spec.template.spec, ...ofPod, containers } } },
    };
  });
}

/** How far it is, for people: sites that are cut off get it when they are back, and are not waited for. */
export async function siteDnsState(
  api: ClusterApi,
  objects: readonly ClusterObject[],
  signal: AbortSignal,
): Promise<string[]> {
  interface Counts extends ApiObject {
    readonly status?: { readonly desiredNumberScheduled?: number; readonly numberReady?: number };
  }
  const daemonSet = objects.find(({ kind }) => kind === 'DaemonSet');
  if (daemonSet === undefined) return [];
  const live = await api.get<Counts>(resourceOf(daemonSet), daemonSet.metadata, signal);
  const { desiredNumberScheduled = 0, numberReady = 0 } = live?.status ?? {};
  return [
    `Names at sites: CoreDNS is ready on ${numberReady} of ${desiredNumberScheduled} converted nodes; where it is not, the cloud is asked: kubectl -n ${namespace} get pods -l app.kubernetes.io/name=${siteDnsName} -o wide`,
  ];
}

function unlessForbidden(error: unknown): undefined {
  // The preflight says which rights are missing.
  if (error instanceof ApiError && error.status === 403) return undefined;
  throw error;
}

function coreDnsContainer(spec: PodSpec | undefined): Container | undefined {
  return spec?.containers.find(({ name, image }) => name === 'coredns' && image !== undefined);
}

function given(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
