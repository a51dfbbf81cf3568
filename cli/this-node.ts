// The node that the command runs on, as parts for dropin/.
import { readFileSync, realpathSync } from 'node:fs';
import { ownArchive, type Archive } from '../dropin/facts.ts';
import { NodeFiles } from '../dropin/files.ts';
import { readKubeletConf } from '../dropin/kubelet-conf.ts';
import { HttpsApi, NodeHost, type ApiTarget } from '../dropin/node-host.ts';
import { hubUrl, kubeadm, ours } from '../dropin/places.ts';

export const nodeFiles = new NodeFiles();

/** Waits of it end when the signal aborts. */
export function nodeHost(signal: AbortSignal): NodeHost {
  return new NodeHost({ cloud: new HttpsApi(cloudTarget), hub: new HttpsApi(hubTarget) }, signal);
}

/** Of the archive that `script` is in. */
export function archiveOf(script: string): Archive | undefined {
  return ownArchive(realpathSync(script));
}

/** Undefined when kubelet.conf cannot be read, or is none. */
export function nodeName(): string | undefined {
  try {
    return kubeletConf().nodeName;
  } catch {
    return undefined; // whoever needs the name says what to do
  }
}

function kubeletConf(): ReturnType<typeof readKubeletConf> {
  return readKubeletConf(readFileSync(kubeadm.kubeconfig, 'utf8'), (file) => readFileSync(file, 'utf8'));
}

/** As kubeadm's kubelet.conf says now. */
function cloudTarget(): ApiTarget {
  const { server, tlsServerName, certificateAuthority, clientCertificate, clientKey } = kubeletConf().kubeconfig;
  if (certificateAuthority === undefined || clientCertificate === undefined || clientKey === undefined)
    throw new Error(`${kubeadm.kubeconfig} lacks a certificate authority, a client certificate or its key`);
  return { server, tlsServerName, certificateAuthority, certificate: clientCertificate, key: clientKey };
}

function hubTarget(): ApiTarget {
  return { ...cloudTarget(), server: hubUrl, tlsServerName: undefined, certificateAuthority: { file: ours.hubCa } };
}
