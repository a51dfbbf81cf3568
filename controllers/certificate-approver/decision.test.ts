import fc from 'fast-check';
import { sequence, octetString, element } from '../../runtime/x509/der.ts';
import { DerError } from '../../runtime/x509/der-reader.ts';
import type { Node } from '../nodes.ts';
import { parseCertificateRequest } from './certificate-request.ts';
import {
  clientSigner,
  decide,
  normalAddress,
  servingSigner,
  type CertificateSigningRequest,
  type Surroundings,
} from './decision.ts';
import { nodeSubject, requestPem, type RequestTemplate } from './request.testing.ts';

function nodeWith(name: string, addresses: readonly string[], labels: Record<string, string> = {}): Node {
  return {
    metadata: { name, uid: name, resourceVersion: '1', labels },
    spec: {},
    status: { conditions: [], addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
  };
}

const pool = (name: string): Record<string, string> => ({ 'apps.openyurt.io/nodepool': name });
const ipv6 = Buffer.from('fd000000000000000000000000000007', 'hex');
const nodes = [
  nodeWith(
    'edge1',
    [
      '192.168.7.11',
      'edge1.berlin.example.com',
      'FD00::7',
      '10.96.0.1',
      '10.0.0.1',
      '127.0.0.1',
      '169.254.2.1',
      'kubernetes.default.svc',
      'web.shop.svc.cluster.local',
      'localhost',
      '192.168.7.99',
      'shared.example.com',
    ],
    pool('berlin'),
  ),
  nodeWith('edge2', ['192.168.7.12', '192.168.7.99'], pool('berlin')),
  nodeWith('far1', ['192.168.7.11', 'shared.example.com'], pool('paris')),
  nodeWith('nowhere', ['192.168.9.1', '192.168.7.12']),
  nodeWith('master', ['10.0.0.1'], { 'node-role.kubernetes.io/control-plane': '' }),
  nodeWith('a.b.example.com', ['192.168.8.1']),
];
const around: Surroundings = {
  node: (name) => nodes.find(({ metadata }) => metadata.name === name),
  claimants: (wanted) =>
    nodes.filter(
      ({ metadata, status }) =>
        metadata.name === wanted ||
        status.addresses.some(({ address }) => normalAddress(address) === normalAddress(wanted)),
    ),
  apiService: { serviceAddresses: ['10.96.0.1', 'fd00:96::1'], serverAddresses: ['10.0.0.1'] },
};

interface Case {
  readonly by?: string;
  readonly groups?: readonly string[];
  readonly subject?: RequestTemplate['subject'];
  readonly names?: RequestTemplate['names'];
  readonly template?: Partial<RequestTemplate>;
  readonly usages?: readonly string[];
  readonly pem?: string;
  readonly signer?: string;
  readonly status?: CertificateSigningRequest['status'];
}

function request(
  base: Case,
  { by, groups, subject, names, template, usages, pem, signer, status }: Case,
): CertificateSigningRequest {
  const all = { ...base, ...(by === undefined ? {} : { by }), ...(groups === undefined ? {} : { groups }) };
  const text =
    pem ?? requestPem({ subject: subject ?? base.subject ?? [], names: names ?? base.names ?? [], ...template });
  return {
    metadata: { name: 'csr', uid: 'csr', resourceVersion: '1' },
    spec: {
      request: Buffer.from(text).toString('base64'),
      signerName: signer ?? base.signer ?? '',
      username: all.by ?? '',
      groups: all.groups ?? [],
      usages: usages ?? base.usages ?? [],
    },
    ...(status === undefined ? {} : { status }),
  };
}

const asNode = {
  by: 'system:node:edge1',
  groups: ['system:nodes', 'system:authenticated'],
  subject: nodeSubject('edge1'),
};
const serving: Case = {
  ...asNode,
  signer: servingSigner,
  names: ['edge1', '192.168.7.11'],
  usages: ['digital signature', 'server auth'],
};
const client: Case = { ...asNode, signer: clientSigner, names: [], usages: ['digital signature', 'client auth'] };
const tokenGroups = (node: string): string[] => [
  'system:bootstrappers',
  'system:bootstrappers:kubeadm:default-node-token',
  `system:bootstrappers:holdfast:node:${node}`,
];

describe('serving certificates', () => {
  const approved: [string, Case][] = [
    ['its name and address', {}],
    ['with key encipherment, as for RSA keys', { usages: ['key encipherment', 'digital signature', 'server auth'] }],
    ['a DNS name from its status, whatever its case', { names: ['Edge1.Berlin.example.com'] }],
    ['an IPv6 address, however the node writes it', { names: [ipv6] }],
    ['an address that another site has as well', { names: ['192.168.7.11'] }],
    [
      'the API server on its own control-plane node, though another claims its address',
      { by: 'system:node:master', subject: nodeSubject('master'), names: ['master', '10.0.0.1'] },
    ],
  ];
  test.each(approved)('approved: %s', (_name, each) => {
    expect(decide(request(serving, each), around)).toMatchObject({
      verdict: 'approve',
      reason: 'HoldfastServingCertificate',
    });
  });

  const left: [string, Case, string][] = [
    ['another node asks', { by: 'system:node:edge2' }, 'WrongRequester'],
    ['a person asks', { by: 'kubernetes-admin', groups: ['system:masters'] }, 'WrongRequester'],
    [
      'a service account whose name looks like it',
      { by: 'system:serviceaccount:x:system:node:edge1' },
      'WrongRequester',
    ],
    ['the name without the group', { groups: ['system:authenticated'] }, 'WrongRequester'],
    [
      'a bootstrap token for the node: that is for client certificates',
      { by: 'system:bootstrap:abcdef', groups: tokenGroups('edge1') },
      'WrongRequester',
    ],
    ['another subject', { subject: nodeSubject('edge2') }, 'WrongRequester'],
    ['a subject that is no node', { subject: [['2.5.4.3', 'admin']] }, 'WrongSubject'],
    ['a subject without group', { subject: [['2.5.4.3', 'system:node:edge1']] }, 'WrongSubject'],
    [
      'a subject with a further group',
      { subject: nodeSubject('edge1', 'system:nodes', 'system:masters') },
      'WrongSubject',
    ],
    ['a subject in another group', { subject: nodeSubject('edge1', 'system:masters') }, 'WrongSubject'],
    ['a name with a slash', { subject: nodeSubject('../edge1') }, 'WrongSubject'],
    ['two common names', { subject: [...nodeSubject('edge1'), ['2.5.4.3', 'system:node:edge2']] }, 'Unreadable'],
    ['an organizational unit', { subject: [...nodeSubject('edge1'), ['2.5.4.11', 'x']] }, 'Unreadable'],
    ['for clients', { usages: ['digital signature', 'client auth'] }, 'WrongUsages'],
    ['for servers and clients', { usages: ['digital signature', 'server auth', 'client auth'] }, 'WrongUsages'],
    ['to sign certificates', { usages: ['digital signature', 'server auth', 'cert sign'] }, 'WrongUsages'],
    ['without usages', { usages: [] }, 'WrongUsages'],
    [
      'a node that there is not',
      { by: 'system:node:gone', subject: nodeSubject('gone'), names: ['gone'] },
      'NoSuchNode',
    ],
    ['no names at all', { names: [] }, 'NoNames'],
    ['the name of another node', { names: ['edge1', 'edge2'] }, 'NameOfAnother'],
    ['a name of nobody', { names: ['api.example.com'] }, 'NameOfAnother'],
    ['a wildcard', { names: ['*.berlin.example.com'] }, 'NameOfTheCluster'],
    ['kubernetes', { names: ['kubernetes'] }, 'NameOfTheCluster'],
    ['the API service by name, though its status claims it', { names: ['kubernetes.default.svc'] }, 'NameOfTheCluster'],
    ['a Service by name, though its status claims it', { names: ['web.shop.svc.cluster.local'] }, 'NameOfTheCluster'],
    ['localhost, though its status claims it', { names: ['localhost'] }, 'NameOfTheCluster'],
    ["the API service's address, though its status claims it", { names: ['10.96.0.1'] }, 'AddressOfTheApiService'],
    ["an API server's address, though its status claims it", { names: ['10.0.0.1'] }, 'AddressOfTheApiService'],
    ['loopback, though its status claims it', { names: ['127.0.0.1'] }, 'SpecialAddress'],
    ["the hub's address on every node, though its status claims it", { names: ['169.254.2.1'] }, 'SpecialAddress'],
    ['::1', { names: [Buffer.from('00000000000000000000000000000001', 'hex')] }, 'SpecialAddress'],
    [
      'an IPv4 address in an IPv6 one',
      { names: [Buffer.from('00000000000000000000ffff0a600001', 'hex')] },
      'SpecialAddress',
    ],
    ['the address of another node', { names: ['192.168.7.12'] }, 'AddressOfAnother'],
    ['an address that a node of the same pool claims as well', { names: ['192.168.7.99'] }, 'ClaimedByTwo'],
    ['a name that a node of another pool claims as well', { names: ['shared.example.com'] }, 'ClaimedByTwo'],
    [
      'an address of a node in no pool that is claimed by another',
      { by: 'system:node:nowhere', subject: nodeSubject('nowhere'), names: ['192.168.7.12'] },
      'ClaimedByTwo',
    ],
    ['an e-mail address', { template: { otherNames: [element(0x81, Buffer.from('a@b'))] } }, 'Unreadable'],
    ['a URI', { template: { otherNames: [element(0x86, Buffer.from('spiffe://x'))] } }, 'Unreadable'],
    [
      'to be a CA',
      { template: { extensions: [['2.5.29.19', sequence(element(0x01, Buffer.from([0xff])))]] } },
      'Unreadable',
    ],
    ['a further attribute', { template: { attributes: [sequence(octetString(Buffer.from('x')))] } }, 'Unreadable'],
    ['no request at all', { pem: 'hello' }, 'Unreadable'],
    ['two requests', { pem: requestPem({ subject: nodeSubject('edge1') }).repeat(2) }, 'Unreadable'],
    ['text before the request', { pem: `x${requestPem({ subject: nodeSubject('edge1') })}` }, 'Unreadable'],
  ];
  test.each(left)('left alone: %s', (_name, each, reason) => {
    expect(decide(request(serving, each), around)).toMatchObject({ verdict: 'leave', reason });
  });
});

describe('client certificates', () => {
  const byToken: Case = { by: 'system:bootstrap:abcdef', groups: tokenGroups('edge1') };
  const approved: [string, Case][] = [
    ['the node renews its own', {}],
    ['a bootstrap token for this node', byToken],
    [
      'a bootstrap token for a node with dots in its name',
      { ...byToken, groups: tokenGroups('a:b:example:com'), subject: nodeSubject('a.b.example.com') },
    ],
    ['a node that is not there yet', { ...byToken, groups: tokenGroups('new'), subject: nodeSubject('new') }],
  ];
  test.each(approved)('approved: %s', (_name, each) => {
    expect(decide(request(client, each), around)).toMatchObject({
      verdict: 'approve',
      reason: 'HoldfastClientCertificate',
    });
  });

  const left: [string, Case, string][] = [
    ['another node asks', { by: 'system:node:edge2' }, 'WrongRequester'],
    ['a bootstrap token for another node', { ...byToken, groups: tokenGroups('edge2') }, 'WrongRequester'],
    ['a bootstrap token for no node in particular', { ...byToken, groups: ['system:bootstrappers'] }, 'WrongRequester'],
    ['a user in the group of a token who is none', { by: 'somebody', groups: tokenGroups('edge1') }, 'WrongRequester'],
    ['with names', { names: ['edge1'] }, 'NamesInClientCertificate'],
    ['for servers', { usages: ['digital signature', 'server auth'] }, 'WrongUsages'],
    ['a further group', { subject: nodeSubject('edge1', 'system:nodes', 'system:masters') }, 'WrongSubject'],
  ];
  test.each(left)('left alone: %s', (_name, each, reason) => {
    expect(decide(request(client, each), around)).toMatchObject({ verdict: 'leave', reason });
  });
});

const passed: [string, Case][] = [
  ['of another signer', { signer: 'kubernetes.io/kube-apiserver-client' }],
  ['of a signer of somebody else', { signer: 'example.com/serving' }],
  ['approved already', { status: { conditions: [{ type: 'Approved', status: 'True' }] } }],
  ['denied', { status: { conditions: [{ type: 'Denied', status: 'True' }] } }],
];
test.each(passed)('not judged: one %s', (_name, each) => {
  expect(decide(request(serving, each), around)).toEqual({ verdict: 'pass' });
});

test('a request that was changed at any byte is read as the same, or as another that says so, or not at all', () => {
  const pem = requestPem({ subject: nodeSubject('edge1'), names: ['edge1', '192.168.7.11'] });
  const der = Buffer.from(pem.split('\n').slice(1, -2).join(''), 'base64');
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.integer({ min: 0, max: 255 }), fc.nat(der.length), (at, byte, length) => {
      const changed = Buffer.from(der.subarray(0, length > der.length / 2 ? der.length : length));
      if (at < changed.length) changed[at] = byte;
      const text = `-----BEGIN CERTIFICATE REQUEST-----\n${changed.toString('base64') || '='}\n-----END CERTIFICATE REQUEST-----`;
      let problem: unknown;
      try {
        parseCertificateRequest(text);
      } catch (error) {
        problem = error;
      }
      expect(problem === undefined || problem instanceof DerError).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});
