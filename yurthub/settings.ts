// Reads the settings of `holdfast node` once, at start: flags over the YAML file over the kubeconfig over defaults. Every
// problem is found before any is reported, and each names the field and the fix.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { KubeconfigError } from '../kube/errors.ts';
import { parseKubeconfig, type Kubeconfig, type PemSource } from '../kube/kubeconfig.ts';
import { nearest } from '../runtime/nearest.ts';
import type { LogLevel } from '../runtime/log.ts';
import { parseYaml } from '../runtime/yaml.ts';
import { SettingsError } from './errors.ts';
import { filterNames, filtersThatNeedTrust, type FilterName } from './filters/names.ts';
import type { KeyFile } from './seal.ts';
import { flagName, nodeSettingsSchema, type Setting } from './settings-schema.ts';
import type { ServerOrder } from './uplink/server-choice.ts';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

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
  readonly listen: readonly ListenAddress[];
  readonly manageLinkLocal: boolean;
  readonly opsListen: ListenAddress;
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
}

/** Values as they came: from flags (texts, repeated or with commas for lists) or from YAML. Keys are setting names. */
export type RawSettings = Readonly<Record<string, unknown>>;

/** Throws SettingsError with every problem. `flags.config` names the YAML file. `readFile` as node:fs, for tests. */
export function readNodeSettings(
  flags: RawSettings,
  readFile: (file: string) => string = (file) => readFileSync(file, 'utf8'),
): NodeSettings {
  const problems: string[] = [];
  const { config, ...flagValues } = flags;
  const fileValues = typeof config === 'string' ? readConfigFile(config, readFile, problems) : {};
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries<Setting>(nodeSettingsSchema)) {
    const fromFlag = flagValues[name] !== undefined;
    const raw = flagValues[name] ?? fileValues[name] ?? undefined;
    const where = fromFlag
      ? `--${flagName(name)}`
      : fileValues[name] === undefined
        ? name
        : `${String(config)}: ${name}`;
    try {
      values[name] = raw === undefined ? parseDefault(setting) : parseValue(setting, raw);
    } catch (error) {
      problems.push(`${where}: ${(error as Error).message}`);
    }
  }
  const rejected = (name: string): boolean => !(name in values);
  const kubeconfig = readKubeconfig(values['kubeconfig'], readFile, problems);

  const apiServers = (values['apiServers'] as string[] | undefined) ?? serverOf(kubeconfig, problems);
  if (apiServers === undefined && !rejected('apiServers') && values['kubeconfig'] === undefined)
    problems.push('apiServers: not set; give --api-servers https://HOST:6443 or --kubeconfig FILE');

  const source = (name: string, fallback: PemSource | undefined): PemSource | undefined =>
    typeof values[name] === 'string' ? { file: values[name] } : fallback;
  const pems = new PemReader(readFile, problems);
  const certificateAuthority = source('certificateAuthorityFile', kubeconfig?.certificateAuthority);
  if (certificateAuthority === undefined) {
    if (values['kubeconfig'] === undefined || kubeconfig !== undefined)
      problems.push(
        'certificateAuthorityFile: not set; give --certificate-authority-file, for example /etc/kubernetes/pki/ca.crt',
      );
  } else pems.certificate('certificateAuthorityFile', certificateAuthority);
  const clientCA = source('clientCAFile', certificateAuthority);
  if (clientCA !== undefined && clientCA !== certificateAuthority) pems.certificate('clientCAFile', clientCA);

  const certificate = source('clientCertificateFile', kubeconfig?.clientCertificate);
  const key = source('clientKeyFile', kubeconfig?.clientKey);
  let credential: NodeSettings['credential'] | undefined;
  let nodeName = values['nodeName'] as string | undefined;
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
  } else if (values['kubeconfig'] === undefined || kubeconfig !== undefined) {
    problems.push(
      "clientCertificateFile: not set; give --client-certificate-file and --client-key-file, the kubelet's own, usually /var/lib/kubelet/pki/kubelet-client-current.pem for both",
    );
  }
  if (nodeName !== undefined && !/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(nodeName))
    problems.push(`nodeName: ${JSON.stringify(nodeName)} is no node name (lower case letters, digits, '-', '.')`);

  for (const name of Object.keys(flagValues)) {
    if (!(name in nodeSettingsSchema)) problems.push(unknownName(`--${flagName(name)}`, name));
  }
  const twice = apiServers?.find((url, index) => apiServers.indexOf(url) !== index);
  if (twice !== undefined) problems.push(`apiServers: ${twice} is named twice; name each API server once`);
  const listen = (values['listen'] as readonly ListenAddress[] | undefined) ?? [];
  for (const url of apiServers ?? []) {
    const { hostname, port } = new URL(url);
    // The kubelet's own kubeconfig names the hub: taken for the way to the cloud, the hub would ask itself.
    if (listen.some((address) => address.host === hostname && String(address.port) === port))
      problems.push(`apiServers: ${url} is where this hub listens; name the API server itself`);
  }
  const disabledFilters = (values['disabledFilters'] as readonly FilterName[] | undefined) ?? [];
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
    nodeName,
    apiServers,
    apiServerOrder: rest['apiServerOrder'],
    tlsServerName: rest['tlsServerName'] ?? kubeconfig?.tlsServerName,
    certificateAuthority,
    credential,
    clientCA,
  } as NodeSettings);
}

