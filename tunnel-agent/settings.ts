// The settings of `holdfast tunnel-agent`: the table, and what follows from it and from a kubeconfig.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseKubeconfig, type Kubeconfig, type PemSource } from '../kube/kubeconfig.ts';
import { SettingsError } from '../runtime/errors.ts';
import type { RawSettings, SettingsOf, SettingsSchema } from '../runtime/settings.ts';
import { readSettings } from '../runtime/settings.ts';
import type { CredentialSources } from '../tunnel/credential-files.ts';
import { formatTarget } from '../tunnel/target.ts';
import { parseTargetRule, type TargetRule } from '../tunnel/target-rules.ts';
import { windowSettings } from '../tunnel/window-settings.ts';
import { parseProxy, type HttpProxy } from './http-proxy.ts';

export const agentSettingsSchema = {
  servers: {
    type: 'endpoints',
    default: [],
    doc: 'Tunnel servers. A name with several addresses means them all; servers tell of further ones.',
  },
  kubeconfig: {
    type: 'file',
    doc: 'Kubeconfig that gives certificateFile, keyFile and serverCAFile where they are not set; usually /etc/kubernetes/kubelet.conf.',
  },
  certificateFile: { type: 'file', doc: "The kubelet's client certificate (PEM). Read again when it changes." },
  keyFile: { type: 'file', doc: 'Its private key (PEM). Read again when it changes.' },
  serverCAFile: {
    type: 'file',
    doc: 'CA that signed the certificates of tunnel servers (PEM). Default: the CA of the cluster, from kubeconfig.',
  },
  serverName: {
    type: 'text',
    doc: 'Name or address that the certificates of tunnel servers must carry. Default: the host of each.',
  },
  nodeName: { type: 'text', doc: 'Name of this node. Default: from the certificate (system:node:NAME).' },
  kubeletAddress: {
    type: 'address',
    default: '127.0.0.1:10250',
    doc: 'Where the kubelet of this node listens. Its host is dialled for whatever names this node.',
  },
  allowPorts: { type: 'ports', default: [], doc: 'Further ports of this node that the tunnel may reach.' },
  podNetworks: {
    type: 'networks',
    default: [],
    doc: "Networks of this node's pods that the tunnel may reach, on every port. Default: spec.podCIDRs of the Node, where kubeconfig is set.",
  },
  proxy: {
    type: 'text',
    doc: 'HTTP proxy on the way to the servers, http://[USER:PASSWORD@]HOST:PORT. Default: HTTPS_PROXY of the environment.',
  },
  noProxy: {
    type: 'text',
    doc: 'Hosts that are dialled directly: names, domains, addresses, ADDRESS/BITS. Default: NO_PROXY of the environment.',
  },
  localListen: {
    type: 'address',
    doc: 'Port on loopback by which programs of this node reach the cloud and other sites through a tunnel server, usually 127.0.0.1:10263: an HTTP proxy, for CONNECT and http://. Off unless set. Every program of the node may use it.',
  },
  localTargets: {
    type: 'texts',
    default: [],
    doc: 'What may be reached by localListen: HOST:PORT, where HOST is a name, *.SUFFIX, an address or ADDRESS/BITS, and PORT may be *. The server has to allow it as well.',
  },
  dialTimeoutMs: {
    type: 'count',
    default: 5_000,
    min: 100,
    max: 120_000,
    doc: 'How long a connection to a port or pod of this node may take, in milliseconds.',
  },
  maxStreams: {
    type: 'count',
    default: 1_000,
    min: 1,
    max: 100_000,
    doc: 'Connections through this agent at a time; further ones are refused.',
  },
  ...windowSettings,
  opsListen: {
    type: 'address',
    default: '127.0.0.1:10266',
    doc: 'Address of /healthz, /readyz, /metrics and /servers (plain HTTP).',
  },
  logLevel: { type: ['error', 'warn', 'info', 'debug'], default: 'info', doc: 'Least severe level that is logged.' },
} as const satisfies SettingsSchema;

