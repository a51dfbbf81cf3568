// The certificates that say who a client is, read from the kubelet's own files and again when these change: the kubelet renews
// its certificate, and an administrator the cluster's CA, while the hub runs.
import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';

export interface ClientTrust {
  /** Who signs client certificates of this cluster. */
  readonly clientCas: readonly X509Certificate[];
  /** The hub's own upstream certificate: whoever holds one with the same subject is the node. */
  readonly own: X509Certificate | undefined;
}

/** How long a look at the files' dates holds, milliseconds: a burst of connections costs one look. */
const lookAgainMs = 1_000;

export class ClientTrustFiles {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #clientCaFile: string;
  readonly #ownCertificateFile: string;
  #trust: ClientTrust = { clientCas: [], own: undefined };
  #versions = '';
  #looking: Promise<void> | undefined;
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(
    parts: { readonly log: Log; readonly clock: Clock },
    settings: { readonly clientCAFile: string; readonly clientCertificateFile: string },
  ) {
    this.#log = parts.log;
    this.#clock = parts.clock;
    this.#clientCaFile = settings.clientCAFile;
    this.#ownCertificateFile = settings.clientCertificateFile;
  }

  /** Never rejects: files that cannot be read or parsed at the moment leave what was known before, with a warning. */
  async current(): Promise<ClientTrust> {
    if (this.#clock.monotonicMs() - this.#lookedMs >= lookAgainMs) {
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined;
        this.#lookedMs = this.#clock.monotonicMs();
      });
      await this.#looking;
    }
    return this.#trust;
  }

  async #look(): Promise<void> {
    try {
      const versions = `${await version(this.#clientCaFile)} ${await version(this.#ownCertificateFile)}`;
      if (versions === this.#versions) return;
      const clientCas = certificates(await readFile(this.#clientCaFile, 'latin1'));
      const own = certificates(await readFile(this.#ownCertificateFile, 'latin1'))[0];
      this.#trust = { clientCas, own };
      this.#versions = versions;
      this.#log.info('client certificates are judged by these files', {
        clientCAFile: this.#clientCaFile,
        clientCAs: clientCas.length,
        nodeSubject: own?.subject.replaceAll('\n', ','),
      });
    } catch (error) {
      this.#log.warn('certificate files cannot be read, what was known before holds', { error: String(error) });
    }
  }
}

async function version(file: string): Promise<string> {
  const { ino, size, mtimeMs } = await stat(file);
  return `${ino}:${size}:${mtimeMs}`;
}

/** Every certificate of a PEM text; other blocks (the kubelet keeps its key in the same file) are skipped. */
export function certificates(text: string): X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}
