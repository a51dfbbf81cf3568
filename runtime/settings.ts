// Settings of a daemon as data: one table gives the reader, the flags and the text of --help. Flags win over the YAML
// file, and that over defaults. Every problem is found before any is reported, and each names the field and the fix.
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { SettingsError } from './errors.ts';
import { nearest } from './nearest.ts';
import { parseYaml } from './yaml.ts';

/** A host (name or address, without brackets) and a port. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

interface Types {
  text: string;
  texts: readonly string[];
  file: string;
  folder: string;
  /** IP:PORT, to listen on. */
  address: Endpoint;
  addresses: readonly Endpoint[];
  /** https origins without a trailing slash. */
  urls: readonly string[];
  /** HOST:PORT, to connect to. */
  endpoints: readonly Endpoint[];
  boolean: boolean;
  bytes: number;
  count: number;
  ports: readonly number[];
  /** ADDRESS/BITS. */
  networks: readonly string[];
}

/** A word of several, or a list of such words. */
export type SettingType = keyof Types | readonly string[] | { readonly listOf: readonly string[] };

export interface Setting {
  readonly type: SettingType;
  /** As a person would write it; undefined when the setting may be absent. */
  readonly default?: string | boolean | number | readonly (string | number)[];
  /** Bounds of a number; of a list, `min` is the least number of entries. */
  readonly min?: number;
  readonly max?: number;
  readonly doc: string;
}

export type SettingsSchema = Readonly<Record<string, Setting>>;

type ValueOf<T> = T extends keyof Types
  ? Types[T]
  : T extends readonly (infer Word)[]
    ? Word
    : T extends { readonly listOf: readonly (infer Word)[] }
      ? readonly Word[]
      : never;
/** The values that a schema reads; a setting without default may be undefined. */
export type SettingsOf<S extends SettingsSchema> = {
  readonly [K in keyof S]: S[K] extends { readonly default: unknown }
    ? ValueOf<S[K]['type']>
    : ValueOf<S[K]['type']> | undefined;
};

/** Values as they came: from flags (texts, repeated or with commas for lists) or from YAML. */
export type RawSettings = Readonly<Record<string, unknown>>;

/**
 * Reads a daemon's settings. `flags.config` names the YAML file. `judge` adds problems that concern several settings; it is
 * called only when each by itself is well. Throws SettingsError with every problem.
 */
export function readSettings<S extends SettingsSchema>(
  schema: S,
  flags: RawSettings,
  judge: (settings: SettingsOf<S>) => readonly string[] = () => [],
  readFile: (file: string) => string = (file) => readFileSync(file, 'utf8'),
): SettingsOf<S> {
  const { values, problems } = collectSettings(schema, flags, readFile);
  if (problems.length === 0) problems.push(...judge(values as SettingsOf<S>));
  if (problems.length > 0) throw new SettingsError(problems);
  return Object.freeze(values) as SettingsOf<S>;
}

/** As readSettings, for a daemon that goes on judging although some values have problems: those are not in `values`. */
export function collectSettings<S extends SettingsSchema>(
  schema: S,
  flags: RawSettings,
  readFile: (file: string) => string,
): { readonly values: Partial<SettingsOf<S>>; readonly problems: string[] } {
  const problems: string[] = [];
  const { config, ...flagValues } = flags;
  const fileValues = typeof config === 'string' ? readConfigFile(schema, config, readFile, problems) : {};
  for (const name of Object.keys(flagValues))
    if (!(name in schema)) problems.push(unknownName(schema, `--${flagName(name)}`, name));
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(schema)) {
    const raw = flagValues[name] ?? fileValues[name] ?? setting.default;
    const fromFile = flagValues[name] === undefined && fileValues[name] !== undefined;
    try {
      values[name] = raw === undefined ? undefined : parseValue(setting, raw);
    } catch (error) {
      problems.push(`${fromFile ? `${String(config)}: ${name}` : `--${flagName(name)}`}: ${(error as Error).message}`);
    }
  }
  return { values: values as Partial<SettingsOf<S>>, problems };
}

/** dialTimeoutMs -> dial-timeout-ms, serverCAFile -> server-ca-file. */
export function flagName(setting: string): string {
  return setting
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2')
    .replaceAll(/([A-Z])([A-Z][a-z])/g, '$1-$2')
    .toLowerCase();
}

/** What a value looks like in the help; undefined for a switch. */
export function valueHelp({ type }: Setting): string | undefined {
  if (typeof type === 'object') return 'listOf' in type ? 'NAME[,NAME…]' : type.join('|');
  const texts: Record<keyof Types, string | undefined> = {
    text: 'TEXT',
    texts: 'TEXT[,TEXT…]',
    file: 'FILE',
    folder: 'FOLDER',
    address: 'IP:PORT',
    addresses: 'IP:PORT[,IP:PORT…]',
    urls: 'URL[,URL…]',
    endpoints: 'HOST:PORT[,HOST:PORT…]',
    boolean: undefined,
    bytes: 'BYTES[Ki|Mi|Gi]',
    count: 'NUMBER',
    ports: 'PORT[,PORT…]',
    networks: 'ADDRESS/BITS[,…]',
  };
  return texts[type];
}

