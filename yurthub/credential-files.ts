// The credentials as files: what a kubeconfig carries inside itself is written beside the store, mode 0600, so that all
// parts read credentials in one way.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { PemSource } from '../kube/kubeconfig.ts';
import { SettingsError } from '../runtime/errors.ts';
import type { NodeSettings } from './settings.ts';

export interface UpstreamFiles {
  readonly certificateAuthorityFile: string;
  readonly clientCertificateFile: string;
  readonly clientKeyFile: string;
  readonly clientCAFile: string;
}

/** Throws SettingsError for a credential that a node cannot have: a hub without a certificate would serve nobody. */
export async function upstreamFiles(settings: NodeSettings): Promise<UpstreamFiles> {
  const { credential, dataDir } = settings;
  if (credential.kind !== 'certificate')
    throw new SettingsError([
      'kubeconfig: the user has a token; the hub needs the client certificate of a node (or of a person, to try it out): set clientCertificateFile and clientKeyFile',
    ]);
  const folder = path.join(dataDir, 'upstream');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return {
    certificateAuthorityFile: await fileOf(settings.certificateAuthority, path.join(folder, 'ca.crt')),
    clientCertificateFile: await fileOf(credential.certificate, path.join(folder, 'client.crt')),
    clientKeyFile: await fileOf(credential.key, path.join(folder, 'client.key')),
    clientCAFile: await fileOf(settings.clientCA, path.join(folder, 'client-ca.crt')),
  };
}

async function fileOf(source: PemSource, file: string): Promise<string> {
  if ('file' in source) return source.file;
  // A full disk must not keep a hub from starting that has all it needs.
  if ((await readFile(file, 'utf8').catch(() => '')) === source.pem) return file;
  const fresh = `${file}.new`;
  await writeFile(fresh, source.pem, { mode: 0o600 });
  await rename(fresh, file);
  return file;
}
