// Certificate, key and CA as files that somebody else renews: read again when they change. What is broken in the middle of a
// renewal is not taken up; connections that stand are never touched.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { PemSource } from '../kube/kubeconfig.ts';
import { delay, type Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { TunnelError } from './errors.ts';

export interface CredentialSources {
  readonly certificate: PemSource;
  readonly key: PemSource;
  /** What the far end's certificate is verified against; may hold several. */
  readonly ca: PemSource;
}

export interface Credentials {
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
  /** Milliseconds since 1970. */
  readonly expiresMs: number;
}

const pollMs = 5_000;

export class CredentialFiles {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #sources: CredentialSources;
  #current: Credentials;
  #lastProblem = '';

  /** Throws TunnelError (ERR_TUNNEL_CREDENTIALS) when they cannot be used now. */
  constructor(parts: { log: Log; clock: Clock }, sources: CredentialSources) {
    this.#log = parts.log;
    this.#clock = parts.clock;
    this.#sources = sources;
    this.#current = readCredentials(sources);
  }

  get current(): Credentials {
    return this.#current;
  }

  /** Reads them again now; true if they changed. A problem is logged once, and the former ones stay. */
  refresh(): boolean {
    try {
      const fresh = readCredentials(this.#sources);
      this.#lastProblem = '';
      const { certificate, key, ca } = this.#current;
      if (fresh.certificate === certificate && fresh.key === key && fresh.ca === ca) return false;
      this.#current = fresh;
      this.#log.info('credentials changed', { expires: new Date(fresh.expiresMs).toISOString() });
      return true;
    } catch (error) {
      const problem = (error as Error).message;
      if (problem !== this.#lastProblem)
        this.#log.warn('credentials cannot be read again; the former stay', { problem });
      this.#lastProblem = problem;
      return false;
    }
  }

  /** Calls `changed` after each change until `signal` aborts. */
  async run(signal: AbortSignal, changed: () => void): Promise<void> {
    for (;;) {
      await delay(this.#clock, pollMs, signal);
      if (signal.aborted) return;
      if (this.refresh()) changed();
    }
  }
}

function readCredentials(sources: CredentialSources): Credentials {
  const refuse = (what: string, source: PemSource, problem: string, cause?: unknown): never => {
    const where = 'file' in source ? source.file : 'in the kubeconfig';
    throw new TunnelError('ERR_TUNNEL_CREDENTIALS', `${what} ${where}: ${problem}`, cause);
  };
  const read = (what: string, source: PemSource): string => {
    if ('pem' in source) return source.pem;
    try {
      return readFileSync(source.file, 'utf8');
    } catch (error) {
      return refuse(what, source, (error as Error).message, error);
    }
  };
  const parse = (what: string, source: PemSource, pem: string): X509Certificate => {
    try {
      return new X509Certificate(pem);
    } catch (error) {
      return refuse(what, source, 'holds no certificate (PEM)', error);
    }
  };
  const certificate = read('certificate', sources.certificate);
  const key = read('key', sources.key);
  const ca = read('CA', sources.ca);
  const parsed = parse('certificate', sources.certificate, certificate);
  parse('CA', sources.ca, ca);
  try {
    if (!parsed.checkPrivateKey(createPrivateKey(key)))
      refuse('key', sources.key, 'does not belong to the certificate; give the pair');
  } catch (error) {
    if (error instanceof TunnelError) throw error;
    refuse('key', sources.key, 'holds no private key without passphrase (PEM)', error);
  }
  return { certificate, key, ca, expiresMs: Date.parse(parsed.validTo) };
}
