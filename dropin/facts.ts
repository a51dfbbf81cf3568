// Looks at the node, without changing anything, for the preflight.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { usedKubeconfig } from './checks-underway.ts';
import type { Files } from './files.ts';
import type { Host } from './host.ts';
import { readKubeletConf, type KubeletConf } from './kubelet-conf.ts';
import { hubPorts, kubeadm, ours, prefix } from './places.ts';
import { isKubeProxy, type Pod } from './pods.ts';
import type { NodeFacts } from './preflight.ts';

/** Files that show another distribution of Kubernetes. */
const distributions: readonly (readonly [file: string, name: string])[] = [
  ['/var/lib/rancher/k3s/agent', 'k3s'],
  ['/etc/systemd/system/k3s-agent.service', 'k3s'],
  ['/etc/systemd/system/k3s.service', 'k3s'],
  ['/var/lib/rancher/rke2/agent', 'RKE2'],
  ['/var/lib/k0s', 'k0s'],
  ['/etc/systemd/system/k0sworker.service', 'k0s'],
  ['/var/snap/microk8s', 'MicroK8s'],
];

export interface Archive {
  readonly folder: string;
  readonly version: string;
  readonly architecture: string;
  /** Form of the hub's store that this version writes, and up to which it reads one. */
  readonly storeFormat: number;
  /** Files that are not what the manifest says, or not there. */
  readonly damaged: readonly string[];
}

/** The archive that holds this program: `script` is in its lib/. Undefined for a checkout. */
export function ownArchive(script: string): Archive | undefined {
  const folder = path.dirname(path.dirname(script));
  const file = path.join(folder, 'manifest.json');
  if (!existsSync(file)) return undefined;
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as {
    name?: string;
    version?: string;
    architecture?: string;
    storeFormat?: number;
    files?: Record<string, string>;
  };
  const { name, version, architecture, storeFormat = 1, files = {} } = manifest;
  if (name !== 'holdfast' || version === undefined || architecture === undefined) return undefined;
  // It is going to be the name of a folder.
  if (!/^[0-9A-Za-z][0-9A-Za-z.+-]*$/.test(version)) return undefined;
  const damaged = Object.entries(files).filter(([inside, digest]) => digestOf(path.join(folder, inside)) !== digest);
  return { folder, version, architecture, storeFormat, damaged: damaged.map(([inside]) => inside) };
}

function digestOf(file: string): string | undefined {
  if (!existsSync(file)) return undefined;
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

/** kubeadm's kubelet.conf, or why it cannot be used. */
export function kubeletConf(text: string | undefined): KubeletConf | { problem: string } {
  if (text === undefined)
    return { problem: `${kubeadm.kubeconfig} is not there: this is not a node of kubeadm, or it has not joined` };
  try {
    return readKubeletConf(text, (file) => readFileSync(file, 'utf8'));
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}

export const podsUnknown = "the API server cannot be asked for this node's pods";

export interface FactParts {
  readonly host: Host;
  readonly files: Files;
  readonly archive: Archive | undefined;
  readonly conf: KubeletConf | { readonly problem: string };
  /** This node's pods, as the cloud has them; undefined when it cannot be asked. */
  readonly pods: readonly Pod[] | undefined;
}

export async function nodeFacts({ host, files, archive, conf, pods }: FactParts): Promise<NodeFacts> {
  const exists = async (file: string): Promise<boolean> => (await files.stat(file)) !== undefined;
  const otherDistributions = [];
  for (const [file, name] of distributions) if (await exists(file)) otherDistributions.push({ name, file });
  const strayFiles = [];
  for (const file of [ours.unitFile, ours.dropIn, ours.settings, ours.kubeconfig, `${ours.data}/store`])
    if (await exists(file)) strayFiles.push(file);
  // The archive may have been unpacked where it is going to be.
  if ((await exists(prefix)) && archive?.folder.startsWith(`${prefix}/`) !== true) strayFiles.push(prefix);
  const hasSystemd = await exists('/run/systemd/system');
  const unit = hasSystemd ? await host.units.state(kubeadm.kubeletUnit) : { loaded: false, active: false };
  return {
    ...(await host.machine(hubPorts.map(([port]) => port))),
    archive,
    otherDistributions,
    hasSystemd,
    isControlPlane: await exists(kubeadm.apiServerManifest),
    kubelet: 'problem' in conf ? conf : kubeletFacts(conf),
    kubeletUnit: unit,
    usedKubeconfig: hasSystemd ? await usedKubeconfig(host) : undefined,
    node:
      'problem' in conf ? conf : pods === undefined ? { problem: podsUnknown } : await nodeState(host, conf.nodeName),
    mayReadKeys: await mayReadKeys(host),
    kubeProxyPods: (pods ?? []).filter(isKubeProxy).length,
    strayFiles,
  };
}

function kubeletFacts({ kubeconfig, nodeName }: KubeletConf): NodeFacts['kubelet'] {
  const { clientCertificate, server } = kubeconfig;
  const certificateFile =
    clientCertificate !== undefined && 'file' in clientCertificate ? clientCertificate.file : undefined;
  return { server, nodeName, certificateFile };
}

async function nodeState(host: Host, nodeName: string): Promise<NodeFacts['node']> {
  try {
    const { status, body } = await host.cloud.request({ method: 'GET', path: `/api/v1/nodes/${nodeName}` });
    if (status !== 200) return { problem: `the API server answers ${status} for this node` };
    const node = JSON.parse(body.toString('utf8')) as {
      status?: { nodeInfo?: { kubeletVersion?: string }; conditions?: { type: string; status: string }[] };
    };
    return {
      ready: node.status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') ?? false,
      kubeletVersion: node.status?.nodeInfo?.kubeletVersion ?? '',
    };
  } catch (error) {
    return { problem: `the API server cannot be asked: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** As the node itself: reading the key set is what config/rbac/node.yaml allows. */
async function mayReadKeys(host: Host): Promise<boolean> {
  const answer = await host.cloud
    .request({ method: 'GET', path: '/openid/v1/jwks', accept: '*/*' })
    .catch(() => undefined);
  return answer?.status === 200;
}
