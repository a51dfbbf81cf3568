// kube-proxy as kubeadm deploys it: a DaemonSet in the host's network with the ConfigMap `kube-proxy`, whose kubeconfig
// names the control plane, and the service account `kube-proxy`. (kubeadm: cmd/kubeadm/app/phases/addons/proxy.)
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { binary } from './binaries.ts';
import { run } from './commands.ts';
import { registryName } from './images.ts';
import type { ImageSpec } from './images.ts';
import { clusterRoleBinding, core, daemonSet } from './manifest.ts';
import type { Manifest } from './manifest.ts';

const namespace = 'kube-system';
const image = `${registryName}/kube-proxy:1`;

/** kube-proxy and this machine's own iptables: the kubelet uses that too, and the two kinds of it do not mix. */
export async function kubeProxyImage(program: 'kube-proxy' | 'kube-proxy@1.33' = 'kube-proxy'): Promise<ImageSpec> {
  const iptables = realpathSync('/usr/sbin/iptables');
  const xtables = (await libraries([iptables])).find((file) => path.basename(file).startsWith('libxtables.'));
  if (xtables === undefined) throw new Error(`${iptables} does not use libxtables`);
  const folder = path.join(realpathSync(path.dirname(xtables)), 'xtables');
  const extensions = readdirSync(folder).map((file) => path.join(folder, file));
  const host = [iptables, ...extensions, ...(await libraries([iptables, ...extensions]))];
  const names = ['iptables', 'ip6tables'].flatMap((name) => [name, `${name}-save`, `${name}-restore`]);
  return {
    name: image,
    command: ['/usr/local/bin/kube-proxy'],
    files: [
      { path: '/usr/local/bin/kube-proxy', content: readFileSync(binary(program)), mode: 0o755 },
      ...host.map((file) => ({ path: file, content: readFileSync(file), mode: 0o755 })),
    ],
    links: names.map((name) => ({ path: `/usr/bin/${name}`, target: iptables })),
  };
}

/** What the dynamic linker would load for any of the files, itself included. */
async function libraries(files: readonly string[]): Promise<string[]> {
  const found = (await run(['ldd', ...files])).matchAll(/(\/\S+) \(0x/g);
  return [...new Set(Array.from(found, ([, file = '']) => file))];
}

/** `server`: the control plane's address. `podCidr`: of all nodes. */
export function kubeProxyManifests(server: string, podCidr = '10.244.0.0/16'): Manifest[] {
  return [
    core(namespace, 'serviceaccounts', 'ServiceAccount', { metadata: { name: 'kube-proxy', namespace } }),
    clusterRoleBinding('kubeadm:node-proxier', 'system:node-proxier', { name: 'kube-proxy', namespace }),
    core(namespace, 'configmaps', 'ConfigMap', {
      metadata: { name: 'kube-proxy', namespace, labels: { app: 'kube-proxy' } },
      data: { 'kubeconfig.conf': kubeconfig(server), 'config.conf': configuration(podCidr) },
    }),
    daemonSet(namespace, 'kube-proxy', {
      hostNetwork: true,
      serviceAccountName: 'kube-proxy',
      priorityClassName: 'system-node-critical',
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      tolerations: [{ operator: 'Exists' }],
      containers: [
        {
          name: 'kube-proxy',
          image,
          command: [
            '/usr/local/bin/kube-proxy',
            '--config=/var/lib/kube-proxy/config.conf',
            '--hostname-override=$(NODE_NAME)',
          ],
          env: [{ name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
          securityContext: { privileged: true },
          volumeMounts: [
            { name: 'kube-proxy', mountPath: '/var/lib/kube-proxy' },
            { name: 'xtables-lock', mountPath: '/run/xtables.lock' },
          ],
        },
      ],
      volumes: [
        { name: 'kube-proxy', configMap: { name: 'kube-proxy' } },
        { name: 'xtables-lock', hostPath: { path: '/run/xtables.lock', type: 'FileOrCreate' } },
      ],
    }),
  ];
}

/** kubeadm's text, in its YAML and not as JSON: what reads the ConfigMap may know no other form. */
function kubeconfig(server: string): string {
  return `apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
    server: ${server}
  name: default
contexts:
- context:
    cluster: default
    namespace: default
    user: default
  name: default
current-context: default
users:
- name: default
  user:
    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
`;
}

/** What kubeadm writes, without the fields that it leaves empty; but see `conntrack`. */
function configuration(podCidr: string): string {
  return `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
bindAddress: 0.0.0.0
clientConnection:
  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf
clusterCIDR: ${podCidr}
conntrack:
  # The number of connections is the whole machine's, and cannot be set in a network namespace.
  maxPerCore: 0
mode: ""
`;
}
