// The kubeconfig for people on the node: root's alone, made anew at each start, since the hub's port and CA stand in it.
import { readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { AddressInfo } from 'node:net';
import { syncFolder, writeNewFile } from '../../runtime/durable-file.ts';

export interface LocalKubeconfig {
  readonly addresses: readonly AddressInfo[];
  readonly caCertificate: string;
  readonly client: { readonly certificate: string; readonly key: string };
}

/** In dataDir, which is root's alone as well. */
export const localKubeconfigName = 'kubectl.kubeconfig';

/** Whole or not at all; left alone when nothing has changed. Rejects with the file system's error. */
export async function writeLocalKubeconfig(file: string, given: LocalKubeconfig): Promise<void> {
  const text = localKubeconfigText(given);
  const before = await readFile(file, 'utf8').catch(() => undefined); // missing or unreadable: made anew
  if (before === text) return;
  const next = `${file}.new`;
  await rm(next, { force: true });
  await writeNewFile(next, text, 0o600);
  await rename(next, file);
  await syncFolder(path.dirname(file));
}

export function localKubeconfigText({ addresses, caCertificate, client }: LocalKubeconfig): string {
  const address = addresses.find(({ address: ip }) => ip.startsWith('127.')) ?? addresses[0];
  if (address === undefined) throw new TypeError('the hub listens nowhere');
  const host = address.address.includes(':') ? `[${address.address}]` : address.address;
  const base64 = (pem: string): string => Buffer.from(pem).toString('base64');
  // JSON is YAML.
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'holdfast',
        cluster: { server: `https://${host}:${address.port}`, 'certificate-authority-data': base64(caCertificate) },
      },
    ],
    users: [
      {
        name: 'local-reader',
        user: { 'client-certificate-data': base64(client.certificate), 'client-key-data': base64(client.key) },
      },
    ],
    contexts: [{ name: 'holdfast', context: { cluster: 'holdfast', user: 'local-reader' } }],
    'current-context': 'holdfast',
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}
