// Reads the settings of `holdfast node` once, at start: flags over the YAML file over the kubeconfig over defaults. Every
// problem is found before any is reported, and each names the field and the fix.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { KubeconfigError } from '../kube/errors.ts';
import { parseKubeconfig, type Kubeconfig, type PemSource } from '../kube/kubeconfig.ts';
import { SettingsError } from '../runtime/errors.ts';
import type { LogLevel } from '../runtime/log.ts';
import { collectSettings, parseServerUrl, type Endpoint, type RawSettings } from '../runtime/settings.ts';
import type { KeyFile } from './at-rest/seal.ts';
import { filtersThatNeedTrust, type FilterName } from './filters/names.ts';
import { PemReader } from './pem-reader.ts';
import { nodeSettingsSchema } from './settings-schema.ts';
import type { ServerOrder } from './uplink/server-choice.ts';

export interface NodeSettings {
  readonly nodeName: string;
  /** https origins without a trailing slash; at least one. */
  readonly apiServers: readonly string[];
  readonly apiServerOrder: ServerOrder;
  /** Undefined: the host of each URL. */
  readonly tlsServerName: string | undefined;
  readonly certificateAuthority: PemSource;
  /** What the node lane presents upstream. A token only where a kubeconfig has one and no certificate. */
  readonly credential:
    | { readonly kind: 'certificate'; readonly certificate: PemSource; readonly key: PemSource }
    | { readonly kind: 'token'; readonly token: string }
    | { readonly kind: 'tokenFile'; readonly file: string };
  readonly clientCA: PemSource;
  readonly listen: readonly Endpoint[];
  readonly manageLinkLocal: boolean;
  readonly opsListen: Endpoint;
  readonly disabledFilters: readonly FilterName[];
  readonly dataDir: string;
  readonly storeKey: KeyFile;
  readonly runDir: string;
  readonly logLevel: LogLevel;
  readonly storeMaxBytes: number;
  readonly storePendingMaxBytes: number;
  readonly eventSpoolMaxEvents: number;
  readonly maxRequestBodyBytes: number;
  readonly offlineTokenGraceSeconds: number;
  readonly accessRecheckSeconds: number;
  readonly maxConnections: number;
  readonly peers: boolean;
  readonly peerListen: Endpoint | undefined;
  readonly peerRelay: boolean;
  readonly kubeletHealthAddress: Endpoint;
  readonly tunnelConfig: string | undefined;
}

