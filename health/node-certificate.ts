// Who a peer is: the node that its certificate names. A kubelet's client certificate serves both sides of a connection between
// peers. It is good for clients only (extended key usage), so that TLS itself would refuse it from a server: both sides judge it here.
// That the peer holds the private key has been proved by the TLS 1.3 handshake before.
import type { X509Certificate } from 'node:crypto';

export const certificateFaults = ['none', 'issuer', 'usage', 'validity', 'subject'] as const;
export type CertificateFault = (typeof certificateFaults)[number];

export type CertificateVerdict =
  { readonly node: string; readonly expiresMs: number } | { readonly fault: CertificateFault };

export interface CertificateCase {
  /** The leaf that the peer has shown; undefined when it has shown none. */
  readonly certificate: X509Certificate | undefined;
  /** Who signs client certificates of this cluster. */
  readonly clientCas: readonly X509Certificate[];
  readonly nowMs: number;
}

const clientAuth = '1.3.6.1.5.5.7.3.2';
const nodeName = /^system:node:([a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?)$/;

/**
 * A node's certificate is signed by a client CA that is valid now, is valid itself, is for clients and signs nothing, and has the
 * subject O=system:nodes, CN=system:node:NAME and nothing else.
 */
export function judgeCertificate({ certificate, clientCas, nowMs }: CertificateCase): CertificateVerdict {
  if (certificate === undefined) return { fault: 'none' };
  const issued = (authority: X509Certificate): boolean =>
    // By name and by signature: the first alone can be had by anyone who makes a CA.
    authority.ca &&
    isValid(authority, nowMs) &&
    certificate.checkIssued(authority) &&
    certificate.verify(authority.publicKey);
  if (!clientCas.some(issued)) return { fault: 'issuer' };
  // The serving certificate of a kubelet carries the same subject. Without any usage stated it would be good for all.
  if (certificate.ca || certificate.keyUsage?.includes(clientAuth) !== true) return { fault: 'usage' };
  if (!isValid(certificate, nowMs)) return { fault: 'validity' };
  const node = nodeOf(certificate.subject);
  return node === undefined ? { fault: 'subject' } : { node, expiresMs: certificate.validToDate.getTime() };
}

/** `subject` as X509Certificate writes it: one attribute to a line. */
function nodeOf(subject: string): string | undefined {
  const lines = subject.split('\n');
  if (lines.length !== 2 || !lines.includes('O=system:nodes')) return undefined;
  const commonName = lines.find((line) => line.startsWith('CN='));
  return commonName === undefined ? undefined : nodeName.exec(commonName.slice('CN='.length))?.[1];
}

function isValid(certificate: X509Certificate, nowMs: number): boolean {
  return nowMs >= certificate.validFromDate.getTime() && nowMs <= certificate.validToDate.getTime();
}
