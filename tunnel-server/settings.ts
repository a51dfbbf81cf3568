// The settings of `holdfast tunnel-server`: the table, and what follows from it and from a kubeconfig.
import { readFileSync } from 'node:fs';
import { SelectorError } from '../kube/errors.ts';
import { parseKubeconfig, type Kubeconfig } from '../kube/kubeconfig.ts';
import { parseLabelSelector, type LabelRequirement } from '../kube/selectors/label-selector.ts';
import { SettingsError } from '../runtime/errors.ts';
import { readSettings, type RawSettings, type SettingsOf, type SettingsSchema } from '../runtime/settings.ts';
import { formatTarget } from '../tunnel/target.ts';
import { windowSettings } from '../tunnel/window-settings.ts';
import { parseOutgoingRule, type OutgoingRule } from './outgoing-policy.ts';

export const serverSettingsSchema = {
  listen: {
    type: 'address',
    default: '0.0.0.0:10262',
    doc: 'Where agents come in (TLS 1.3 with client certificates).',
  },
  certificateFile: { type: 'file', doc: 'Serving certificate of this server (PEM). Read again when it changes.' },
  keyFile: { type: 'file', doc: 'Its private key (PEM). Read again when it changes.' },
  clientCAFile: {
    type: 'file',
    default: '/etc/kubernetes/pki/ca.crt',
    doc: "CA of the nodes' client certificates (PEM). Read again when it changes.",
  },
  kubeconfig: {
    type: 'file',
    doc: 'Kubeconfig to watch nodes and pods with, and to check clients of the proxy. Without it only names of connected nodes are known.',
  },
  edgeNodeSelector: {
    type: 'text',
    default: 'holdfast.dev/tunnel=true',
    doc: 'Labels of nodes that are reached through the tunnel only. Nodes that were connected once are known without.',
  },
  egressSocket: {
    type: 'file',
    default: '/run/holdfast/egress.sock',
    doc: "Unix socket for kube-apiserver's EgressSelector (HTTPConnect); mode 0600.",
  },
  egressSocketOwner: {
    type: 'text',
    doc: 'UID:GID of kube-apiserver, where it does not run as root. Default: the user of this server.',
  },
  proxyListen: {
    type: 'address',
    doc: 'CONNECT proxy over TLS for Prometheus and people, usually 0.0.0.0:10264; off unless set. Needs kubeconfig.',
  },
  maxStreamsPerClient: {
    type: 'count',
    default: 200,
    min: 1,
    max: 100_000,
    doc: 'Connections of one client of the proxy at a time.',
  },
  peers: {
    type: 'endpoints',
    default: [],
    doc: 'Further tunnel servers, of which this one tells the agents.',
  },
  hostsFile: {
    type: 'file',
    doc: 'Hosts file that gets a managed block with the names of edge nodes, for nodes/NAME/proxy; usually /etc/hosts.',
  },
  dnat: {
    type: 'boolean',
    default: false,
    doc: 'Leads connections of this host to kubelets of edge nodes through the tunnel, by nftables: for API servers whose flags may not change, and nodes whose addresses differ. Needs kubeconfig, nft and CAP_NET_ADMIN.',
  },
  kubeletPort: { type: 'count', default: 10_250, min: 1, max: 65_535, doc: 'Port of the kubelets, for dnat.' },
  outgoing: {
    type: 'texts',
    default: [],
    doc: 'What nodes may reach through this server: POOL=HOST:PORT, node/NAME=HOST:PORT, or *=HOST:PORT for every node. HOST is a name, *.SUFFIX, an address, ADDRESS/BITS or @POOL; PORT may be *.',
  },
  dialTimeoutMs: {
    type: 'count',
    default: 10_000,
    min: 500,
    max: 120_000,
    doc: 'How long making a connection may take, the part of the agent included, in milliseconds.',
  },
  maxAgents: { type: 'count', default: 10_000, min: 1, max: 1_000_000, doc: 'Connections of agents at a time.' },
  maxStreams: {
    type: 'count',
    default: 20_000,
    min: 1,
    max: 1_000_000,
    doc: 'Connections through this server at a time.',
  },
  maxStreamsPerNode: { type: 'count', default: 500, min: 1, max: 100_000, doc: 'Connections to one node at a time.' },
  drainTimeoutMs: {
    type: 'count',
    default: 20_000,
    min: 0,
    max: 3_600_000,
    doc: 'How long open connections may go on after SIGTERM, in milliseconds.',
  },
  ...windowSettings,
  opsListen: {
    type: 'address',
    default: '127.0.0.1:10265',
    doc: 'Address of /healthz, /readyz, /metrics and /nodes (plain HTTP).',
  },
  logLevel: { type: ['error', 'warn', 'info', 'debug'], default: 'info', doc: 'Least severe level that is logged.' },
} as const satisfies SettingsSchema;

export interface ServerConfiguration extends SettingsOf<typeof serverSettingsSchema> {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly edgeSelector: readonly LabelRequirement[];
  readonly cluster: Kubeconfig | undefined;
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  readonly peerText: string;
  readonly outgoingRules: readonly OutgoingRule[];
}

/** Throws SettingsError and KubeconfigError. */
export function readServerSettings(flags: RawSettings): ServerConfiguration {
  const settings = readSettings(serverSettingsSchema, flags);
  const problems: string[] = [];
  const { certificateFile = '', keyFile = '' } = settings;
  if (certificateFile === '') problems.push('certificateFile: not set; give --certificate-file, a serving certificate');
  if (keyFile === '') problems.push('keyFile: not set; give --key-file, the private key of certificateFile');
  let edgeSelector: readonly LabelRequirement[] = [];
  try {
    edgeSelector = parseLabelSelector(settings.edgeNodeSelector);
    if (edgeSelector.length === 0) problems.push('edgeNodeSelector: selects every node; name a label');
  } catch (error) {
    if (!(error instanceof SelectorError)) throw error;
    problems.push(`edgeNodeSelector: ${error.message}`);
  }
  const outgoingRules: OutgoingRule[] = [];
  for (const rule of settings.outgoing) {
    try {
      outgoingRules.push(parseOutgoingRule(rule));
    } catch (error) {
      problems.push(`outgoing: ${(error as Error).message}`);
    }
  }
  const owner = settings.egressSocketOwner === undefined ? undefined : /^(\d+):(\d+)$/.exec(settings.egressSocketOwner);
  if (owner === null) problems.push('egressSocketOwner: must be UID:GID such as 65532:65532');
  const cluster =
    settings.kubeconfig === undefined
      ? undefined
      : parseKubeconfig(readFileSync(settings.kubeconfig, 'utf8'), settings.kubeconfig);
  if (settings.hostsFile !== undefined && cluster === undefined)
    problems.push('hostsFile: needs kubeconfig, since the names come from the cluster');
  if (settings.dnat && cluster === undefined)
    problems.push('dnat: needs kubeconfig, since the addresses come from the cluster');
  if (settings.proxyListen !== undefined && cluster === undefined)
    problems.push('proxyListen: needs kubeconfig, since the API server says what clients may do');
  if (problems.length > 0) throw new SettingsError(problems);
  return {
    ...settings,
    certificateFile,
    keyFile,
    edgeSelector,
    outgoingRules,
    cluster,
    owner: owner ? { uid: Number(owner[1]), gid: Number(owner[2]) } : undefined,
    peerText: settings.peers.map(formatTarget).join(','),
  };
}
