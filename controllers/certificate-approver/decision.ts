// Whether a certificate request may be approved: pure. A node gets certificates for itself and for nothing else: who asks must be
// the node that the subject names, and a serving certificate carries its own names and addresses, never those of the API
// service. Nodes write their own addresses, so those alone prove nothing.
import { isIP, isIPv6 } from 'node:net';
import { DerError } from '../../runtime/x509/der-reader.ts';
import type { ApiObject } from '../machinery/resource.ts';
import { poolNameOf, type Node } from '../nodes.ts';
import { parseCertificateRequest, type CertificateRequest } from './certificate-request.ts';

export interface CertificateSigningRequest extends ApiObject {
  readonly spec: {
    /** PEM in base64. */
    readonly request: string;
    readonly signerName: string;
    readonly username?: string;
    readonly groups?: readonly string[];
    readonly usages?: readonly string[];
  };
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status?: string }[];
    readonly certificate?: string;
  };
}

export interface Surroundings {
  /** By name. */
  readonly node: (name: string) => Node | undefined;
  /** Nodes whose status claims this name or address. */
  readonly claimants: (nameOrAddress: string) => readonly Node[];
  /** Addresses of the API service: of the Service default/kubernetes, and of the API servers behind it. */
  readonly apiService: { readonly serviceAddresses: readonly string[]; readonly serverAddresses: readonly string[] };
}

export type Decision =
  | { readonly verdict: 'approve'; readonly reason: string; readonly message: string }
  /** Not ours to judge: another signer, or judged already. */
  | { readonly verdict: 'pass' }
  | { readonly verdict: 'leave'; readonly reason: string; readonly message: string };

export const servingSigner = 'kubernetes.io/kubelet-serving';
export const clientSigner = 'kubernetes.io/kube-apiserver-client-kubelet';
/** Group of a bootstrap token that is for one node alone: its name follows, with : for each dot (group names have no dots). */
export const tokenGroupPrefix = 'system:bootstrappers:holdfast:node:';

const nodeUserPrefix = 'system:node:';
const nodesGroup = 'system:nodes';
const controlPlaneLabel = 'node-role.kubernetes.io/control-plane';
const keyUsages = ['digital signature', 'key encipherment'];

export function decide(request: CertificateSigningRequest, around: Surroundings): Decision {
  const { signerName } = request.spec;
  if (signerName !== servingSigner && signerName !== clientSigner) return { verdict: 'pass' };
  if ((request.status?.conditions ?? []).length > 0 || request.status?.certificate !== undefined)
    return { verdict: 'pass' };
  try {
    const asked = parseCertificateRequest(Buffer.from(request.spec.request, 'base64').toString('latin1'));
    const name = nodeNameOf(asked);
    return signerName === servingSigner ? serving(request, asked, name, around) : client(request, asked, name);
  } catch (error) {
    if (error instanceof DerError)
      return leave('Unreadable', `The request holds ${error.message}: make it as a kubelet does.`);
    if (error instanceof Refusal) return leave(error.reason, error.message);
    throw error;
  }
}

