import type { SiteDnsFacts } from './site-dns.ts';
import { siteDnsChecks } from './site-dns.ts';

const good: SiteDnsFacts = {
  coreDns: { containers: [{ name: 'coredns', image: 'registry.k8s.io/coredns/coredns:v1.12.1' }] },
  hasService: true,
  present: false,
  atSites: [],
  hasNodeCache: false,
};

test.each<[string, Partial<SiteDnsFacts>, string]>([
  ['ok', {}, 'coredns:v1.12.1 on every converted node'],
  ['refused', { coreDns: undefined }, 'no Deployment kube-system/coredns'],
  ['refused', { coreDns: { containers: [{ name: 'other', image: 'x' }] } }, 'no Deployment kube-system/coredns'],
  ['refused', { hasService: false }, 'no Service kube-system/kube-dns'],
  ['warning', { hasNodeCache: true }, 'node-local-dns'],
  ['warning', { atSites: ['a1', 'b1'] }, 'runs on a1, b1'],
])('%s with %j', (verdict, change, cause) => {
  const [check, ...others] = siteDnsChecks({ ...good, ...change });
  expect(others).toEqual([]);
  expect(check).toMatchObject({ verdict, cause: expect.stringContaining(cause) as string });
  expect(check?.fix !== '').toBe(verdict !== 'ok');
});
