import { collectionOf, configMapType, shownBy } from './filter-fixture.ts';
import { KubeProxyConfigFilter, withServer } from './kube-proxy-config.ts';

// As kubeadm v1.34 writes it.
const kubeconfig = `apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
    server: https://192.168.0.10:6443
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
    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token`;

const hub = 'https://127.0.0.1:10261';
const filter = new KubeProxyConfigFilter(() => hub);
const configMap = (text: string, namespace = 'kube-system'): Record<string, unknown> => ({
  metadata: { name: 'kube-proxy', namespace },
  data: { 'config.conf': 'kind: KubeProxyConfiguration\n', 'kubeconfig.conf': text },
});

test('kubeadm’s kube-proxy is led to the hub, and nothing else in its configuration changes', () => {
  const changed = kubeconfig.replace('https://192.168.0.10:6443', `"${hub}"`);
  expect(shownBy(filter, configMapType, configMap(kubeconfig))).toMatchObject(configMap(changed));
});

test('comments, order, quotes and line ends stay', () => {
  const odd = `# ours\r\n${kubeconfig.replace('https://192.168.0.10:6443', "'https://a:1' # the VIP").replaceAll('\n', '\r\n')}`;
  expect(withServer(odd, hub)).toBe(odd.replace("'https://a:1'", `"${hub}"`));
});

test('a cluster that trusts another CA is left alone: the hub’s certificate would be refused', () => {
  const pinned = kubeconfig.replace(/certificate-authority: .*/, 'certificate-authority-data: QUJD');
  expect(shownBy(filter, configMapType, configMap(pinned))).toBe('as it is');
});

test('what has no kubeconfig, and another namespace, stay as they are; what is no YAML throws', () => {
  expect(shownBy(filter, configMapType, { ...configMap(''), data: { other: 'x' } })).toBe('as it is');
  expect(shownBy(filter, configMapType, configMap(kubeconfig, 'shop'))).toBe('as it is');
  expect(shownBy(filter, configMapType, configMap('clusters: none'))).toBe('as it is');
  expect(() => withServer('clusters: [', hub)).toThrow(SyntaxError);
});

test('it is about this one name', () => {
  const named = (name: string): boolean =>
    filter.concerns(collectionOf(configMapType, { namespace: 'kube-system', fieldSelector: `metadata.name=${name}` }));
  expect([named('kube-proxy'), named('coredns')]).toEqual([true, false]);
  expect(filter.concerns(collectionOf(configMapType, { namespace: 'kube-system' }))).toBe(false);
});
