// The hub's own CA on this node and what it issues: the serving certificate, and a client credential for root's local use.
// No cluster-signed certificate names the API service, so a stolen node cannot pose as the API server anywhere else.
import { createPrivateKey, createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { isIP } from 'node:net';
import path from 'node:path';
import type { Clock } from '../../runtime/clock.ts';
import { syncFolder, writeNewFile } from '../../runtime/durable-file.ts';
import type { Log } from '../../runtime/log.ts';
import { alwaysValid, generateKeyPair, issueCertificate, privateKeyPem } from '../../runtime/x509/certificate.ts';
import type { CertificateTemplate, Subject } from '../../runtime/x509/certificate.ts';

/** What the front serves with. All PEM; the keys never leave this process and the 0600 files. */
export interface HubCertificates {
  readonly caCertificate: string;
  readonly serving: { readonly certificate: string; readonly key: string };
  /** Root's own way in, and the heartbeat's: `O=holdfast.dev, CN=system:node:NAME`. */
  readonly localClient: { readonly certificate: string; readonly key: string };
  /** For people on the node, who read only: `O=holdfast.dev, CN=local-reader`. */
  readonly localReader: { readonly certificate: string; readonly key: string };
}

export const localOrganization = 'holdfast.dev';

const constantNames = [
  '127.0.0.1',
  '169.254.2.1',
  '::1',
  'localhost',
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
];

/**
 * Reads the hub's certificates from `dataDir`, making what is missing. An unusable CA is set aside (`*.unusable-MS`) and made
 * anew, which every client that trusted it has to learn; that is said in the log. The serving certificate names `addresses`
 * beside what is the same on every node. Rejects with the file system's error.
 */
export async function hubCertificates(
  parts: { readonly log: Log; readonly clock: Clock },
  settings: { readonly dataDir: string; readonly nodeName: string; readonly addresses: readonly string[] },
): Promise<HubCertificates> {
  await mkdir(settings.dataDir, { recursive: true, mode: 0o700 });
  const folder = new CertificateFolder(settings.dataDir, parts);
  const subject = (commonName: string): Subject => ({ commonName, organizations: [localOrganization] });
  const ca = await folder.ensure(
    'hub-ca',
    { subject: subject(`holdfast hub CA of ${settings.nodeName}`), ...alwaysValid, usage: 'ca', names: [] },
    undefined,
  );
  const names = [...new Set([...constantNames, ...settings.addresses])];
  const serving = await folder.ensure(
    'serving',
    { subject: subject(settings.nodeName), ...alwaysValid, usage: 'server', names },
    ca,
  );
  const localClient = await folder.ensure(
    'local-client',
    { subject: subject(`system:node:${settings.nodeName}`), ...alwaysValid, usage: 'client', names: [] },
    ca,
  );
  const localReader = await folder.ensure(
    'local-reader',
    { subject: subject('local-reader'), ...alwaysValid, usage: 'client', names: [] },
    ca,
  );
  return {
    caCertificate: ca.certificate,
    serving: { certificate: serving.certificate, key: privateKeyPem(serving.privateKey) },
    localClient: { certificate: localClient.certificate, key: privateKeyPem(localClient.privateKey) },
    localReader: { certificate: localReader.certificate, key: privateKeyPem(localReader.privateKey) },
  };
}

/** A certificate in PEM and its key; as a CA, what signs others. */
interface Pair {
  readonly subject: Subject;
  readonly certificate: string;
  readonly privateKey: KeyObject;
}

class CertificateFolder {
  readonly #directory: string;
  readonly #log: Log;
  readonly #clock: Clock;

  constructor(directory: string, parts: { readonly log: Log; readonly clock: Clock }) {
    this.#directory = directory;
    this.#log = parts.log;
    this.#clock = parts.clock;
  }

  /** The pair of that base name if it fits the template, otherwise a new one: self-signed without an issuer. */
  async ensure(base: string, template: CertificateTemplate, issuer: Pair | undefined): Promise<Pair> {
    const certificateFile = path.join(this.#directory, `${base}.crt`);
    const keyFile = path.join(this.#directory, `${base}.key`);
    const certificate = await readIfThere(certificateFile);
    const key = await readIfThere(keyFile);
    if (certificate !== undefined && key !== undefined) {
      const problem = misfit(certificate, key, template, issuer);
      if (problem === undefined) return { subject: template.subject, certificate, privateKey: createPrivateKey(key) };
      this.#log.warn('certificate of the hub is unusable and made anew', { file: certificateFile, problem });
    } else if (certificate !== undefined || key !== undefined) {
      this.#log.warn('certificate of the hub is unusable and made anew', {
        file: certificateFile,
        problem: 'one of certificate and key is missing',
      });
    }
    // Only the CA is worth keeping for a look: whoever trusted it has to trust the new one.
    if (issuer === undefined) {
      if (certificate !== undefined) await rename(certificateFile, this.#aside(certificateFile));
      if (key !== undefined) await rename(keyFile, this.#aside(keyFile));
    }
    const { publicKey, privateKey } = generateKeyPair();
    const made: Pair = {
      subject: template.subject,
      certificate: issueCertificate(template, publicKey, issuer ?? { subject: template.subject, privateKey }),
      privateKey,
    };
    // The key first: a crash in between leaves a pair that does not match, which is made anew before anyone trusts it.
    await writeDurably(keyFile, privateKeyPem(privateKey), 0o600);
    await writeDurably(certificateFile, made.certificate, 0o644);
    this.#log.info('certificate of the hub made', { file: certificateFile });
    return made;
  }

  #aside(file: string): string {
    return `${file}.unusable-${this.#clock.wallMs()}`;
  }
}

/** Why this pair does not fit the template; undefined when it does. */
function misfit(
  certificate: string,
  key: string,
  template: CertificateTemplate,
  issuer: Pair | undefined,
): string | undefined {
  try {
    const parsed = new X509Certificate(certificate);
    if (!parsed.checkPrivateKey(createPrivateKey(key))) return 'the key is not the certificate’s';
    if (parsed.ca !== (template.usage === 'ca')) return 'it is of another use';
    const wantedSubject = `O=${localOrganization}\nCN=${template.subject.commonName}`;
    if (parsed.subject !== wantedSubject) return 'it names another node';
    if (issuer !== undefined && !parsed.verify(createPublicKey(issuer.privateKey))) return 'it is not from this CA';
    const isNamed = (name: string): boolean =>
      (isIP(name) === 0 ? parsed.checkHost(name, { subject: 'never' }) : parsed.checkIP(name)) !== undefined;
    const missing = template.names.find((name) => !isNamed(name));
    if (missing !== undefined) return `it does not name ${missing}`;
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whole or not at all, also across a power cut. */
async function writeDurably(file: string, text: string, mode: number): Promise<void> {
  const temporary = `${file}.new`;
  await rm(temporary, { force: true });
  await writeNewFile(temporary, text, mode);
  await rename(temporary, file);
  await syncFolder(path.dirname(file));
}
