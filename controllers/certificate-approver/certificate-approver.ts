// Approves the certificates that nodes ask for themselves; what it does not approve it leaves alone, and says why. Keyed by
// request, and looked at again when its node changes: a kubelet asks before its addresses have arrived.
import { watch, type Controller, type Outcome } from '../machinery/controller.ts';
import type { Collection, Informer } from '../machinery/informer.ts';
import { withoutManagedFields, type ApiObject, type Resource } from '../machinery/resource.ts';
import { nodes as nodeCollection, watchNodes, type Node } from '../nodes.ts';
import type { ControllerParts } from '../registry.ts';
import { decide, normalAddress, type CertificateSigningRequest, type Surroundings } from './decision.ts';

export const requestResource: Resource = {
  group: 'certificates.k8s.io',
  version: 'v1',
  resource: 'certificatesigningrequests',
  kind: 'CertificateSigningRequest',
  namespaced: false,
};

const requestCollection: Collection<CertificateSigningRequest, 'requester'> = {
  name: 'certificatesigningrequests',
  resource: requestResource,
  keep: (object) => withoutManagedFields<CertificateSigningRequest>(object),
  indexes: { requester: ({ spec }) => [spec.username ?? ''] },
};

interface Service extends ApiObject {
  readonly spec: { readonly clusterIPs?: readonly string[] };
}
interface EndpointSlice extends ApiObject {
  readonly endpoints?: readonly { readonly addresses: readonly string[] }[] | null;
}

/** The Service of the API, and nothing else: no other may be read. */
const apiServices: Collection<Service> = {
  name: 'api-service',
  resource: { group: '', version: 'v1', resource: 'services', kind: 'Service', namespaced: true },
  selection: { namespace: 'default', fieldSelector: 'metadata.name=kubernetes' },
  keep: (object) => withoutManagedFields<Service>(object),
};
const apiServers: Collection<EndpointSlice> = {
  name: 'api-servers',
  resource: {
    group: 'discovery.k8s.io',
    version: 'v1',
    resource: 'endpointslices',
    kind: 'EndpointSlice',
    namespaced: true,
  },
  selection: { namespace: 'default', labelSelector: 'kubernetes.io/service-name=kubernetes' },
  keep: (object) => withoutManagedFields<EndpointSlice>(object),
};

/** So long may a kubelet's addresses take to arrive, and others who approve to act: only then people are told. */
const patienceMs = 10_000;

export function certificateApprover(parts: ControllerParts): Controller {
  const { api, clock, informers, recorder } = parts;
  const requests = informers.of(requestCollection);
  const nodes = informers.of(nodeCollection);
  const services = informers.of(apiServices);
  const servers = informers.of(apiServers);
  const around: Surroundings = {
    node: (name) => nodes.get({ name }),
    claimants: (nameOrAddress) => claimantsAmong(nodes, nameOrAddress),
    get apiService() {
      return {
        serviceAddresses: services.list().flatMap(({ spec }) => spec.clusterIPs ?? []),
        serverAddresses: servers
          .list()
          .flatMap(({ endpoints }) => (endpoints ?? []).flatMap(({ addresses }) => addresses)),
      };
    },
  };
  return {
    name: 'certificate-approver',
    watches: [
      watch(requests, ({ key, after }) => (after === undefined ? [] : [key])),
      watchNodes(nodes, ({ key }) =>
        requests.byIndex('requester', `system:node:${key}`).map(({ metadata }) => metadata.name),
      ),
      watch(services, () => []),
      watch(servers, () => []),
    ],
    workers: 2,
    async reconcile(name, signal): Promise<Outcome> {
      const request = requests.get({ name });
      if (request === undefined) return {};
      const decision = decide(request, around);
      if (decision.verdict === 'pass') return {};
      if (decision.verdict === 'leave') {
        const ageMs = clock.wallMs() - Date.parse(request.metadata.creationTimestamp ?? '');
        if (ageMs < patienceMs) return { againAfterMs: patienceMs };
        recorder.record(requestResource, request, 'Warning', decision.reason, decision.message);
        return {};
      }
      const { reason, message } = decision;
      const lastUpdateTime = new Date(clock.wallMs()).toISOString().replace(/\.\d+Z$/, 'Z');
      const condition = { type: 'Approved', status: 'True', reason, message, lastUpdateTime };
      const approved = { ...request, status: { ...request.status, conditions: [condition] } };
      // The whole object with its version: what was judged is what is approved.
      requests.written(await api.replace(requestResource, approved, signal, { subresource: 'approval' }));
      recorder.record(requestResource, request, 'Normal', 'Approved', message);
      return {};
    },
  };
}

function claimantsAmong(nodes: Informer<Node, 'pool'>, nameOrAddress: string): Node[] {
  const wanted = normalAddress(nameOrAddress);
  return nodes
    .list()
    .filter(
      ({ metadata, status }) =>
        metadata.name === wanted || status.addresses.some(({ address }) => normalAddress(address) === wanted),
    );
}
