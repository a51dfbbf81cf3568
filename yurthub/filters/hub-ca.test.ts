import { collectionOf, configMapType, shownBy } from './filter-fixture.ts';
import { HubCaFilter } from './hub-ca.ts';

const hubCa = '-----BEGIN CERTIFICATE-----\nhub\n-----END CERTIFICATE-----\n';
const filter = new HubCaFilter(hubCa);
const rootCa = (data: Record<string, string>): object => ({
  metadata: { name: 'kube-root-ca.crt', namespace: 'shop', annotations: { why: 'kept' } },
  data,
});

test.each(['cluster CA\n', 'cluster CA'])('the hub’s CA is appended, and all else stays (%j)', (pem) => {
  const shown = shownBy(filter, configMapType, { ...rootCa({ 'ca.crt': pem, other: 'kept' }) });
  expect(shown).toMatchObject(rootCa({ 'ca.crt': `cluster CA\n${hubCa}`, other: 'kept' }));
});

test('a ConfigMap that has it already, or has no CA, stays as it is', () => {
  expect(shownBy(filter, configMapType, { ...rootCa({ 'ca.crt': `cluster CA\n${hubCa}` }) })).toBe('as it is');
  expect(shownBy(filter, configMapType, { ...rootCa({ other: 'x' }) })).toBe('as it is');
});

test('it is about this one name in any namespace, and never about lists of many', () => {
  const named = (name: string) =>
    collectionOf(configMapType, { namespace: 'shop', fieldSelector: `metadata.name=${name}` });
  expect(filter.concerns(named('kube-root-ca.crt'))).toBe(true);
  expect(filter.concerns(named('app'))).toBe(false);
  expect(filter.concerns(collectionOf(configMapType))).toBe(false);
});
