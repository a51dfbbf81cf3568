// The kubelet's own files: client certificate, key and cluster CA, read anew when they change. The kubelet rotates by
// renaming a symlink (kubelet-client-current.pem), which holds certificate and key in one file.
import { watch, type FSWatcher } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import path from 'node:path';
import tls from 'node:tls';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { untilAborted } from '../../runtime/until-aborted.ts';
import type { Lane } from '../types.ts';
import type { UplinkMetrics } from './metrics.ts';

export interface CredentialFiles {
  readonly certificateAuthorityFile: string;
  readonly clientCertificateFile: string;
  readonly clientKeyFile: string;
}

const pollMs = 30_000;
/** A pair that does not fit is most often half a rotation: looked at again soon. */
const retryMs = 1_000;
const settleMs = 50;

/**
 * Holds the newest usable pair; a file that is missing, unreadable or does not fit keeps what was there before. An
 * expired certificate is used all the same: whether it is still good is the API server's decision.
 */
export class Credentials {
  readonly #parts: { log: Log; clock: Clock; metrics: UplinkMetrics };
  readonly #files: CredentialFiles;
  readonly #listeners = new Set<() => void>();
  #seen = '';
  #contents = '';
  #contexts: Record<Lane, tls.SecureContext> | undefined;

  constructor(parts: { log: Log; clock: Clock; metrics: UplinkMetrics }, files: CredentialFiles) {
    this.#parts = parts;
    this.#files = files;
  }

  /** For new connections. The bearer lane has no client certificate: an API server would take it before the token. */
  context(lane: Lane): tls.SecureContext {
    // Without a readable CA only the system's roots are trusted, so that a cluster of one's own is refused, not trusted.
    this.#contexts ??= { node: tls.createSecureContext(), bearer: tls.createSecureContext() };
    return this.#contexts[lane];
  }

  /** Calls back after every change; returns the way to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Reads the files if they differ from what was read last. Resolves to whether all of them could be used. */
  async load(): Promise<boolean> {
    const { log, metrics } = this.#parts;
    try {
      const [ca, certificate, key] = await Promise.all([
        readFile(this.#files.certificateAuthorityFile, 'utf8'),
        this.#readPair(this.#files.clientCertificateFile),
        this.#readPair(this.#files.clientKeyFile),
      ]);
      const contents = JSON.stringify([ca, certificate, key]);
      if (contents === this.#contents) return true;
      this.#contexts = this.#build(ca, certificate, key);
      this.#contents = contents;
    } catch (error) {
      metrics.credentialReloads.inc({ outcome: 'failed' });
      log.warn('credential files cannot be used, the former ones stay', {
        error: error instanceof Error ? error.message : String(error),
        certificateAuthorityFile: this.#files.certificateAuthorityFile,
        clientCertificateFile: this.#files.clientCertificateFile,
        clientKeyFile: this.#files.clientKeyFile,
      });
      return false;
    }
    metrics.credentialReloads.inc({ outcome: 'changed' });
    for (const listener of this.#listeners) listener();
    return true;
  }

  /** Follows the files until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const watchers = this.#watchFolders(() => look(settleMs));
    let timer = this.#parts.clock.after(0, () => undefined);
    let looking: Promise<void> = Promise.resolve();
    let failures = 0;
    const look = (delayMs: number): void => {
      timer.cancel();
      timer = this.#parts.clock.after(delayMs, () => {
        looking = looking.then(async () => {
          const usable = await this.#reload();
          failures = usable ? 0 : failures + 1;
          if (!signal.aborted) look(usable ? pollMs : Math.min(pollMs, retryMs * 2 ** (failures - 1)));
        });
      });
    };
    look(this.#contents === '' ? retryMs : pollMs);
    await untilAborted(signal);
    timer.cancel();
    for (const watcher of watchers) watcher.close();
    await looking;
    timer.cancel();
  }

  async #reload(): Promise<boolean> {
    const seen = await Promise.all(
      Object.values(this.#files).map((file: string) =>
        stat(file, { bigint: true }).then(
          (stats) => `${stats.ino}:${stats.mtimeNs}:${stats.size}`,
          () => 'missing',
        ),
      ),
    );
    if (seen.join() === this.#seen) return true;
    const usable = await this.load();
    if (usable) this.#seen = seen.join();
    return usable;
  }

  /** undefined for a file that does not exist: a node that joins has no certificate yet, and bearers must get through. */
  async #readPair(file: string): Promise<string | undefined> {
    try {
      return await readFile(file, 'utf8');
    } catch (error) {
      if (this.#contents !== '' || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      this.#parts.log.warn('no client certificate or key yet', { file });
      return undefined;
    }
  }

  #build(ca: string, certificate: string | undefined, key: string | undefined): Record<Lane, tls.SecureContext> {
    const bearer = tls.createSecureContext({ ca });
    if (certificate === undefined || key === undefined) return { node: bearer, bearer };
    const leaf = new X509Certificate(certificate);
    if (!leaf.checkPrivateKey(createPrivateKey(key)))
      throw new Error('the client certificate and the client key do not belong together');
    const expiresMs = Date.parse(leaf.validTo);
    this.#parts.metrics.certificateExpiry.set(expiresMs / 1_000);
    const fields = { subject: leaf.subject, expires: new Date(expiresMs).toISOString() };
    if (expiresMs < this.#parts.clock.wallMs())
      this.#parts.log.warn('the client certificate has expired and is used all the same', fields);
    else this.#parts.log.info('client certificate read', fields);
    return { node: tls.createSecureContext({ ca, cert: certificate, key }), bearer };
  }

  /** Folders, not files: a watch on a file follows the inode and misses the rename. The poll covers where this fails. */
  #watchFolders(onEvent: () => void): FSWatcher[] {
    const folders = new Set(Object.values(this.#files).map((file: string) => path.dirname(file)));
    return [...folders].flatMap((folder) => {
      try {
        const watcher = watch(folder, { persistent: false }, onEvent);
        watcher.on('error', () => watcher.close());
        return [watcher];
      } catch {
        return []; // No such folder yet, or out of inotify watches: the poll is enough.
      }
    });
  }
}
