// Who is asking. Pure: certificates, a token's presence and what /proc said go in, an identity or a refusal comes out.
import type { X509Certificate } from 'node:crypto';
import type { Identity } from '../types.ts';
import type { ClientTrust } from './client-trust.ts';
import type { RefusalReason } from './metrics.ts';

/** What a client certificate proves, judged once per connection. */
export type CertificateVerdict =
  | { readonly kind: 'none' }
  /** `remark`: outside its validity, and the node's all the same. */
  | { readonly kind: 'node'; readonly remark: 'expired' | 'not-yet-valid' | undefined }
  /** A person on this node, with the credential that the hub made for that. */
  | { readonly kind: 'local-reader' }
  | { readonly kind: 'refused'; readonly reason: RefusalReason };

export interface CertificateCase {
  readonly certificate: X509Certificate | undefined;
  readonly trust: ClientTrust;
  readonly hubCa: X509Certificate;
  /** Subject of the local credential, in X509Certificate's form. */
  readonly localSubject: string;
  /** Subject of the credential for people on the node. */
  readonly readerSubject: string;
  readonly nodeName: string;
  /** The connection comes from this host. */
  readonly isLocal: boolean;
  readonly nowMs: number;
}

const clientAuth = '1.3.6.1.5.5.7.3.2';

/** The subject of a node's certificate as X509Certificate writes it. */
export function nodeSubject(nodeName: string): string {
  return `O=system:nodes\nCN=system:node:${nodeName}`;
}

/**
 * A certificate is the node's if a client CA of the cluster signed it for the subject that the hub itself has upstream (with the
 * kubelet's files: this node), or if the hub's CA issued it as the local credential. An expired or not yet valid one is still
 * the node's when it comes from this host: its holder has the private key, the API server decides online, and a node whose clock
 * is years off or whose kubelet could not renew during an outage must not be locked out. From elsewhere it is refused.
 */
export function judgeCertificate(given: CertificateCase): CertificateVerdict {
  const { certificate, trust } = given;
  if (certificate === undefined) return { kind: 'none' };
  if (certificate.subject === given.readerSubject && issuedBy(certificate, given.hubCa))
    return given.isLocal ? { kind: 'local-reader' } : { kind: 'refused', reason: 'foreign-certificate' };
  const isLocalCredential = certificate.subject === given.localSubject && issuedBy(certificate, given.hubCa);
  const subjects = [nodeSubject(given.nodeName), ...(trust.own === undefined ? [] : [trust.own.subject])];
  const isNodes =
    subjects.includes(certificate.subject) && trust.clientCas.some((authority) => issuedBy(certificate, authority));
  if (!isLocalCredential && !isNodes) return { kind: 'refused', reason: 'foreign-certificate' };
  // Serving certificates of a kubelet carry the same subject.
  if (!(certificate.keyUsage ?? [clientAuth]).includes(clientAuth)) return { kind: 'refused', reason: 'wrong-usage' };
  const remark = outsideValidity(certificate, given.nowMs);
  if (remark !== undefined && !given.isLocal) return { kind: 'refused', reason: 'foreign-certificate' };
  return { kind: 'node', remark };
}

export function outsideValidity(certificate: X509Certificate, nowMs: number): 'expired' | 'not-yet-valid' | undefined {
  if (nowMs > certificate.validToDate.getTime()) return 'expired';
  if (nowMs < certificate.validFromDate.getTime()) return 'not-yet-valid';
  return undefined;
}

function issuedBy(certificate: X509Certificate, authority: X509Certificate): boolean {
  // By name and by signature: the first alone can be had by anyone who makes a CA.
  return authority.ca && certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

/** What is known of the process at the other end of a loopback connection. */
export type Peer = 'root' | 'not-root' | 'in-container' | 'unknown';

export type Decision =
  | { readonly identity: Identity }
  | { readonly refused: RefusalReason }
  /** Nothing but the peer process can tell: ask for it. */
  | { readonly ask: 'peer' };

/**
 * The identity of one request. A token wins over a certificate that says nothing here. With neither, a connection of this host is
 * the node only while the kubelet's own certificate is expired (it then presents none) and the peer is root's and in no container.
 */
export function decide(given: {
  readonly verdict: CertificateVerdict;
  readonly hasBearer: boolean;
  readonly isLocal: boolean;
  readonly ownExpired: boolean;
  readonly nodeName: string;
  readonly peer: Peer | undefined;
}): Decision {
  const node: Decision = { identity: { kind: 'node', nodeName: given.nodeName } };
  if (given.verdict.kind === 'node') return node;
  if (given.verdict.kind === 'local-reader')
    return { identity: { kind: 'node', nodeName: given.nodeName, localReader: true } };
  if (given.hasBearer) return { identity: { kind: 'bearer' } };
  if (given.verdict.kind === 'refused') return { refused: given.verdict.reason };
  if (!given.isLocal || !given.ownExpired) return { refused: 'no-credentials' };
  switch (given.peer) {
    case undefined:
      return { ask: 'peer' };
    case 'root':
      return node;
    case 'not-root':
      return { refused: 'not-root' };
    case 'in-container':
      return { refused: 'in-container' };
    case 'unknown':
      return { refused: 'no-credentials' };
  }
}

/** `Authorization: Bearer …`; the scheme's case does not count. */
export function hasBearer(authorization: string | readonly string[] | undefined): boolean {
  return typeof authorization === 'string' && /^bearer +\S/i.test(authorization);
}

/** Both ends of the connection are on this host: loopback, or an address connected to itself. */
export function isLocalConnection(remoteAddress: string | undefined, localAddress: string | undefined): boolean {
  if (remoteAddress === undefined) return false;
  const plain = remoteAddress.replace(/^::ffff:/, '');
  return plain.startsWith('127.') || plain === '::1' || remoteAddress === localAddress;
}
