// For which service accounts views are kept, and how much of them: the default, and what the ConfigMap
// kube-system/holdfast-node changes of it. Pure.
import { child, isObject } from '../../kube/plain-object.ts';
import type { KubeObject } from '../../kube/wire.ts';
import { nearest } from '../../runtime/nearest.ts';
import type { ViewBounds } from '../views/bounds.ts';
import type { ServiceAccount } from './service-account.ts';

export interface CachingRules extends ViewBounds {
  /** `NAMESPACE:NAME`, or `NAMESPACE:*` for all of a namespace. */
  readonly accounts: readonly string[];
}

/**
 * What a node needs to give its pods a network, service addresses and names, by the names that their own installers use. A
 * list and not all of kube-system: an operator there that reads every Secret of the cluster would leave them on every
 * node.
 */
export const nodeAgents: readonly string[] = [
  'kube-system:kube-proxy',
  'kube-system:coredns',
  'kube-system:node-local-dns',
  'kube-flannel:flannel',
  'kube-system:flannel',
  'kube-system:calico-node',
  'calico-system:calico-node',
  'kube-system:canal',
  'kube-system:cilium',
  'kube-system:kube-router',
  'kube-system:antrea-agent',
  'kube-system:weave-net',
  'kube-system:kindnet',
  'kube-system:multus',
];

export const defaultRules: CachingRules = { accounts: nodeAgents, maxViews: 200, maxBytes: 64 << 20 };

const maxAccounts = 200;
const maxTextBytes = 64 << 10;
const keys = ['serviceAccounts', 'maxViews', 'maxBytes'] as const;

export type RulesRead = { readonly rules: CachingRules } | { readonly problems: readonly string[] };

/** Every problem names the key and the fix. */
export function readRules(configMap: KubeObject): RulesRead {
  const data = child(configMap, 'data');
  const problems: string[] = [];
  if (Object.keys(child(configMap, 'binaryData')).length > 0) problems.push('binaryData: is not read; use data');
  for (const key of Object.keys(data)) if (!(keys as readonly string[]).includes(key)) problems.push(unknownKey(key));
  const text = (key: (typeof keys)[number]): string | undefined =>
    typeof data[key] === 'string' ? data[key].trim() : undefined;
  const accounts = [...nodeAgents, ...readAccounts(text('serviceAccounts') ?? '', problems)];
  const maxViews = readNumber('maxViews', text('maxViews'), { min: 0, max: 1_000, units: {} }, problems);
  const units = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 };
  const maxBytes = readNumber('maxBytes', text('maxBytes'), { min: 0, max: 4 * 2 ** 30, units }, problems);
  if (problems.length > 0) return { problems };
  return {
    rules: {
      accounts: [...new Set(accounts)],
      maxViews: maxViews ?? defaultRules.maxViews,
      maxBytes: maxBytes ?? defaultRules.maxBytes,
    },
  };
}

export function isKeptFor({ accounts }: CachingRules, account: Pick<ServiceAccount, 'namespace' | 'name'>): boolean {
  const { namespace, name } = account;
  return accounts.includes(`${namespace}:${name}`) || accounts.includes(`${namespace}:*`);
}

/** What `JSON.stringify` made of rules; undefined for anything else. */
export function parseRules(text: string): CachingRules | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!isObject(value)) return undefined;
    const { accounts, maxViews, maxBytes } = value;
    if (!Array.isArray(accounts) || typeof maxViews !== 'number' || typeof maxBytes !== 'number') return undefined;
    return { accounts: accounts.map(String), maxViews, maxBytes };
  } catch {
    return undefined;
  }
}

function readAccounts(text: string, problems: string[]): string[] {
  if (Buffer.byteLength(text) > maxTextBytes) {
    problems.push(`serviceAccounts: has more than ${maxTextBytes} bytes; name whole namespaces as NAMESPACE:*`);
    return [];
  }
  const entries = text.split(/[\s,]+/).filter((entry) => entry !== '');
  if (entries.length > maxAccounts) {
    problems.push(`serviceAccounts: names ${entries.length}, at most ${maxAccounts} are allowed; use NAMESPACE:*`);
    return [];
  }
  for (const entry of entries) {
    if (/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?:([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?|\*)$/.test(entry)) continue;
    problems.push(
      `serviceAccounts: ${JSON.stringify(entry.slice(0, 100))} must be NAMESPACE:NAME or NAMESPACE:*, such as monitoring:agent`,
    );
  }
  return entries;
}

function readNumber(
  key: string,
  text: string | undefined,
  bounds: { min: number; max: number; units: Readonly<Record<string, number>> },
  problems: string[],
): number | undefined {
  if (text === undefined) return undefined;
  const match = /^(\d{1,15})([A-Za-z]*)$/.exec(text);
  const unit = match?.[2] === '' ? 1 : bounds.units[match?.[2] ?? ''];
  const value = Number(match?.[1]) * (unit ?? Number.NaN);
  if (value >= bounds.min && value <= bounds.max) return value;
  const example = Object.keys(bounds.units).length === 0 ? '100' : '67108864 or 64Mi';
  problems.push(
    `${key}: ${JSON.stringify(text.slice(0, 100))} must be a whole number from ${bounds.min} to ${bounds.max}, such as ${example}`,
  );
  return undefined;
}

function unknownKey(key: string): string {
  const meant = nearest(key, keys);
  return `${key}: is not known${meant === undefined ? '' : `; did you mean ${meant}?`} (${keys.join(', ')})`;
}
