import { parse } from 'yaml';
import { configWithEgress, configWithoutEgress } from './kubeadm-config.ts';
import { flagsOf, withEgress, withoutEgress } from './manifest.ts';

/** As kubeadm writes it, with a comment and a flag of somebody's own. */
const manifest = `apiVersion: v1
kind: Pod
metadata:
  name: kube-apiserver
spec:
  containers:
  - command:
    - kube-apiserver
    - --advertise-address=10.0.0.1
    - --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname
    - --audit-log-path=/var/log/audit.log # ours
    image: registry.k8s.io/kube-apiserver:v1.34.4
    volumeMounts:
    - mountPath: /etc/ssl/certs
      name: ca-certs
      readOnly: true
    # kept
    - mountPath: /etc/kubernetes/pki
      name: k8s-certs
      readOnly: true
  hostNetwork: true
  volumes:
  - hostPath:
      path: /etc/ssl/certs
      type: DirectoryOrCreate
    name: ca-certs
  - hostPath:
      path: /etc/kubernetes/pki
      type: DirectoryOrCreate
    name: k8s-certs
status: {}
`;

describe('the manifest of kube-apiserver', () => {
  const after = withEgress(manifest);

  test('gets flags, mounts and volumes, and every line that was there stays', () => {
    expect(flagsOf(after)).toMatchObject({
      'egress-selector-config-file': '/etc/kubernetes/egress-selector.yaml',
      'kubelet-preferred-address-types': 'Hostname,InternalIP,ExternalIP',
      'enable-aggregator-routing': 'true',
      'audit-log-path': '/var/log/audit.log',
    });
    interface Pod {
      spec: { containers: [{ volumeMounts: object[] }]; volumes: object[]; hostNetwork: boolean };
    }
    const { spec } = parse(after) as Pod;
    expect(spec.hostNetwork).toBe(true);
    expect(spec.volumes.slice(2)).toEqual([
      { name: 'holdfast-egress-selector', hostPath: { path: '/etc/kubernetes/egress-selector.yaml', type: 'File' } },
      { name: 'holdfast-sockets', hostPath: { path: '/run/holdfast', type: 'DirectoryOrCreate' } },
      { name: 'holdfast-hosts', hostPath: { path: '/etc/hosts', type: 'File' } },
    ]);
    expect(spec.containers[0].volumeMounts).toHaveLength(5);
    const lines = new Set(after.split('\n'));
    const missing = manifest.split('\n').filter((line) => !lines.has(line));
    expect(missing).toEqual(['    - --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname']);
  });

  test('a second time nothing changes, and the way back gives every byte back', () => {
    expect(withEgress(after)).toBe(after);
    expect(withoutEgress(after)).toBe(manifest);
    expect(withoutEgress(manifest)).toBe(manifest);
  });

  test('what is not as kubeadm writes it is refused', () => {
    expect(() => withEgress('spec: {containers: [{command: [kube-apiserver]}]}')).toThrow('spec.containers.0.command');
    expect(() => withEgress('spec: [')).toThrow('the manifest of kube-apiserver');
  });
});

describe("kubeadm's ClusterConfiguration", () => {
  const v1beta4 = `apiServer:
  # of ours
  extraArgs:
  - name: audit-log-path
    value: /var/log/audit.log
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
`;
  const v1beta3 = 'apiServer: {}\napiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\n';

  test('v1beta4 keeps arguments as a list, v1beta3 as a mapping', () => {
    const list = configWithEgress(v1beta4);
    expect(list).toContain('# of ours');
    expect(parse(list)).toMatchObject({
      apiServer: {
        extraArgs: expect.arrayContaining([
          { name: 'audit-log-path', value: '/var/log/audit.log' },
          { name: 'egress-selector-config-file', value: '/etc/kubernetes/egress-selector.yaml' },
        ]) as unknown,
        extraVolumes: expect.arrayContaining([
          {
            name: 'holdfast-sockets',
            hostPath: '/run/holdfast',
            mountPath: '/run/holdfast',
            readOnly: true,
            pathType: 'DirectoryOrCreate',
          },
        ]) as unknown,
      },
    });
    expect(parse(configWithEgress(v1beta3))).toMatchObject({
      apiServer: { extraArgs: { 'enable-aggregator-routing': 'true' } },
    });
  });

  test.each([v1beta3, v1beta4])('a second time nothing changes, and the way back takes out what is ours', (before) => {
    const after = configWithEgress(before);
    expect(configWithEgress(after)).toBe(after);
    expect(parse(configWithoutEgress(after))).toEqual(parse(before));
    expect(configWithoutEgress(before)).toBe(before);
  });

  test('a form that is not known is refused', () => {
    expect(() => configWithEgress('apiVersion: kubeadm.k8s.io/v1beta9\n')).toThrow('v1beta3 and v1beta4');
  });
});