/** Throws SettingsError with every problem. `flags.config` names the YAML file. `readFile` as node:fs, for tests. */
export function readNodeSettings(
  flags: RawSettings,
  readFile: (file: string) => string = (file) => readFileSync(file, 'utf8'),
): NodeSettings {
  const { values, problems } = collectSettings(nodeSettingsSchema, flags, readFile);
  const kubeconfig = readKubeconfig(values.kubeconfig, readFile, problems);

  const apiServers = values.apiServers ?? serverOf(kubeconfig, problems);
  if (apiServers === undefined && 'apiServers' in values && values.kubeconfig === undefined)
    problems.push('apiServers: not set; give --api-servers https://HOST:6443 or --kubeconfig FILE');

  const source = (file: string | undefined, fallback: PemSource | undefined): PemSource | undefined =>
    file === undefined ? fallback : { file };
  const pems = new PemReader(readFile, problems);
  const certificateAuthority = source(values.certificateAuthorityFile, kubeconfig?.certificateAuthority);
  if (certificateAuthority === undefined) {
    if (values.kubeconfig === undefined || kubeconfig !== undefined)
      problems.push(
        'certificateAuthorityFile: not set; give --certificate-authority-file, for example /etc/kubernetes/pki/ca.crt',
      );
  } else pems.certificate('certificateAuthorityFile', certificateAuthority);
  const clientCA = source(values.clientCAFile, certificateAuthority);
  if (clientCA !== undefined && clientCA !== certificateAuthority) pems.certificate('clientCAFile', clientCA);

  const certificate = source(values.clientCertificateFile, kubeconfig?.clientCertificate);
  const key = source(values.clientKeyFile, kubeconfig?.clientKey);
  let credential: NodeSettings['credential'] | undefined;
  let nodeName = values.nodeName;
  if (certificate !== undefined && key !== undefined) {
    credential = { kind: 'certificate', certificate, key };
    const parsed = pems.pair(certificate, key);
    const certified = parsed && /^CN=system:node:(.+)$/m.exec(parsed.subject)?.[1];
    if (certified !== undefined && nodeName !== undefined && certified !== nodeName)
      problems.push(`nodeName: is ${nodeName}, but the client certificate belongs to node ${certified}; remove one`);
    nodeName ??= certified;
    if (parsed !== undefined && nodeName === undefined)
      problems.push(
        `nodeName: not set, and the client certificate is not a node's (${parsed.subject.replaceAll('\n', ', ')}); give --node-name`,
      );
  } else if (certificate !== undefined || key !== undefined) {
    const [missing, present] =
      key === undefined ? ['clientKeyFile', 'clientCertificateFile'] : ['clientCertificateFile', 'clientKeyFile'];
    problems.push(
      `${missing}: not set, but ${present} is; give both (a kubelet's .pem file may hold both: name it twice)`,
    );
  } else if (kubeconfig?.token !== undefined) {
    credential =
      'token' in kubeconfig.token
        ? { kind: 'token', token: kubeconfig.token.token }
        : { kind: 'tokenFile', file: kubeconfig.token.tokenFile };
    if (nodeName === undefined)
      problems.push('nodeName: not set, and the kubeconfig has a token only; give --node-name');
  } else if (values.kubeconfig === undefined || kubeconfig !== undefined) {
    problems.push(
      "clientCertificateFile: not set; give --client-certificate-file and --client-key-file, the kubelet's own, usually /var/lib/kubelet/pki/kubelet-client-current.pem for both",
    );
  }
  if (nodeName !== undefined && !/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(nodeName))
    problems.push(`nodeName: ${JSON.stringify(nodeName)} is no node name (lower case letters, digits, '-', '.')`);

  const twice = apiServers?.find((url, index) => apiServers.indexOf(url) !== index);
  if (twice !== undefined) problems.push(`apiServers: ${twice} is named twice; name each API server once`);
  const listen = values.listen ?? [];
  for (const url of apiServers ?? []) {
    const { hostname, port } = new URL(url);
    // The kubelet's own kubeconfig names the hub: taken for the way to the cloud, the hub would ask itself.
    if (listen.some((address) => address.host === hostname && String(address.port) === port))
      problems.push(`apiServers: ${url} is where this hub listens; name the API server itself`);
  }
  const disabledFilters = values.disabledFilters ?? [];
  const untrusted = filtersThatNeedTrust.filter((name) => !disabledFilters.includes(name));
  if (disabledFilters.includes('hub-ca') && untrusted.length > 0)
    problems.push(
      `disabledFilters: without hub-ca nobody would trust the hub that ${untrusted.join(' and ')} lead to; disable them as well`,
    );
  if (problems.length > 0) throw new SettingsError(problems);
  const { kubeconfig: _kubeconfig, ...rest } = values;
  return deepFreeze({
    listen: rest['listen'],
    manageLinkLocal: rest['manageLinkLocal'],
    opsListen: rest['opsListen'],
    disabledFilters,
    dataDir: rest['dataDir'],
    storeKey:
      rest['storeKeyFile'] === undefined
        ? { file: path.join(rest['dataDir'] as string, 'store.key'), makeIfMissing: true }
        : { file: rest['storeKeyFile'], makeIfMissing: false },
    runDir: rest['runDir'],
    logLevel: rest['logLevel'],
    storeMaxBytes: rest['storeMaxBytes'],
    storePendingMaxBytes: rest['storePendingMaxBytes'],
    eventSpoolMaxEvents: rest['eventSpoolMaxEvents'],
    maxRequestBodyBytes: rest['maxRequestBodyBytes'],
    offlineTokenGraceSeconds: rest['offlineTokenGraceSeconds'],
    accessRecheckSeconds: rest['accessRecheckSeconds'],
    maxConnections: rest['maxConnections'],
    peers: rest['peers'],
    peerListen: rest['peerListen'],
    peerRelay: rest['peerRelay'],
    tunnelConfig: rest['tunnelConfig'],
    kubeletHealthAddress: rest['kubeletHealthAddress'],
    nodeName,
    apiServers,
    apiServerOrder: rest['apiServerOrder'],
    tlsServerName: rest['tlsServerName'] ?? kubeconfig?.tlsServerName,
    certificateAuthority,
    credential,
    clientCA,
  } as NodeSettings);
}

function readKubeconfig(
  file: string | undefined,
  readFile: (file: string) => string,
  problems: string[],
): Kubeconfig | undefined {
  if (file === undefined) return undefined;
  try {
    return parseKubeconfig(readFile(file), file);
  } catch (error) {
    problems.push(error instanceof KubeconfigError ? error.message : `kubeconfig ${file}: ${(error as Error).message}`);
    return undefined;
  }
}

function serverOf(kubeconfig: Kubeconfig | undefined, problems: string[]): string[] | undefined {
  if (kubeconfig === undefined) return undefined;
  try {
    return [parseServerUrl(kubeconfig.server)];
  } catch (error) {
    problems.push(`kubeconfig: the cluster's server ${(error as Error).message}`);
    return undefined;
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) for (const child of Object.values(value)) deepFreeze(child);
  return Object.freeze(value);
}
