// CoreDNS with kubeadm's configuration, on every node instead of twice in the cluster: pods of a site that is cut off, or
// behind NAT as here, reach no other. (kubeadm: cmd/kubeadm/app/phases/addons/dns.)
import { readFileSync } from 'node:fs';
import { binary } from './binaries.ts';
import { registryName } from './images.ts';
import type { ImageSpec } from './images.ts';
import { clusterRole, clusterRoleBinding, core, daemonSet } from './manifest.ts';
import type { Manifest } from './manifest.ts';

const namespace = 'kube-system';
const image = `${registryName}/coredns:1`;
/** `clusterDNS` of the nodes' kubelets. */
const clusterIP = '10.96.0.10';

export function corednsImage(): ImageSpec {
  return {
    name: image,
    command: ['/coredns'],
    files: [{ path: '/coredns', content: readFileSync(binary('coredns')), mode: 0o755 }],
  };
}

export function corednsManifests(): Manifest[] {
  const metadata = { name: 'coredns', namespace };
  return [
    core(namespace, 'serviceaccounts', 'ServiceAccount', { metadata }),
    clusterRole('system:coredns', [
      { apiGroups: [''], resources: ['endpoints', 'services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
    ]),
    clusterRoleBinding('system:coredns', 'system:coredns', metadata),
    core(namespace, 'configmaps', 'ConfigMap', { metadata, data: { Corefile: corefile } }),
    core(namespace, 'services', 'Service', {
      metadata: { name: 'kube-dns', namespace, labels: { 'k8s-app': 'coredns' } },
      spec: {
        clusterIP,
        selector: { 'k8s-app': 'coredns' },
        internalTrafficPolicy: 'Local',
        ports: [
          { name: 'dns', port: 53, protocol: 'UDP', targetPort: 53 },
          { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 53 },
        ],
      },
    }),
    daemonSet(namespace, 'coredns', {
      serviceAccountName: 'coredns',
      priorityClassName: 'system-cluster-critical',
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      tolerations: [{ operator: 'Exists' }],
      dnsPolicy: 'Default',
      containers: [
        {
          name: 'coredns',
          image,
          command: ['/coredns', '-conf', '/etc/coredns/Corefile'],
          volumeMounts: [{ name: 'config', mountPath: '/etc/coredns', readOnly: true }],
          livenessProbe: {
            httpGet: { path: '/health', port: 8080 },
            initialDelaySeconds: 60,
            timeoutSeconds: 5,
            failureThreshold: 5,
          },
          readinessProbe: { httpGet: { path: '/ready', port: 8181 } },
        },
      ],
      volumes: [{ name: 'config', configMap: { name: 'coredns' } }],
    }),
  ];
}

const corefile = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
`;