// One value ------------------------------------------------------------------------------------------------------

function parseDefault(setting: Setting): unknown {
  return setting.default === undefined ? undefined : parseValue(setting, setting.default);
}

/** Throws Error with a message that says what is expected. */
function parseValue(setting: Setting, raw: unknown): unknown {
  const { type } = setting;
  if (typeof type === 'object') return parseChoice(type, raw);
  switch (type) {
    case 'boolean':
      if (raw === true || raw === 'true') return true;
      if (raw === false || raw === 'false') return false;
      throw new Error(`must be true or false, is ${show(raw)}`);
    case 'bytes':
    case 'count':
      return parseNumber(setting, raw, type === 'bytes');
    case 'urls':
      return parseList(raw).map(parseServerUrl);
    case 'addresses':
      return parseList(raw).map(parseAddress);
    case 'filters':
      return parseList(raw).map(parseFilterName);
    case 'address':
      return parseAddress(raw);
    case 'string':
    case 'file':
    case 'folder':
      if (typeof raw !== 'string' || raw === '') throw new Error(`must be a text, is ${show(raw)}`);
      return raw;
    default:
      return type satisfies never;
  }
}

function parseChoice<T extends string>(choices: readonly T[], raw: unknown): T {
  const found = choices.find((choice) => choice === raw);
  if (found !== undefined) return found;
  const guess = typeof raw === 'string' ? nearest(raw, choices) : undefined;
  throw new Error(
    `must be one of ${choices.join(', ')}, is ${show(raw)}${guess === undefined ? '' : `; did you mean ${guess}?`}`,
  );
}

function parseFilterName(raw: unknown): FilterName {
  return parseChoice(filterNames, raw);
}

function parseNumber(setting: Setting, raw: unknown, suffixes: boolean): number {
  const units: Record<string, number> = suffixes ? { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 } : {};
  const match = /^(\d+)(\D*)$/.exec(String(raw));
  const unit = match?.[2] === '' ? 1 : units[match?.[2] ?? ''];
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = setting;
  if (match === null || unit === undefined)
    throw new Error(`must be a whole number${suffixes ? ' of bytes, such as 67108864 or 64Mi' : ''}, is ${show(raw)}`);
  const value = Number(match[1]) * unit;
  if (value < min || value > max) throw new Error(`must be between ${min} and ${max}, is ${show(raw)}`);
  return value;
}

