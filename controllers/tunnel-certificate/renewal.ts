// When the tunnel servers' certificate is due, and for which names the next one is: those that the present one has. Pure.
import { X509Certificate } from 'node:crypto';
import { renewedFrom, type KeptPair } from './certificates.ts';

export type Renewal =
  | { readonly kind: 'good'; readonly due: Date; readonly expires: Date }
  | { readonly kind: 'due'; readonly names: readonly string[]; readonly expires: Date }
  /** Only `holdfast install` knows what it should be. */
  | { readonly kind: 'unreadable' };

export function renewalOf(pair: KeptPair | undefined, now: Date): Renewal {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pair?.certificate ?? '');
  } catch {
    return { kind: 'unreadable' };
  }
  const expires = certificate.validToDate;
  const due = renewedFrom(certificate);
  if (due >= now) return { kind: 'good', due, expires };
  const names = namesOf(certificate);
  return names.length === 0 ? { kind: 'unreadable' } : { kind: 'due', names, expires };
}

/** Host names and addresses. Node.js writes them as `DNS:cp1, IP Address:10.0.0.1`. */
function namesOf({ subjectAltName = '' }: X509Certificate): string[] {
  return subjectAltName.split(', ').flatMap((entry) => {
    const [, name] = /^(?:DNS|IP Address):(.+)$/.exec(entry) ?? [];
    return name === undefined ? [] : [name];
  });
}
