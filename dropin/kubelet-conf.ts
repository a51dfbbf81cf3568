// kubeadm's /etc/kubernetes/kubelet.conf: who the node is, where its API server is, and the copy that names the hub instead.
import { X509Certificate } from 'node:crypto';
import { parseKubeconfig, type Kubeconfig } from '../kube/kubeconfig.ts';
import { parseYaml } from '../runtime/yaml.ts';
import { DropInError } from './errors.ts';
import { hubUrl, kubeadm, ours } from './places.ts';

export interface KubeletConf {
  readonly kubeconfig: Kubeconfig;
  readonly nodeName: string;
}

/** `readPem` reads a file that it names. Throws KubeconfigError or DropInError, which say what is wrong. */
export function readKubeletConf(text: string, readPem: (file: string) => string): KubeletConf {
  const kubeconfig = parseKubeconfig(text, kubeadm.kubeconfig);
  const { clientCertificate } = kubeconfig;
  if (clientCertificate === undefined)
    throw new DropInError('ERR_DROPIN_REFUSED', `${kubeadm.kubeconfig} names no client certificate`);
  const pem = 'pem' in clientCertificate ? clientCertificate.pem : readPem(clientCertificate.file);
  const nodeName = /^CN=system:node:(.+)$/m.exec(new X509Certificate(pem).subject)?.[1];
  if (nodeName === undefined)
    throw new DropInError('ERR_DROPIN_REFUSED', `the certificate that ${kubeadm.kubeconfig} names is not a node's`);
  return { kubeconfig, nodeName };
}

/** The same user and context; the cluster is the hub, with its own certificate authority. JSON is YAML. */
export function kubeconfigAtHub(text: string): string {
  const document = parseYaml(text) as {
    'current-context': string;
    contexts: { name: string; context: { cluster: string } }[];
    clusters: { name: string; cluster: unknown }[];
  };
  const current = document.contexts.find(({ name }) => name === document['current-context']);
  const clusters = document.clusters
    .filter(({ name }) => name === current?.context.cluster)
    .map(({ name }) => ({ name, cluster: { server: hubUrl, 'certificate-authority': ours.hubCa } }));
  return `${JSON.stringify({ ...document, clusters }, null, 2)}\n`;
}
