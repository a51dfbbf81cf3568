// What kube-apiserver needs to go through the tunnel server beside it: flags and files, the same for its manifest and for kubeadm.

export const selectorFile = '/etc/kubernetes/egress-selector.yaml';

export const wantedFlags = {
  'egress-selector-config-file': selectorFile,
  // Names first: edge nodes may have the same address, and the server asks by name.
  'kubelet-preferred-address-types': 'Hostname,InternalIP,ExternalIP',
  // To the pods of webhooks and aggregated APIs, which may be on edge nodes, and not to their Service's address.
  'enable-aggregator-routing': 'true',
} as const;

/** As kubeadm writes it. */
export const usualAddressTypes = 'InternalIP,ExternalIP,Hostname';

export interface Volume {
  readonly name: string;
  /** The same on the host and in the container. */
  readonly path: string;
  readonly type: 'File' | 'DirectoryOrCreate';
}

export const wantedVolumes: readonly Volume[] = [
  { name: 'holdfast-egress-selector', path: selectorFile, type: 'File' },
  // Not there after a boot, and the server that makes it comes after kube-apiserver.
  { name: 'holdfast-sockets', path: '/run/holdfast', type: 'DirectoryOrCreate' },
  // A static pod keeps the hosts file that it started with, and nodes/NAME/proxy looks names of edge nodes up there.
  { name: 'holdfast-hosts', path: '/etc/hosts', type: 'File' },
];