export interface AgentConfiguration extends SettingsOf<typeof agentSettingsSchema> {
  readonly nodeName: string;
  readonly credentials: CredentialSources;
  /** The API server, and who to be there; undefined without a kubeconfig. */
  readonly cluster: Kubeconfig | undefined;
  readonly httpProxy: HttpProxy | undefined;
  readonly localRules: readonly TargetRule[];
  readonly noProxy: string;
}

export interface ProxyEnvironment {
  readonly httpsProxy: string;
  readonly noProxy: string;
}

/** Throws SettingsError and KubeconfigError. */
export function readAgentSettings(flags: RawSettings, environment: ProxyEnvironment): AgentConfiguration {
  const settings = readSettings(agentSettingsSchema, flags, ({ servers }) =>
    servers.length > 0 ? [] : ['servers: not set; give --servers HOST:10262'],
  );
  const kubeconfig =
    settings.kubeconfig === undefined
      ? undefined
      : parseKubeconfig(readFileSync(settings.kubeconfig, 'utf8'), settings.kubeconfig);
  const problems: string[] = [];
  const localRules = readLocalRules(settings, problems);
  const source = (name: string, file: string | undefined, fallback: PemSource | undefined, hint: string): PemSource => {
    const found = file === undefined ? fallback : { file };
    if (found === undefined) problems.push(`${name}: not set; ${hint}`);
    return found ?? { pem: '' };
  };
  const pem = '/var/lib/kubelet/pki/kubelet-client-current.pem';
  const credentials = {
    certificate: source('certificateFile', settings.certificateFile, kubeconfig?.clientCertificate, `usually ${pem}`),
    key: source('keyFile', settings.keyFile, kubeconfig?.clientKey, `usually ${pem}, which holds both`),
    ca: source(
      'serverCAFile',
      settings.serverCAFile,
      kubeconfig?.certificateAuthority,
      'usually /etc/kubernetes/pki/ca.crt',
    ),
  };
  let nodeName = settings.nodeName ?? '';
  if (problems.length === 0) {
    const certified = certifiedNode(credentials.certificate, problems);
    if (certified === undefined) problems.push('certificateFile: is not the certificate of a node (system:node:NAME)');
    else if (nodeName !== '' && nodeName !== certified)
      problems.push(`nodeName: is ${nodeName}, but the certificate belongs to node ${certified}; remove one`);
    else nodeName = certified;
  }
  let httpProxy: HttpProxy | undefined;
  try {
    httpProxy = parseProxy(settings.proxy ?? environment.httpsProxy);
  } catch (error) {
    problems.push(`proxy: ${(error as Error).message}`);
  }
  if (problems.length > 0) throw new SettingsError(problems);
  return {
    ...settings,
    nodeName,
    credentials,
    cluster: kubeconfig,
    localRules,
    httpProxy,
    noProxy: settings.noProxy ?? environment.noProxy,
  };
}

function readLocalRules(
  { localListen, localTargets }: SettingsOf<typeof agentSettingsSchema>,
  problems: string[],
): TargetRule[] {
  // It knows nobody and asks for nothing: on another address it would be an open door for the whole site.
  if (localListen !== undefined && !/^(127\.|::1$)/.test(localListen.host))
    problems.push(`localListen: must be on loopback such as 127.0.0.1:10263, is ${formatTarget(localListen)}`);
  if (localListen !== undefined && localTargets.length === 0)
    problems.push('localTargets: not set; name what localListen may reach, such as registry.example.com:443');
  return localTargets.flatMap((text) => {
    try {
      if (text.startsWith('@')) throw new Error(`${text}: an agent knows of no pools; name hosts or networks`);
      return [parseTargetRule(text)];
    } catch (error) {
      problems.push(`localTargets: ${(error as Error).message}`);
      return [];
    }
  });
}

/** Undefined for a certificate of somebody else, or for none, which is then a problem of its own. */
function certifiedNode(source: PemSource, problems: string[]): string | undefined {
  try {
    const text = 'pem' in source ? source.pem : readFileSync(source.file, 'utf8');
    return /^CN=system:node:(.+)$/m.exec(new X509Certificate(text).subject)?.[1];
  } catch (error) {
    problems.push(`certificateFile: ${(error as Error).message}`);
    return undefined;
  }
}
