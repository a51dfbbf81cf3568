import type { ClusterFacts } from './cluster-facts.ts';
import { supportedMinors } from '../dropin/preflight.ts';
import { preflight } from './preflight.ts';
import { uninstallChecks } from './uninstall.ts';

const good: ClusterFacts = {
  version: `v1.${supportedMinors.tested}.4`,
  missingRights: [],
  controlPlanes: [{ name: 'cp1', addresses: ['10.0.0.1'] }],
  nodes: 3,
  convertedNodes: [],
  kubeadm: { apiVersion: 'kubeadm.k8s.io/v1beta4' },
  apiServers: [{ node: 'cp1', flags: { 'egress-selector-config-file': '/x' } }],
  networks: ['flannel'],
  openYurt: { holder: undefined, webhooks: [] },
  crds: [],
  strictWebhooks: [],
};
const image = { asked: undefined, present: undefined };
const wishes = { tunnelServers: ['10.0.0.1:10262'] };
const judge = (facts: Partial<ClusterFacts>, servers = wishes.tunnelServers): string[] =>
  preflight({ ...good, ...facts }, { tunnelServers: servers, image })
    .filter(({ verdict }) => verdict !== 'ok')
    .map(({ name, verdict }) => `${verdict} ${name}`);

test('a cluster of kubeadm in a supported version is good', () => {
  expect(judge({})).toEqual([]);
});

test.each<[string, Partial<ClusterFacts>]>([
  ['refused version', { version: `v1.${supportedMinors.from - 1}.9` }],
  ['warning version', { version: `v1.${supportedMinors.to + 1}.0` }],
  ['refused rights', { missingRights: ['create secrets'] }],
  ['warning kubeadm', { kubeadm: undefined }],
  ['refused control plane', { controlPlanes: [] }],
  ['warning kube-apiserver', { apiServers: [{ node: 'cp1', flags: {} }] }],
  ['warning kube-apiserver', { apiServers: [] }],
  ['warning network', { networks: [] }],
  ['refused OpenYurt', { openYurt: { holder: 'theirs', webhooks: [] } }],
  [
    'refused OpenYurt',
    { openYurt: { holder: undefined, webhooks: ['yurt-manager-validating-webhook-configuration'] } },
  ],
  ['refused CRD', { crds: [{ name: 'nodepools.apps.openyurt.io', isOurs: false, servedVersions: ['v1alpha1'] }] }],
  ['warning webhooks', { strictWebhooks: [{ configuration: 'policy', webhook: 'pods.example.com' }] }],
])('%s', (verdict, facts) => {
  expect(judge(facts)).toEqual([verdict]);
});

test("another one's CRD in a version that serves is used as it is; without a tunnel server nothing is installed", () => {
  expect(judge({ crds: [{ name: 'nodepools.apps.openyurt.io', isOurs: false, servedVersions: ['v1beta2'] }] })).toEqual(
    [],
  );
  expect(judge({}, [])).toEqual(['refused tunnel']);
});

test('an image of a registry is not replaced by one that has to be imported', () => {
  const verdict = (asked: string | undefined): string | undefined =>
    preflight(good, { ...wishes, image: { asked, present: 'registry.example.com/holdfast:1' } }).find(
      ({ name }) => name === 'image',
    )?.verdict;
  expect([verdict(undefined), verdict('registry.example.com/holdfast:2')]).toEqual(['refused', 'ok']);
});

test('every finding says what to do', () => {
  const bad = preflight({ ...good, version: 'v1.20.0', controlPlanes: [], networks: [] }, { tunnelServers: [], image });
  for (const { verdict, fix } of bad) expect(fix !== '').toBe(verdict !== 'ok');
});

test('uninstall is refused while something depends on it; nodes may be left as they are, kube-apiserver may not', () => {
  const verdicts = (facts: Partial<ClusterFacts>, force: boolean): string[] =>
    uninstallChecks({ ...good, apiServers: [], ...facts }, { force }).map(({ verdict }) => verdict);
  expect(verdicts({}, false)).toEqual(['ok', 'ok', 'ok']);
  expect(verdicts({ convertedNodes: ['a1'] }, false)).toEqual(['ok', 'refused', 'ok']);
  expect(verdicts({ convertedNodes: ['a1'] }, true)).toEqual(['ok', 'warning', 'ok']);
  expect(verdicts({ apiServers: good.apiServers }, true)).toEqual(['ok', 'ok', 'refused']);
});