class Refusal extends Error {
  readonly reason: string;

  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

function leave(reason: string, message: string): Decision {
  return {
    verdict: 'leave',
    reason,
    message: `Not approved: ${message} To approve it by hand: kubectl certificate approve.`,
  };
}

/** The subject of nodes: system:node:NAME in system:nodes, and no other group. */
function nodeNameOf({ commonName, organizations }: CertificateRequest): string {
  const name = commonName.startsWith(nodeUserPrefix) ? commonName.slice(nodeUserPrefix.length) : '';
  if (
    !/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(name) ||
    organizations.length !== 1 ||
    organizations[0] !== nodesGroup
  )
    throw new Refusal('WrongSubject', `The subject must be CN=${nodeUserPrefix}NAME, O=${nodesGroup} alone.`);
  return name;
}

function serving(
  request: CertificateSigningRequest,
  asked: CertificateRequest,
  name: string,
  around: Surroundings,
): Decision {
  checkRequester(isNode(request, name), request, name);
  checkUsages(request, 'server auth');
  const node = around.node(name);
  if (node === undefined) throw new Refusal('NoSuchNode', `There is no node ${name}.`);
  if (asked.dnsNames.length + asked.addresses.length === 0)
    throw new Refusal('NoNames', 'A serving certificate needs a name or an address of the node.');
  for (const dnsName of asked.dnsNames) checkDnsName(dnsName, node, around);
  for (const address of asked.addresses) checkAddress(address, node, around);
  return {
    verdict: 'approve',
    reason: 'HoldfastServingCertificate',
    message: `Asked for by the node ${name} itself, for its own names and addresses.`,
  };
}

function client(request: CertificateSigningRequest, asked: CertificateRequest, name: string): Decision {
  const byToken = isTokenFor(request, name);
  checkRequester(isNode(request, name) || byToken, request, name);
  checkUsages(request, 'client auth');
  if (asked.dnsNames.length + asked.addresses.length > 0)
    throw new Refusal('NamesInClientCertificate', 'A client certificate of a node carries no alternative names.');
  const by = byToken ? 'a bootstrap token for this node' : 'the node itself';
  return { verdict: 'approve', reason: 'HoldfastClientCertificate', message: `Asked for by ${by}.` };
}

function isNode({ spec }: CertificateSigningRequest, name: string): boolean {
  return spec.username === `${nodeUserPrefix}${name}` && (spec.groups ?? []).includes(nodesGroup);
}

function isTokenFor({ spec }: CertificateSigningRequest, name: string): boolean {
  const isToken = (spec.username ?? '').startsWith('system:bootstrap:');
  return isToken && (spec.groups ?? []).includes(`${tokenGroupPrefix}${name.replaceAll('.', ':')}`);
}

function checkRequester(isAllowed: boolean, { spec }: CertificateSigningRequest, name: string): void {
  if (!isAllowed)
    throw new Refusal(
      'WrongRequester',
      `${spec.username ?? 'nobody'} asks for a certificate of the node ${name}: only ${nodeUserPrefix}${name} may, or for a client certificate a bootstrap token with the group ${tokenGroupPrefix}${name.replaceAll('.', ':')}.`,
    );
}

function checkUsages({ spec }: CertificateSigningRequest, purpose: string): void {
  const usages = spec.usages ?? [];
  const isGood = usages.includes(purpose) && usages.includes('digital signature');
  if (!isGood || usages.some((usage) => usage !== purpose && !keyUsages.includes(usage)))
    throw new Refusal(
      'WrongUsages',
      `The usages must be digital signature and ${purpose}, with or without key encipherment; they are ${usages.join(', ') || 'none'}.`,
    );
}

function checkDnsName(dnsName: string, node: Node, around: Surroundings): void {
  const name = dnsName.toLowerCase();
  const isClusters =
    name === 'localhost' ||
    name.includes('*') ||
    /^kubernetes(\.default)?$/.test(name) ||
    /(^|\.)svc(\.|$)|\.cluster\.local$/.test(name);
  if (isClusters)
    throw new Refusal('NameOfTheCluster', `${dnsName} is a name of services of the cluster, not of a node.`);
  if (name !== node.metadata.name && !claims(node, name))
    throw new Refusal('NameOfAnother', `${dnsName} is not a name of ${node.metadata.name}.`);
  checkClaimants(name, node, around);
}

function checkAddress(address: string, node: Node, around: Surroundings): void {
  const { serviceAddresses, serverAddresses } = around.apiService;
  const is = (other: string): boolean => normalAddress(other) === normalAddress(address);
  if (serviceAddresses.some(is))
    throw new Refusal('AddressOfTheApiService', `${address} is an address of the API service, not of a node.`);
  if (isSpecial(address)) throw new Refusal('SpecialAddress', `${address} is no address of one node alone.`);
  if (serverAddresses.some(is) && !isControlPlane(node))
    throw new Refusal(
      'AddressOfTheApiService',
      `${address} is the address of an API server, and ${node.metadata.name} has not the label ${controlPlaneLabel}.`,
    );
  if (!claims(node, address))
    throw new Refusal('AddressOfAnother', `${address} is not an address of ${node.metadata.name}.`);
  checkClaimants(address, node, around);
}

/**
 * Two nodes that claim the same: one of them lies, which cannot be known. An address may be at two sites; a node cannot change by
 * itself which pool, and so which site, it belongs to.
 */
function checkClaimants(nameOrAddress: string, node: Node, around: Surroundings): void {
  const pool = poolNameOf(node);
  const other = around.claimants(nameOrAddress).find((each) => {
    if (each.metadata.name === node.metadata.name) return false;
    // Nor may a node that lies keep the control plane from its certificates.
    if (isControlPlane(node) && !isControlPlane(each)) return false;
    const isElsewhere = pool !== undefined && poolNameOf(each) !== undefined && poolNameOf(each) !== pool;
    return !(isElsewhere && isIP(nameOrAddress) !== 0);
  });
  if (other !== undefined)
    throw new Refusal('ClaimedByTwo', `${nameOrAddress} is claimed by the node ${other.metadata.name} as well.`);
}

/** Nodes cannot give that label to themselves: NodeRestriction. */
function isControlPlane({ metadata }: Node): boolean {
  return metadata.labels?.[controlPlaneLabel] !== undefined;
}

function claims({ status }: Node, nameOrAddress: string): boolean {
  const wanted = normalAddress(nameOrAddress);
  return status.addresses.some(({ address }) => normalAddress(address) === wanted);
}

/** Loopback, link-local, multicast and unspecified addresses, also where IPv6 carries an IPv4 one. */
function isSpecial(address: string): boolean {
  const normal = normalAddress(address);
  if (!normal.includes(':')) {
    const [a = 0, b = 0] = normal.split('.').map(Number);
    return a === 0 || a === 127 || a >= 224 || (a === 169 && b === 254);
  }
  const [first = 0] = normal.split(':').map((group) => Number.parseInt(group, 16));
  const isLow = normal.startsWith('0:0:0:0:0:');
  return isLow || (first & 0xffc0) === 0xfe80 || (first & 0xff00) === 0xff00;
}

/** The one way to write an address; names in lower case. */
export function normalAddress(text: string): string {
  if (!isIPv6(text)) return text.toLowerCase();
  // URL writes the shortest form with ::, so that only groups have to be filled up.
  const [head = '', tail] = new URL(`http://[${text.split('%')[0]}]`).hostname.slice(1, -1).split('::');
  const groups = (part: string | undefined): string[] => (part === undefined || part === '' ? [] : part.split(':'));
  const left = groups(head);
  const right = groups(tail);
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return [...left, ...(tail === undefined ? [] : zeros), ...right].join(':');
}
