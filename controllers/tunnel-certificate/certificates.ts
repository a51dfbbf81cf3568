// By what agents know the tunnel servers: a certificate authority of the tunnel's own, and a serving certificate that it signed. Not the
// cluster's: its key is at hand on control-plane hosts only, and whoever had the tunnel's could pose as a tunnel server and as nothing
// else. Pure, but for the keys that are made.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { generateKeyPair, issueCertificate, privateKeyPem } from '../../runtime/x509/certificate.ts';

/** PEM. */
export interface KeptPair {
  readonly certificate: string;
  readonly key: string;
}

export interface TunnelCertificates {
  readonly authority: KeptPair;
  readonly server: KeptPair;
  /** What had to be made anew, for people. */
  readonly made: readonly string[];
}

const day = 86_400_000;
/** Nodes keep the authority's certificate when they are converted: it must not run out before they are. */
const authorityDays = 20 * 365;
/** Made anew in its second half, by the controller of this folder or the next `holdfast install`: half a year without both does no harm. */
const serverDays = 365;
const subject = { commonName: 'holdfast-tunnel-ca', organizations: [] };

/**
 * What is good stays as it is, so that a second run changes nothing. `names`: hosts and addresses that agents dial, and that a server
 * may be asked for by.
 */
export function tunnelCertificates(
  kept: { readonly authority: KeptPair | undefined; readonly server: KeptPair | undefined },
  names: readonly string[],
  now: Date,
): TunnelCertificates {
  const authority = kept.authority ?? makeAuthority(now);
  const problem = serverProblem(kept.server, authority, names, now);
  const server = problem === undefined && kept.server !== undefined ? kept.server : makeServer(authority, names, now);
  return {
    authority,
    server,
    made: [
      ...(kept.authority === undefined ? ["the tunnel's certificate authority: there was none"] : []),
      ...(problem === undefined ? [] : [`the tunnel servers' certificate: ${problem}`]),
    ],
  };
}

function makeAuthority(now: Date): KeptPair {
  const { publicKey, privateKey } = generateKeyPair();
  const certificate = issueCertificate(
    { subject, ...validity(now, authorityDays), usage: 'ca', names: [] },
    publicKey,
    { subject, privateKey },
  );
  return { certificate, key: privateKeyPem(privateKey) };
}

function makeServer(authority: KeptPair, names: readonly string[], now: Date): KeptPair {
  const { publicKey, privateKey } = generateKeyPair();
  const certificate = issueCertificate(
    {
      subject: { commonName: 'holdfast-tunnel-server', organizations: [] },
      ...validity(now, serverDays),
      usage: 'server',
      names: [...new Set(names)],
    },
    publicKey,
    { subject, privateKey: createPrivateKey(authority.key) },
  );
  return { certificate, key: privateKeyPem(privateKey) };
}

/** A clock that is a day behind must not refuse what was made today. */
function validity(now: Date, days: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(now.getTime() - day), notAfter: new Date(now.getTime() + days * day) };
}

/** From when on a server's certificate is made anew. */
export function renewedFrom(certificate: X509Certificate): Date {
  return new Date(certificate.validToDate.getTime() - (serverDays / 2) * day);
}

function serverProblem(
  server: KeptPair | undefined,
  authority: KeptPair,
  names: readonly string[],
  now: Date,
): string | undefined {
  if (server === undefined) return 'there was none';
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(server.certificate);
    if (!certificate.checkPrivateKey(createPrivateKey(server.key))) return 'its key is another one';
  } catch {
    return 'it could not be read';
  }
  if (!certificate.verify(new X509Certificate(authority.certificate).publicKey))
    return 'another authority had signed it';
  if (renewedFrom(certificate) < now) return `it runs out on ${certificate.validToDate.toISOString().slice(0, 10)}`;
  const lacking = names.filter(
    (name) => (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)) === undefined,
  );
  return lacking.length === 0 ? undefined : `it lacks ${lacking.join(', ')}`;
}
