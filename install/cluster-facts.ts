// Looks at the cluster, without changing anything, for install and uninstall.
import type { Api } from '../controllers/machinery/api.ts';
import { ApiError } from '../controllers/machinery/errors.ts';
import type { ApiObject, ObjectName, Resource } from '../controllers/machinery/resource.ts';
import { convertedAnnotation } from '../dropin/places.ts';
import { parseYaml } from '../runtime/yaml.ts';
import { installedKinds } from './kinds.ts';
import { ownLabel } from './manifests.ts';

/** As far as the commands need it. */
export type ClusterApi = Pick<
  Api,
  'get' | 'list' | 'read' | 'post' | 'apply' | 'patch' | 'replace' | 'create' | 'remove'
>;

export const resources = {
  nodes: { group: '', version: 'v1', resource: 'nodes', kind: 'Node', namespaced: false },
  pods: { group: '', version: 'v1', resource: 'pods', kind: 'Pod', namespaced: true },
  configMaps: { group: '', version: 'v1', resource: 'configmaps', kind: 'ConfigMap', namespaced: true },
  secrets: { group: '', version: 'v1', resource: 'secrets', kind: 'Secret', namespaced: true },
  leases: { group: 'coordination.k8s.io', version: 'v1', resource: 'leases', kind: 'Lease', namespaced: true },
  daemonSets: { group: 'apps', version: 'v1', resource: 'daemonsets', kind: 'DaemonSet', namespaced: true },
  crds: {
    group: 'apiextensions.k8s.io',
    version: 'v1',
    resource: 'customresourcedefinitions',
    kind: 'CustomResourceDefinition',
    namespaced: false,
  },
  validatingWebhooks: webhookResource('Validating'),
  mutatingWebhooks: webhookResource('Mutating'),
} as const satisfies Record<string, Resource>;

function webhookResource(kind: 'Validating' | 'Mutating'): Resource {
  return {
    group: 'admissionregistration.k8s.io',
    version: 'v1',
    resource: `${kind.toLowerCase()}webhookconfigurations`,
    kind: `${kind}WebhookConfiguration`,
    namespaced: false,
  };
}

export interface ControlPlaneNode {
  readonly name: string;
  /** Internal ones first. */
  readonly addresses: readonly string[];
}

export interface ApiServerPod {
  readonly node: string;
  /** Without the dashes, by name; '' for one without a value. */
  readonly flags: Readonly<Record<string, string>>;
}

export interface ExistingCrd {
  readonly name: string;
  readonly isOurs: boolean;
  readonly servedVersions: readonly string[];
}

/** A webhook that refuses pods of kube-system while it cannot be asked. */
export interface StrictWebhook {
  readonly configuration: string;
  readonly webhook: string;
}

export interface ClusterFacts {
  /** v1.34.4 */
  readonly version: string;
  /** VERB RESOURCE.GROUP, of what is needed. */
  readonly missingRights: readonly string[];
  readonly controlPlanes: readonly ControlPlaneNode[];
  readonly nodes: number;
  readonly convertedNodes: readonly string[];
  /** ClusterConfiguration of kubeadm; undefined where kubeadm did not make the cluster. */
  readonly kubeadm: { readonly apiVersion: string } | undefined;
  readonly apiServers: readonly ApiServerPod[];
  /** Network add-ons that are known, by their DaemonSets. */
  readonly networks: readonly string[];
  readonly openYurt: { readonly holder: string | undefined; readonly webhooks: readonly string[] };
  readonly crds: readonly ExistingCrd[];
  readonly strictWebhooks: readonly StrictWebhook[];
}

