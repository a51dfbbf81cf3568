// The node's certificate and key, and the client CA of the cluster, as files that the kubelet and administrators renew. Looked at
// again when they are needed, at most every few seconds; what cannot be used leaves what was known before.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import tls from 'node:tls';
import type { PemSource } from '../kube/kubeconfig.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';

export interface PeerCredentials {
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
  readonly clientCas: readonly X509Certificate[];
  /** For both sides of connections between peers. */
  readonly context: tls.SecureContext;
}

export interface CredentialSources {
  readonly certificate: PemSource;
  readonly key: PemSource;
  readonly clientCA: PemSource;
}

/** A rotation is taken up after so long; a burst of connections costs one look. */
const lookAgainMs = 5_000;

export class PeerCredentialFiles {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #sources: CredentialSources;
  readonly #listeners = new Set<(credentials: PeerCredentials) => void>();
  #current: PeerCredentials | undefined;
  #versions: string | undefined;
  #lastProblem = '';
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(parts: { log: Log; clock: Clock }, sources: CredentialSources) {
    this.#log = parts.log;
    this.#clock = parts.clock;
    this.#sources = sources;
  }

  /** Undefined while there are none: a node that joins has no certificate yet. */
  current(): PeerCredentials | undefined {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#lookedMs >= lookAgainMs) {
      this.#lookedMs = nowMs;
      this.#look();
    }
    return this.#current;
  }

  /** Calls back with each new set; returns the way to stop that. */
  onChange(listener: (credentials: PeerCredentials) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #look(): void {
    const { certificate, key, clientCA } = this.#sources;
    const versions = [certificate, key, clientCA].map(versionOf).join();
    if (versions === this.#versions) return;
    try {
      this.#current = read(this.#sources);
    } catch (error) {
      // Its date is not remembered as seen: a half-done rotation is looked at again.
      const problem = (error as Error).message;
      if (problem !== this.#lastProblem)
        this.#log.warn('credentials between peers cannot be used, the former stay', { problem });
      this.#lastProblem = problem;
      return;
    }
    this.#versions = versions;
    this.#lastProblem = '';
    for (const listener of this.#listeners) listener(this.#current);
  }
}

function versionOf(source: PemSource): string {
  if ('pem' in source) return 'fixed';
  try {
    const { ino, size, mtimeMs } = statSync(source.file);
    return `${ino}:${size}:${mtimeMs}`;
  } catch {
    return 'missing';
  }
}

function read(sources: CredentialSources): PeerCredentials {
  const text = (source: PemSource): string => ('pem' in source ? source.pem : readFileSync(source.file, 'utf8'));
  const [certificate, key, ca] = [text(sources.certificate), text(sources.key), text(sources.clientCA)];
  if (!new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key)))
    throw new Error('certificate and key do not belong together');
  const blocks = ca.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new Error('the client CA holds no certificate');
  const clientCas = blocks.map((block) => new X509Certificate(block));
  const context = tls.createSecureContext({ cert: certificate, key, ca, minVersion: 'TLSv1.3' });
  return { certificate, key, ca, clientCas, context };
}
