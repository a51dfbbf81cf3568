// Who an agent is: the node that its certificate names, as kube-apiserver reads it, and nothing that it says itself.

/** The subject of a verified certificate, as Node.js gives it: a repeated attribute is a list. */
export interface CertificateSubject {
  readonly CN?: string | readonly string[] | undefined;
  readonly O?: string | readonly string[] | undefined;
}

/** The node's name; undefined for any certificate that is not a node's. */
export function nodeOf(subject: CertificateSubject): string | undefined {
  const { CN: commonName, O: organization } = subject;
  if (typeof commonName !== 'string') return undefined;
  const groups = typeof organization === 'string' ? [organization] : (organization ?? []);
  if (!groups.includes('system:nodes')) return undefined;
  return /^system:node:([a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?)$/.exec(commonName)?.[1];
}