function parseList(raw: unknown): unknown[] {
  const list = (Array.isArray(raw) ? raw : [raw]).flatMap((entry: unknown) =>
    typeof entry === 'string' ? entry.split(',').map((part) => part.trim()) : [entry],
  );
  if (list.length === 0 || list.includes(''))
    throw new Error(`must be a list with at least one entry, is ${show(raw)}`);
  return list;
}

function parseServerUrl(raw: unknown): string {
  const url = typeof raw === 'string' ? URL.parse(raw) : null;
  if (url === null || url.protocol !== 'https:')
    throw new Error(`must be an https URL such as https://10.0.0.1:6443, is ${show(raw)}`);
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '')
    throw new Error(`must be a URL without path, query and user: ${url.origin}, is ${show(raw)}`);
  return url.origin;
}

function parseAddress(raw: unknown): ListenAddress {
  const match = typeof raw === 'string' ? /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(raw) : null;
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  if (net.isIP(host) === 0 || !(port <= 65_535))
    throw new Error(`must be IP:PORT such as 127.0.0.1:10261, is ${show(raw)}`);
  return { host, port };
}

function show(raw: unknown): string {
  return JSON.stringify(raw) ?? String(raw);
}

// Files ------------------------------------------------------------------------------------------------------------

function readConfigFile(file: string, readFile: (file: string) => string, problems: string[]): RawSettings {
  let document: unknown;
  try {
    document = parseYaml(readFile(file)) ?? {};
  } catch (error) {
    problems.push(`--config ${file}: ${(error as Error).message}`);
    return {};
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    problems.push(`--config ${file}: must be a mapping of setting names to values`);
    return {};
  }
  for (const name of Object.keys(document))
    if (!(name in nodeSettingsSchema)) problems.push(unknownName(`${file}: ${name}`, name));
  return document as RawSettings;
}

function unknownName(where: string, name: string): string {
  const guess = nearest(name, Object.keys(nodeSettingsSchema));
  return `${where}: there is no such setting${guess === undefined ? '' : `; did you mean ${guess}?`}`;
}

function readKubeconfig(file: unknown, readFile: (file: string) => string, problems: string[]): Kubeconfig | undefined {
  if (typeof file !== 'string') return undefined;
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

class PemReader {
  readonly #readFile: (file: string) => string;
  readonly #problems: string[];

  constructor(readFile: (file: string) => string, problems: string[]) {
    this.#readFile = readFile;
    this.#problems = problems;
  }

  certificate(name: string, source: PemSource): X509Certificate | undefined {
    const text = this.#text(name, source);
    if (text === undefined) return undefined;
    try {
      return new X509Certificate(text);
    } catch {
      this.#problems.push(`${name}: ${describe(source)} holds no certificate (PEM)`);
      return undefined;
    }
  }

  /** The certificate, when it could be read and the key belongs to it. An expired one is fine: it may be offline for long. */
  pair(certificate: PemSource, key: PemSource): X509Certificate | undefined {
    const parsed = this.certificate('clientCertificateFile', certificate);
    const keyText = this.#text('clientKeyFile', key);
    if (keyText === undefined) return undefined;
    try {
      const privateKey = createPrivateKey(keyText);
      if (parsed === undefined || parsed.checkPrivateKey(privateKey)) return parsed;
      this.#problems.push(
        `clientKeyFile: the key in ${describe(key)} does not belong to the certificate in ${describe(certificate)}; give the pair`,
      );
    } catch {
      this.#problems.push(`clientKeyFile: ${describe(key)} holds no private key without passphrase (PEM)`);
    }
    return undefined;
  }

  #text(name: string, source: PemSource): string | undefined {
    if ('pem' in source) return source.pem;
    try {
      return this.#readFile(source.file);
    } catch (error) {
      this.#problems.push(`${name}: ${(error as Error).message}`);
      return undefined;
    }
  }
}

function describe(source: PemSource): string {
  return 'file' in source ? source.file : 'the kubeconfig';
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) for (const child of Object.values(value)) deepFreeze(child);
  return Object.freeze(value);
}
