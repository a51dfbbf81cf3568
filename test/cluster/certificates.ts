// The cluster's own CA. Validity can be set to the second, because drills need certificates that expire in a minute.
import { createPrivateKey } from 'node:crypto';
import { generateKeyPair, issueCertificate, privateKeyPem } from '../../runtime/x509/certificate.ts';
import type { CertificateTemplate, Issuer } from '../../runtime/x509/certificate.ts';

/** Both PEM; the key in PKCS#8. */
export interface PemPair {
  certificate: string;
  key: string;
}

export interface Validity {
  notBefore?: Date;
  notAfter?: Date;
}

const hourMs = 3_600_000;
const yearMs = 365 * 24 * hourMs;

export class CertificateAuthority {
  readonly pair: PemPair;
  readonly #issuer: Issuer;

  /** With no `pair`, a new one, valid for ten years. */
  constructor(commonName: string, pair?: PemPair) {
    const subject = { commonName, organizations: [] };
    if (pair === undefined) {
      const keys = generateKeyPair();
      this.#issuer = { subject, privateKey: keys.privateKey };
      const template = {
        subject,
        ...period({ notAfter: new Date(Date.now() + 10 * yearMs) }),
        usage: 'ca',
        names: [],
      } as const;
      pair = {
        certificate: issueCertificate(template, keys.publicKey, this.#issuer),
        key: privateKeyPem(keys.privateKey),
      };
    } else {
      this.#issuer = { subject, privateKey: createPrivateKey(pair.key) };
    }
    this.pair = pair;
  }

  client(commonName: string, organizations: readonly string[], validity: Validity = {}): PemPair {
    return this.#issue({ subject: { commonName, organizations }, ...period(validity), usage: 'client', names: [] });
  }

  server(commonName: string, names: readonly string[], validity: Validity = {}): PemPair {
    return this.#issue({ subject: { commonName, organizations: [] }, ...period(validity), usage: 'server', names });
  }

  #issue(template: CertificateTemplate): PemPair {
    const keys = generateKeyPair();
    return {
      certificate: issueCertificate(template, keys.publicKey, this.#issuer),
      key: privateKeyPem(keys.privateKey),
    };
  }
}

/** From an hour ago, for clocks that differ a little, for a year. */
function period(validity: Validity): { notBefore: Date; notAfter: Date } {
  return {
    notBefore: validity.notBefore ?? new Date(Date.now() - hourMs),
    notAfter: validity.notAfter ?? new Date(Date.now() + yearMs),
  };
}
