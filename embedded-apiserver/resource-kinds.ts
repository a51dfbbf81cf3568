// The built-in kinds that the embedded API server knows, as a table: everything else about them is the same code.

export interface ResourceKind {
  /** '' for core. */
  readonly group: string;
  readonly version: string;
  /** Plural, as in paths. */
  readonly resource: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  /** Whether /status exists, so that writes to the object itself leave its status alone. */
  readonly statusSubresource: boolean;
  /** Fields that field selectors may name besides metadata.name and metadata.namespace: path to value when absent. */
  readonly selectableFields: Readonly<Record<string, string>>;
  /** `kubectl get all` asks for these. */
  readonly categories: readonly string[];
}

type Extra = Partial<Pick<ResourceKind, 'namespaced' | 'shortNames' | 'statusSubresource' | 'selectableFields'>> & {
  readonly all?: boolean;
};

function kind(groupVersion: string, resource: string, name: string, extra: Extra = {}): ResourceKind {
  const [group = '', version = ''] = groupVersion.includes('/') ? groupVersion.split('/') : ['', groupVersion];
  return {
    group,
    version,
    resource,
    kind: name,
    namespaced: extra.namespaced ?? true,
    shortNames: extra.shortNames ?? [],
    statusSubresource: extra.statusSubresource ?? false,
    selectableFields: extra.selectableFields ?? {},
    categories: extra.all === true ? ['all'] : [],
  };
}

const cluster = { namespaced: false } as const;
const status = { statusSubresource: true } as const;

export const resourceKinds: readonly ResourceKind[] = [
  kind('v1', 'namespaces', 'Namespace', {
    ...cluster,
    ...status,
    shortNames: ['ns'],
    selectableFields: { 'status.phase': '' },
  }),
  kind('v1', 'nodes', 'Node', {
    ...cluster,
    ...status,
    shortNames: ['no'],
    selectableFields: { 'spec.unschedulable': 'false' },
  }),
  kind('v1', 'pods', 'Pod', {
    ...status,
    shortNames: ['po'],
    all: true,
    selectableFields: {
      'spec.nodeName': '',
      'spec.restartPolicy': '',
      'spec.schedulerName': '',
      'spec.serviceAccountName': '',
      'spec.hostNetwork': 'false',
      'status.phase': '',
      'status.podIP': '',
      'status.nominatedNodeName': '',
    },
  }),
  kind('v1', 'configmaps', 'ConfigMap', { shortNames: ['cm'] }),
  kind('v1', 'secrets', 'Secret', { selectableFields: { type: '' } }),
  kind('v1', 'services', 'Service', {
    ...status,
    shortNames: ['svc'],
    all: true,
    selectableFields: { 'spec.clusterIP': '', 'spec.type': '' },
  }),
  kind('v1', 'serviceaccounts', 'ServiceAccount', { shortNames: ['sa'] }),
  kind('v1', 'endpoints', 'Endpoints', { shortNames: ['ep'] }),
  kind('v1', 'events', 'Event', {
    shortNames: ['ev'],
    selectableFields: {
      'involvedObject.kind': '',
      'involvedObject.namespace': '',
      'involvedObject.name': '',
      'involvedObject.uid': '',
      'involvedObject.apiVersion': '',
      'involvedObject.resourceVersion': '',
      'involvedObject.fieldPath': '',
      reason: '',
      reportingComponent: '',
      source: '',
      type: '',
    },
  }),
  kind('v1', 'persistentvolumes', 'PersistentVolume', { ...cluster, ...status, shortNames: ['pv'] }),
  kind('v1', 'persistentvolumeclaims', 'PersistentVolumeClaim', { ...status, shortNames: ['pvc'] }),
  kind('apps/v1', 'deployments', 'Deployment', { ...status, shortNames: ['deploy'], all: true }),
  kind('apps/v1', 'replicasets', 'ReplicaSet', { ...status, shortNames: ['rs'], all: true }),
  kind('apps/v1', 'daemonsets', 'DaemonSet', { ...status, shortNames: ['ds'], all: true }),
  kind('apps/v1', 'statefulsets', 'StatefulSet', { ...status, shortNames: ['sts'], all: true }),
  kind('batch/v1', 'jobs', 'Job', { ...status, all: true }),
  kind('coordination.k8s.io/v1', 'leases', 'Lease'),
  kind('discovery.k8s.io/v1', 'endpointslices', 'EndpointSlice'),
  kind('node.k8s.io/v1', 'runtimeclasses', 'RuntimeClass', cluster),
  kind('storage.k8s.io/v1', 'csidrivers', 'CSIDriver', cluster),
  kind('storage.k8s.io/v1', 'csinodes', 'CSINode', cluster),
  kind('storage.k8s.io/v1', 'storageclasses', 'StorageClass', { ...cluster, shortNames: ['sc'] }),
  kind('storage.k8s.io/v1', 'volumeattachments', 'VolumeAttachment', { ...cluster, ...status }),
  kind('networking.k8s.io/v1', 'servicecidrs', 'ServiceCIDR', { ...cluster, ...status }),
  kind('resource.k8s.io/v1', 'resourceslices', 'ResourceSlice', {
    ...cluster,
    selectableFields: { 'spec.nodeName': '', 'spec.driver': '' },
  }),
  kind('certificates.k8s.io/v1', 'certificatesigningrequests', 'CertificateSigningRequest', {
    ...cluster,
    ...status,
    shortNames: ['csr'],
    selectableFields: { 'spec.signerName': '' },
  }),
];

/** Kinds that are questions: created, answered, never stored. */
export const reviewKinds: readonly ResourceKind[] = [
  kind('authentication.k8s.io/v1', 'tokenreviews', 'TokenReview', cluster),
  kind('authentication.k8s.io/v1', 'selfsubjectreviews', 'SelfSubjectReview', cluster),
  kind('authorization.k8s.io/v1', 'subjectaccessreviews', 'SubjectAccessReview', cluster),
  kind('authorization.k8s.io/v1', 'selfsubjectaccessreviews', 'SelfSubjectAccessReview', cluster),
];

export const groupVersionOf = (of: Pick<ResourceKind, 'group' | 'version'>): string =>
  of.group === '' ? of.version : `${of.group}/${of.version}`;

/** As in `pods "x" not found` and `leases.coordination.k8s.io "x" not found`. */
export const qualifiedResource = (of: ResourceKind): string =>
  of.group === '' ? of.resource : `${of.resource}.${of.group}`;