export function isRepeatable({ type }: Setting): boolean {
  if (typeof type === 'object') return 'listOf' in type;
  return ['texts', 'addresses', 'urls', 'endpoints', 'ports', 'networks'].includes(type);
}

/** Throws Error with a message that says what is expected. */
function parseValue(setting: Setting, raw: unknown): unknown {
  const { type } = setting;
  if (typeof type === 'object')
    return 'listOf' in type
      ? parseList(setting, raw).map((word) => parseChoice(type.listOf, word))
      : parseChoice(type, raw);
  switch (type) {
    case 'boolean':
      if (raw === true || raw === 'true') return true;
      if (raw === false || raw === 'false') return false;
      throw new Error(`must be true or false, is ${show(raw)}`);
    case 'bytes':
    case 'count':
      return parseNumber(setting, raw, type === 'bytes');
    case 'ports':
      return parseList(setting, raw).map((port) => parseNumber({ ...setting, min: 1, max: 65_535 }, port, false));
    case 'networks':
      return parseList(setting, raw).map(parseNetwork);
    case 'endpoints':
      return parseList(setting, raw).map(parseEndpoint);
    case 'urls':
      return parseList(setting, raw).map(parseServerUrl);
    case 'addresses':
      return parseList(setting, raw).map(parseAddress);
    case 'address':
      return parseAddress(raw);
    case 'texts':
      return parseList(setting, raw).map(parseText);
    case 'text':
    case 'file':
    case 'folder':
      return parseText(raw);
    default:
      return type satisfies never;
  }
}

function parseText(raw: unknown): string {
  if (typeof raw !== 'string' || raw === '') throw new Error(`must be a text, is ${show(raw)}`);
  return raw;
}

function parseChoice(choices: readonly string[], raw: unknown): string {
  if (typeof raw === 'string' && choices.includes(raw)) return raw;
  const guess = typeof raw === 'string' ? nearest(raw, choices) : undefined;
  throw new Error(
    `must be one of ${choices.join(', ')}, is ${show(raw)}${guess === undefined ? '' : `; did you mean ${guess}?`}`,
  );
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

/** An empty list is one, where `min` does not say otherwise: it takes a default away. */
function parseList({ min = 0 }: Setting, raw: unknown): unknown[] {
  const list = (Array.isArray(raw) ? raw : raw === '' ? [] : [raw]).flatMap((entry: unknown) =>
    typeof entry === 'string' ? entry.split(',').map((part) => part.trim()) : [entry],
  );
  if (list.length < min) throw new Error(`must be a list with at least ${min} ${min === 1 ? 'entry' : 'entries'}`);
  if (list.includes('')) throw new Error(`must be a list without empty entries, is ${show(raw)}`);
  return list;
}

/** An https origin. Throws Error with a message that says what is expected. */
export function parseServerUrl(raw: unknown): string {
  const url = typeof raw === 'string' ? URL.parse(raw) : null;
  if (url === null || url.protocol !== 'https:')
    throw new Error(`must be an https URL such as https://10.0.0.1:6443, is ${show(raw)}`);
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '')
    throw new Error(`must be a URL without path, query and user: ${url.origin}, is ${show(raw)}`);
  return url.origin;
}

function parseEndpoint(raw: unknown): Endpoint {
  const match = typeof raw === 'string' ? /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(raw) : null;
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  if (host === '' || !(port <= 65_535))
    throw new Error(`must be HOST:PORT such as tunnel.example.com:10262 or [2001:db8::1]:10262, is ${show(raw)}`);
  return { host, port };
}

function parseAddress(raw: unknown): Endpoint {
  const match = typeof raw === 'string' ? /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(raw) : null;
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  if (net.isIP(host) === 0 || !(port <= 65_535))
    throw new Error(`must be IP:PORT such as 127.0.0.1:8080, is ${show(raw)}`);
  return { host, port };
}

function parseNetwork(raw: unknown): string {
  const match = typeof raw === 'string' ? /^([0-9a-fA-F:.]+)\/(\d{1,3})$/.exec(raw) : null;
  const family = net.isIP(match?.[1] ?? '');
  if (family === 0 || Number(match?.[2]) > (family === 4 ? 32 : 128))
    throw new Error(`must be ADDRESS/BITS such as 10.244.3.0/24, is ${show(raw)}`);
  return raw as string;
}

function show(raw: unknown): string {
  return JSON.stringify(raw) ?? String(raw);
}

function readConfigFile(
  schema: SettingsSchema,
  file: string,
  readFile: (file: string) => string,
  problems: string[],
): RawSettings {
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
    if (!(name in schema)) problems.push(unknownName(schema, `${file}: ${name}`, name));
  return document as RawSettings;
}

function unknownName(schema: SettingsSchema, where: string, name: string): string {
  const guess = nearest(name, Object.keys(schema));
  return `${where}: there is no such setting${guess === undefined ? '' : `; did you mean ${guess}?`}`;
}
