// The files of a machine before kubeadm runs on it: what the packages of Kubernetes and containerd install, and what an
// operator sets up. Pure text, by path.
import { cniConfiguration, containerdConfiguration } from '../node-files.ts';

export interface MachineFacts {
  readonly name: string;
  readonly address: string;
  readonly controlPlane: { readonly name: string; readonly address: string };
  readonly podCidr: string;
  readonly cgroupRoot: string;
  readonly pauseImage: string;
  readonly snapshotter: 'overlayfs' | 'native';
  /** Where the machine finds Node.js and this checkout, for the stand-in of systemd. */
  readonly nodeProgram: string;
  readonly checkout: string;
}

export interface MachineFile {
  readonly path: string;
  readonly content: string;
  readonly mode?: number;
}

export function machineFiles(facts: MachineFacts): MachineFile[] {
  const { name, address, controlPlane } = facts;
  const lab = `${facts.checkout}/test/cluster/kubeadm`;
  const program = (path: string, script: string, args: string): MachineFile => ({
    path,
    content: `#!/bin/sh\nexec ${facts.nodeProgram} --disable-warning=ExperimentalWarning ${lab}/${script} ${args}\n`,
    mode: 0o755,
  });
  return [
    { path: '/etc/hostname', content: `${name}\n` },
    {
      path: '/etc/hosts',
      content: `127.0.0.1 localhost\n${address} ${name}\n${controlPlane.address} ${controlPlane.name}\n`,
    },
    // Nobody answers there, as at a site without a name server.
    { path: '/etc/resolv.conf', content: 'nameserver 192.0.2.1\n' },
    { path: '/etc/containerd/config.toml', content: containerdConfiguration(facts.snapshotter, facts.pauseImage) },
    { path: '/etc/cni/net.d/10-lab.conflist', content: cniConfiguration(facts.podCidr) },
    // The machine shares its cgroups with others: only its own root makes a kubelet leave those alone.
    { path: '/etc/default/kubelet', content: `KUBELET_EXTRA_ARGS=--cgroup-root=${facts.cgroupRoot} --v=2\n` },
    { path: '/etc/systemd/system/containerd.service', content: containerdUnit },
    { path: '/usr/lib/systemd/system/kubelet.service', content: kubeletUnit },
    { path: '/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf', content: kubeadmDropIn },
    program('/usr/lib/holdfast-lab/units', 'units.ts', ''),
    program('/usr/bin/systemctl', 'systemctl.ts', '"$@"'),
  ];
}

/** Debian's is started when containerd says so; here, when it answers. */
const containerdUnit = `[Unit]
Description=containerd container runtime
Before=kubelet.service
[Service]
ExecStart=/usr/bin/env containerd --config /etc/containerd/config.toml
ExecStartPost=/bin/sh -c 'until ctr --connect-timeout 1s version >/dev/null 2>&1; do sleep 0.05; done'
KillMode=process
Restart=always
RestartSec=5
[Install]
WantedBy=multi-user.target
`;

/** kubelet.service and its drop-in as the packages of Kubernetes install them (github.com/kubernetes/release, cmd/krel/templates). */
const kubeletUnit = `[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
`;

const kubeadmDropIn = `# Note: This dropin only works with kubeadm and kubelet v1.11+
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
# This is a file that "kubeadm init" and "kubeadm join" generates at runtime, populating the KUBELET_KUBEADM_ARGS variable dynamically
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
# This is a file that the user can use for overrides of the kubelet args as a last resort.
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
`;

export interface InitFacts {
  readonly name: string;
  readonly address: string;
  readonly kubernetesVersion: string;
  /** Of all nodes together. */
  readonly podCidr: string;
}

/** What `kubeadm init --config` reads. */
export function initConfiguration({ name, address, kubernetesVersion, podCidr }: InitFacts): string {
  const documents = [
    {
      apiVersion: 'kubeadm.k8s.io/v1beta4',
      kind: 'InitConfiguration',
      localAPIEndpoint: { advertiseAddress: address },
      nodeRegistration: { name, criSocket: 'unix:///run/containerd/containerd.sock' },
    },
    {
      apiVersion: 'kubeadm.k8s.io/v1beta4',
      kind: 'ClusterConfiguration',
      kubernetesVersion,
      // Without podSubnet: addresses of pods are the network add-on's business.
      etcd: { local: { extraArgs: [{ name: 'unsafe-no-fsync', value: 'true' }] } },
    },
    {
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      cgroupDriver: 'cgroupfs',
      failCgroupV1: false,
      failSwapOn: false,
      // A full disk of the host must not evict pods, and an image that was removed could not be had again.
      evictionHard: { 'memory.available': '50Mi' },
      imageGCHighThresholdPercent: 100,
    },
    {
      apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
      kind: 'KubeProxyConfiguration',
      clusterCIDR: podCidr,
      mode: 'iptables',
      // The number of connections is the whole host's, and cannot be set in a network namespace.
      conntrack: { maxPerCore: 0, min: 0 },
    },
  ];
  return documents.map((document) => JSON.stringify(document, null, 1)).join('\n---\n');
}
