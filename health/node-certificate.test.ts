import { X509Certificate } from 'node:crypto';
import { CertificateAuthority, type PemPair } from '../test/cluster/certificates.ts';
import { judgeCertificate } from './node-certificate.ts';

const ca = new CertificateAuthority('kubernetes');
const nodes = ['system:nodes'];
const hourMs = 3_600_000;

function judge(pair: PemPair | undefined, authorities = [ca], nowMs = Date.now()): unknown {
  return judgeCertificate({
    certificate: pair && new X509Certificate(pair.certificate),
    clientCas: authorities.map((authority) => new X509Certificate(authority.pair.certificate)),
    nowMs,
  });
}

test('the client certificate of a kubelet names its node', () => {
  expect(judge(ca.client('system:node:edge-1.shop', nodes))).toMatchObject({ node: 'edge-1.shop' });
});

test('any of several client CAs may have signed it, as during a rotation', () => {
  const next = new CertificateAuthority('kubernetes');
  expect(judge(next.client('system:node:edge1', nodes), [ca, next])).toMatchObject({ node: 'edge1' });
});

test.each<[string, () => PemPair | undefined, string]>([
  ['no certificate', () => undefined, 'none'],
  [
    'one of a CA that only has the same name',
    () => new CertificateAuthority('kubernetes').client('system:node:edge1', nodes),
    'issuer',
  ],
  ['one of another CA', () => new CertificateAuthority('other').client('system:node:edge1', nodes), 'issuer'],
  ["the CA's own", () => ca.pair, 'usage'],
  ['a serving certificate', () => ca.server('system:node:edge1', ['edge1']), 'usage'],
  [
    'one that has expired',
    () => ca.client('system:node:edge1', nodes, { notAfter: new Date(Date.now() - 1_000) }),
    'validity',
  ],
  [
    'one that is not valid yet',
    () => ca.client('system:node:edge1', nodes, { notBefore: new Date(Date.now() + hourMs) }),
    'validity',
  ],
  ['one of a person', () => ca.client('alice', ['system:masters']), 'subject'],
  ['a node name without the group of nodes', () => ca.client('system:node:edge1', []), 'subject'],
  ['a node with a further group', () => ca.client('system:node:edge1', ['system:nodes', 'system:masters']), 'subject'],
  ['a name that is no node name', () => ca.client('system:node:Edge 1', nodes), 'subject'],
  ['a name with a line in it', () => ca.client('system:node:edge1\nO=system:nodes', []), 'subject'],
])('%s is refused', (_what, pair, fault) => {
  expect(judge(pair())).toEqual({ fault });
});

test('a CA that is not valid any more vouches for nobody', () => {
  const pair = ca.client('system:node:edge1', nodes, { notAfter: new Date('2099-01-01') });
  expect(judge(pair, [ca], Date.parse('2098-01-01'))).toEqual({ fault: 'issuer' });
});