interface NodeObject extends ApiObject {
  readonly status?: { readonly addresses?: readonly { readonly type: string; readonly address: string }[] };
}
interface PodObject extends ApiObject {
  readonly spec?: {
    readonly nodeName?: string;
    readonly containers?: readonly { readonly command?: readonly string[]; readonly args?: readonly string[] }[];
  };
}
interface CrdObject extends ApiObject {
  readonly spec?: { readonly versions?: readonly { readonly name: string; readonly served: boolean }[] };
}
interface WebhookObject extends ApiObject {
  readonly webhooks?: readonly {
    readonly name: string;
    readonly failurePolicy?: string;
    readonly namespaceSelector?: {
      matchExpressions?: { key: string; operator: string; values?: string[] }[];
      matchLabels?: object;
    };
    readonly rules?: readonly {
      readonly apiGroups?: readonly string[];
      readonly operations?: readonly string[];
      readonly resources?: readonly string[];
    }[];
  }[];
}

export const controlPlaneLabel = 'node-role.kubernetes.io/control-plane';
const addons: readonly (readonly [RegExp, string])[] = [
  [/flannel/, 'flannel'],
  [/^calico-node$/, 'Calico'],
  [/^cilium$/, 'Cilium'],
  [/^kindnet$/, 'kindnet'],
  [/^weave-net$/, 'Weave Net'],
  [/^kube-router$/, 'kube-router'],
  [/^antrea-agent$/, 'Antrea'],
];

/** Rejects with ApiError and ApiUnreachableError. */
export async function clusterFacts(
  api: ClusterApi,
  crdNames: readonly string[],
  signal: AbortSignal,
): Promise<ClusterFacts> {
  const { gitVersion } = await api.read<{ gitVersion: string }>('/version', signal);
  const missingRights = await rights(api, signal);
  // Who may not look at all of this learns it by the rights that are missing.
  const all = <T extends ApiObject>(resource: Resource, selection = {}): Promise<T[]> =>
    api.list<T>(resource, selection, signal).catch(unlessForbidden([]));
  const one = <T extends ApiObject>(resource: Resource, name: ObjectName): Promise<T | undefined> =>
    api.get<T>(resource, name, signal).catch(unlessForbidden(undefined));
  const nodes = await all<NodeObject>(resources.nodes);
  const apiServers = await all<PodObject>(resources.pods, {
    namespace: 'kube-system',
    labelSelector: 'component=kube-apiserver,tier=control-plane',
  });
  const daemonSets = await all(resources.daemonSets);
  const lease = await one<ApiObject & { spec?: { holderIdentity?: string; renewTime?: string } }>(resources.leases, {
    namespace: 'kube-system',
    name: 'yurt-manager',
  });
  const configMap = await one<ApiObject & { data?: Record<string, string> }>(resources.configMaps, {
    namespace: 'kube-system',
    name: 'kubeadm-config',
  });
  const crds = (await all<CrdObject>(resources.crds)).filter(({ metadata }) => crdNames.includes(metadata.name));
  const webhooks = [
    ...(await all<WebhookObject>(resources.validatingWebhooks)),
    ...(await all<WebhookObject>(resources.mutatingWebhooks)),
  ];
  return {
    version: gitVersion,
    missingRights,
    controlPlanes: nodes
      .filter(({ metadata }) => metadata.labels?.[controlPlaneLabel] !== undefined)
      .map(({ metadata, status }) => ({ name: metadata.name, addresses: addressesOf(status?.addresses ?? []) })),
    nodes: nodes.length,
    convertedNodes: nodes
      .filter(({ metadata }) => metadata.annotations?.[convertedAnnotation] !== undefined)
      .map(({ metadata }) => metadata.name),
    kubeadm: kubeadmOf(configMap?.data?.['ClusterConfiguration']),
    apiServers: apiServers.map(({ metadata, spec }) => ({
      node: spec?.nodeName ?? metadata.name,
      flags: flagsOf(spec?.containers?.[0]),
    })),
    networks: addons
      .filter(([pattern]) => daemonSets.some(({ metadata }) => pattern.test(metadata.name)))
      .map(([, name]) => name),
    openYurt: {
      holder: lease?.spec?.holderIdentity || undefined,
      webhooks: webhooks.map(({ metadata }) => metadata.name).filter((name) => name.startsWith('yurt-manager-')),
    },
    crds: crds.map(({ metadata, spec }) => ({
      name: metadata.name,
      isOurs: metadata.labels?.[ownLabel.key] === ownLabel.value,
      servedVersions: (spec?.versions ?? []).filter(({ served }) => served).map(({ name }) => name),
    })),
    strictWebhooks: webhooks.flatMap(({ metadata, webhooks: list = [] }) =>
      list.filter(refusesOurPods).map(({ name }) => ({ configuration: metadata.name, webhook: name })),
    ),
  };
}

