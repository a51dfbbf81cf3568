// Where things lie on a node. kubeadm's places are fixed by kubeadm; ours by the systemd unit and the hub's defaults.

export const kubeadm = {
  kubeconfig: '/etc/kubernetes/kubelet.conf',
  /** Until the kubelet has a certificate of its own; a bootstrap token is in it. */
  bootstrapKubeconfig: '/etc/kubernetes/bootstrap-kubelet.conf',
  clusterCa: '/etc/kubernetes/pki/ca.crt',
  apiServerManifest: '/etc/kubernetes/manifests/kube-apiserver.yaml',
  kubeletUnit: 'kubelet.service',
} as const;

export const ours = {
  unit: 'holdfast-node.service',
  /** Set up by hand, where the tunnel agent does not run in the hub's process. */
  agentUnit: 'holdfast-tunnel-agent.service',
  unitFile: '/etc/systemd/system/holdfast-node.service',
  /** Read by the unit. In /run, so that a reboot ends what stands in it. */
  untilRebootFile: '/run/holdfast-node.env',
  settings: '/etc/holdfast/node.yaml',
  kubeconfig: '/etc/holdfast/kubelet.conf',
  tunnelSettings: '/etc/holdfast/tunnel-agent.yaml',
  tunnelCa: '/etc/holdfast/tunnel-ca.crt',
  dropIn: '/etc/systemd/system/kubelet.service.d/20-holdfast.conf',
  data: '/var/lib/holdfast',
  /** Journal and backups: root's alone, and inside `data`, so that nothing of ours is elsewhere. */
  journal: '/var/lib/holdfast/convert',
  /** There while `holdfast join` is underway. */
  joining: '/var/lib/holdfast/joining',
  storeFormat: '/var/lib/holdfast/store/format',
  hubCa: '/var/lib/holdfast/hub-ca.crt',
  command: '/usr/local/bin/holdfast',
  plugin: '/usr/local/bin/kubectl-holdfast',
} as const;

/** Of the Node: the version of Holdfast on it. `holdfast uninstall` and `holdfast status` go by it. */
export const convertedAnnotation = 'holdfast.dev/converted';

/** Of the Node as well, since a DaemonSet chooses nodes by labels: `true`. */
export const convertedLabel = 'holdfast.dev/converted';
/** The tunnel server's default `edgeSelector`: from the start on it knows that this node is not to be dialled directly. */
export const tunnelLabel = 'holdfast.dev/tunnel';

export const hubUrl = 'https://127.0.0.1:10261';
export const hubOps = 'http://127.0.0.1:10267';
export const kubeletHealth = 'http://127.0.0.1:10248/healthz';
/** Ports that the hub takes, and for what. */
export const hubPorts: readonly (readonly [port: number, what: string])[] = [
  [10261, 'the hub'],
  [10267, "the hub's health and metrics"],
  // Opened when the node is in a pool; who finds it taken then is no peer, and nobody would look here for the cause.
  [10268, 'peers of the pool'],
];

/** The unit names this folder; another one would be another unit. */
export const prefix = '/opt/holdfast';
export const versionFolder = (version: string): string => `${prefix}/${version}`;
export const currentLink = `${prefix}/current`;
/** Where `holdfast upgrade` unpacks an archive, for as long as it takes. */
export const unpackFolder = `${prefix}/.unpacked`;

/** On the Node: what its hub says of itself (kube/hub-report.ts). */
export const hubAnnotation = 'holdfast.dev/hub';

/** On the node's Lease: what it saw of its peers (peers/report.ts). */
export const reportAnnotation = 'holdfast.dev/peers';
