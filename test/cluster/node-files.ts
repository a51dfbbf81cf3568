// The configuration files of an edge node, as kubeadm and a network add-on would lay them out. Pure text.
import { cniFolder } from './packages.ts';
import { pauseImage } from './images.ts';

export const kubeletPaths = {
  config: '/var/lib/kubelet/config.yaml',
  kubeconfig: '/etc/kubernetes/kubelet.conf',
  clusterCa: '/etc/kubernetes/pki/ca.crt',
  manifests: '/etc/kubernetes/manifests',
  /** The symbolic link that the kubelet itself moves when it rotates its certificate; certificate and key in one. */
  clientCertificate: '/var/lib/kubelet/pki/kubelet-client-current.pem',
} as const;

export interface KubeletSettings {
  cgroupRoot: string;
  rotateCertificates: boolean;
  /** Further fields of KubeletConfiguration. */
  extra: Readonly<Record<string, unknown>>;
}

/** JSON, which the kubelet takes for the YAML that it is. */
export function kubeletConfiguration(settings: KubeletSettings): string {
  return JSON.stringify(
    {
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      authentication: {
        anonymous: { enabled: false },
        webhook: { enabled: true },
        x509: { clientCAFile: kubeletPaths.clusterCa },
      },
      authorization: { mode: 'Webhook' },
      containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
      staticPodPath: kubeletPaths.manifests,
      clusterDNS: ['10.96.0.10'],
      clusterDomain: 'cluster.local',
      rotateCertificates: settings.rotateCertificates,
      cgroupDriver: 'cgroupfs',
      cgroupRoot: settings.cgroupRoot,
      enforceNodeAllocatable: [],
      failCgroupV1: false,
      failSwapOn: false,
      // A full disk of the machine must not evict pods in a drill.
      evictionHard: { 'memory.available': '50Mi' },
      imageGCHighThresholdPercent: 100,
      volumePluginDir: '/var/lib/kubelet/volume-plugins',
      ...settings.extra,
    },
    null,
    1,
  );
}

/** `snapshotter`: overlayfs, or native where the machine's own disk is an overlay already. */
export function containerdConfiguration(snapshotter: 'overlayfs' | 'native', sandboxImage = pauseImage): string {
  return `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${sandboxImage}"
  # Without CAP_SYS_RESOURCE a container may not be given a lower score than containerd's own.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${cniFolder()}"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${snapshotter}"
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
`;
}

/** A bridge for the node's pods, with host ports. */
export function cniConfiguration(podCidr: string): string {
  return JSON.stringify({
    cniVersion: '0.4.0',
    name: 'holdfast',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        hairpinMode: true,
        ipMasq: false,
        ipam: { type: 'host-local', ranges: [[{ subnet: podCidr }]], routes: [{ dst: '0.0.0.0/0' }] },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  });
}

/** certs.d/REGISTRY/hosts.toml: plain HTTP at another address. */
export function registryHosts(url: string): string {
  return `server = "${url}"\n[host."${url}"]\n  capabilities = ["pull", "resolve"]\n`;
}