/** What the caller may not do, of what install and uninstall do. */
async function rights(api: ClusterApi, signal: AbortSignal): Promise<string[]> {
  interface Review {
    readonly status?: { readonly allowed?: boolean };
  }
  const may = async (group: string, resource: string, verb: string): Promise<boolean> => {
    const { status } = await api.post<Review>(
      '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes: { group, resource, verb } },
      },
      signal,
    );
    return status?.allowed === true;
  };
  if (await may('*', '*', '*')) return [];
  const missing: string[] = [];
  const kinds: readonly (readonly [Resource, readonly string[]])[] = [
    ...installedKinds.map((kind) => [kind, ['get', 'list', 'create', 'patch', 'delete']] as const),
    [resources.nodes, ['list']],
    [resources.pods, ['list']],
    // Who gives rights that he does not have himself needs these.
    ...installedKinds.filter(({ kind }) => kind.endsWith('Role')).map((kind) => [kind, ['escalate', 'bind']] as const),
  ];
  for (const [{ group, resource }, verbs] of kinds)
    for (const verb of verbs)
      if (!(await may(group, resource, verb))) missing.push(`${verb} ${resource}${group === '' ? '' : `.${group}`}`);
  return missing;
}

function unlessForbidden<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof ApiError && error.status === 403) return instead;
    throw error;
  };
}

function addressesOf(addresses: readonly { readonly type: string; readonly address: string }[]): string[] {
  const of = (type: string): string[] => addresses.filter((item) => item.type === type).map(({ address }) => address);
  return [...of('InternalIP'), ...of('ExternalIP')];
}

function flagsOf(
  container: { command?: readonly string[]; args?: readonly string[] } | undefined,
): Record<string, string> {
  const words = [...(container?.command ?? []), ...(container?.args ?? [])];
  return Object.fromEntries(
    words.flatMap((word) => {
      const [, name, value = ''] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
      return name === undefined ? [] : [[name, value]];
    }),
  );
}

function kubeadmOf(text: string | undefined): ClusterFacts['kubeadm'] {
  if (text === undefined) return undefined;
  const { apiVersion = '' } = parseYaml(text) as { apiVersion?: string };
  return { apiVersion };
}

/** Careful rather than exact: selectors that it does not understand count as matching. */
function refusesOurPods({
  failurePolicy = 'Fail',
  rules = [],
  namespaceSelector = {},
}: NonNullable<WebhookObject['webhooks']>[number]): boolean {
  const concernsPods = rules.some(
    ({ apiGroups = [], operations = [], resources: names = [] }) =>
      apiGroups.some((group) => group === '' || group === '*') &&
      operations.some((operation) => operation === 'CREATE' || operation === '*') &&
      names.some((name) => name === 'pods' || name === '*' || name === '*/*'),
  );
  const leavesOut = (namespaceSelector.matchExpressions ?? []).some(
    ({ key, operator, values = [] }) =>
      (key === 'kubernetes.io/metadata.name' && operator === 'NotIn' && values.includes('kube-system')) ||
      (key === 'kubernetes.io/metadata.name' && operator === 'In' && !values.includes('kube-system')),
  );
  // kube-system has no label but its name unless somebody gave it one.
  const asksForLabels = Object.keys(namespaceSelector.matchLabels ?? {}).length > 0;
  return failurePolicy === 'Fail' && concernsPods && !leavesOut && !asksForLabels;
}

export function formatEndpoint(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
