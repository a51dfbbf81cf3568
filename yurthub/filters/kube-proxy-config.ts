// kubeadm's kube-proxy does not use the Service `kubernetes` (it makes it work): its kubeconfig stands in a ConfigMap and
// names the control plane. On this node that is shown with the hub as its server. Trust comes by the CA file of its
// service account, to which the hub's CA is appended (hub-ca); a cluster that trusts anything else is left alone.
import { child } from '../../kube/plain-object.ts';
import type { Wire } from '../../kube/wire.ts';
import { withYamlTexts } from '../../runtime/yaml.ts';
import type { Collection, Filter } from '../views/presenter.ts';
import { isOf, onlyName, reachesNamespace } from './collection.ts';

const configMapType = { apiVersion: 'v1', kind: 'ConfigMap' };
const key = 'kubeconfig.conf';
const serviceAccountCa = '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt';

export class KubeProxyConfigFilter implements Filter {
  readonly name = 'kube-proxy-config';
  readonly #server: () => string | undefined;

  /** `server`: the hub's URL for processes in the node's own network, which kube-proxy is. */
  constructor(server: () => string | undefined) {
    this.#server = server;
  }

  concerns(collection: Collection): boolean {
    return (
      isOf(collection, '', 'configmaps') &&
      reachesNamespace(collection, 'kube-system') &&
      onlyName(collection) === 'kube-proxy'
    );
  }

  apply(wire: Wire, bytes: Buffer): Buffer {
    const server = this.#server();
    if (server === undefined || wire.meta(bytes).namespace !== 'kube-system') return bytes;
    const configMap = wire.decode(configMapType, bytes);
    const data = child(configMap, 'data');
    const kubeconfig = data[key];
    if (typeof kubeconfig !== 'string') return bytes;
    const changed = withServer(kubeconfig, server);
    if (changed === kubeconfig) return bytes;
    return wire.encode(configMapType, { ...configMap, data: { ...data, [key]: changed } });
  }
}

/** The kubeconfig with another server wherever the service account's CA is trusted. Throws SyntaxError on what is no YAML. */
export function withServer(kubeconfig: string, server: string): string {
  return withYamlTexts(kubeconfig, (document) => {
    const clusters = document.items(['clusters']);
    return Array.from({ length: clusters }, (_none, index) => ['clusters', index, 'cluster'] as const)
      .filter((cluster) => document.text([...cluster, 'certificate-authority']) === serviceAccountCa)
      .map((cluster) => ({ path: [...cluster, 'server'], text: server }));
  });
}
