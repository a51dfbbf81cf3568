// The members of a pool as EndpointSlices: what a node may not learn from the API (it may list no Nodes), published for it by
// the controllers. Nodes and the eviction guard read the same slices, so that both compute the same observers.
import { parseDuration } from '../kube/duration.ts';
import { child, list, metadataOf, text } from '../kube/plain-object.ts';
import type { KubeObject } from '../kube/wire.ts';

export const poolsNamespace = 'holdfast-pools';
export const poolLabel = 'holdfast.dev/pool';
export const managedByLabel = 'endpointslice.kubernetes.io/managed-by';
export const managedBy = 'controllers.holdfast.dev';
/** The label on a Node that says its pool. */
export const nodePoolLabel = 'apps.openyurt.io/nodepool';
export const peerPort = 10_268;
export const membersPerSlice = 500;

export interface Member {
  readonly nodeName: string;
  /** The node's InternalIP. */
  readonly address: string;
}

export interface PoolSettings {
  /** Whether members may use each other as a way out to the API server. */
  readonly relay: boolean;
  /** Observers of each member. */
  readonly observers: number;
  /** How long pods stay on a member that is cut off; undefined where the pool does not say. */
  readonly autonomySeconds: number | undefined;
  /** In a pool of three: one member that has the uplink may condemn both others at once. */
  readonly loneWitness: boolean;
}

export const defaultPoolSettings: PoolSettings = {
  relay: true,
  observers: 5,
  autonomySeconds: undefined,
  loneWitness: false,
};

/** Annotations that carry a pool's settings, on its slices and on its NodePool. */
export const poolAnnotations = {
  relay: 'holdfast.dev/relay',
  observers: 'holdfast.dev/observers',
  autonomySeconds: 'holdfast.dev/autonomy-duration',
  loneWitness: 'holdfast.dev/lone-witness',
} as const;

export interface PoolMembership {
  readonly pool: string;
  /** By name, each once. */
  readonly members: readonly Member[];
  readonly settings: PoolSettings;
  /** What could not be read, each naming the object and the field; those parts count as absent. */
  readonly problems: readonly string[];
}

/** Whether an EndpointSlice of the namespace is one of ours: another's slice must add no member. */
export function isMembershipSlice(slice: KubeObject): boolean {
  const labels = child(metadataOf(slice), 'labels');
  return text(labels, managedByLabel) === managedBy && text(labels, poolLabel) !== '';
}

/** Every pool that has a slice. While a member moves between two slices it stands in both, and is taken once. */
export function readMembership(slices: Iterable<KubeObject>): Map<string, PoolMembership> {
  const byPool = new Map<string, KubeObject[]>();
  for (const slice of slices) {
    if (!isMembershipSlice(slice)) continue;
    const pool = text(child(metadataOf(slice), 'labels'), poolLabel);
    byPool.set(pool, [...(byPool.get(pool) ?? []), slice]);
  }
  return new Map([...byPool].map(([pool, own]) => [pool, readPool(pool, own)]));
}

function readPool(pool: string, slices: readonly KubeObject[]): PoolMembership {
  const problems: string[] = [];
  const members = new Map<string, Member>();
  const inOrder = slices.toSorted((one, other) => compare(nameOf(one), nameOf(other)));
  for (const slice of inOrder)
    for (const [index, endpoint] of list(slice, 'endpoints').entries()) {
      const nodeName = text(endpoint, 'nodeName');
      const addresses = endpoint['addresses'];
      const address: unknown = Array.isArray(addresses) ? addresses[0] : undefined;
      if (nodeName === '' || typeof address !== 'string' || address === '')
        problems.push(`endpointslice ${nameOf(slice)}: endpoints[${index}] needs a nodeName and an address`);
      else members.set(nodeName, { nodeName, address });
    }
  const annotations = child(metadataOf(inOrder[0]!), 'annotations');
  const settings = readPoolSettings(annotations, `endpointslice ${nameOf(inOrder[0]!)}`);
  return {
    pool,
    members: [...members.values()].sort((one, other) => compare(one.nodeName, other.nodeName)),
    settings: settings.settings,
    problems: [...problems, ...settings.problems],
  };
}

/** Settings from annotations; what cannot be read keeps its default and is a problem that begins with `owner`. */
export function readPoolSettings(
  annotations: KubeObject,
  owner: string,
): { readonly settings: PoolSettings; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const read = <T>(
    setting: keyof PoolSettings,
    parse: (raw: string) => T | undefined,
    fallback: T,
    must: string,
  ): T => {
    const raw = annotations[poolAnnotations[setting]];
    if (raw === undefined) return fallback;
    const value = typeof raw === 'string' ? parse(raw) : undefined;
    if (value === undefined)
      problems.push(`${owner}: annotation ${poolAnnotations[setting]} must be ${must}, is ${JSON.stringify(raw)}`);
    return value ?? fallback;
  };
  const flag = (raw: string): boolean | undefined => (raw === 'true' ? true : raw === 'false' ? false : undefined);
  const count = (raw: string): number | undefined => (/^([1-9]|10)$/.test(raw) ? Number(raw) : undefined);
  const settings: PoolSettings = {
    relay: read('relay', flag, defaultPoolSettings.relay, 'true or false'),
    observers: read('observers', count, defaultPoolSettings.observers, 'a number from 1 to 10'),
    autonomySeconds: read<number | undefined>('autonomySeconds', parseDuration, undefined, 'a duration such as 24h'),
    loneWitness: read('loneWitness', flag, defaultPoolSettings.loneWitness, 'true or false'),
  };
  return { settings, problems };
}

/**
 * The slices that a pool should have, given those that it has. A member stays in its slice, so that one that joins or leaves
 * changes one slice; a new one fills the first gap. A slice that would be empty is absent from the result, except for the
 * first of a pool without members: hubs then know that it is empty. Metadata of ours only: name, namespace, labels, annotations.
 */
export function membershipSlices(
  pool: string,
  members: readonly Member[],
  annotations: Readonly<Record<string, string>>,
  current: readonly KubeObject[],
  perSlice = membersPerSlice,
): KubeObject[] {
  const wanted = new Map(members.map((member) => [member.nodeName, member]));
  const families = new Set(members.map(({ address }) => (address.includes(':') ? 'IPv6' : 'IPv4')));
  const slices: KubeObject[] = [];
  let numbered = 0;
  for (const addressType of families.size === 0 ? ['IPv4'] : [...families].sort()) {
    const own = new Map<string, Member[]>();
    for (const slice of current.filter((each) => isMembershipSlice(each) && each['addressType'] === addressType)) {
      const kept: Member[] = [];
      for (const endpoint of list(slice, 'endpoints')) {
        const member = wanted.get(text(endpoint, 'nodeName'));
        if (member === undefined || familyOf(member) !== addressType || kept.length === perSlice) continue;
        kept.push(member);
        wanted.delete(member.nodeName);
      }
      own.set(nameOf(slice), kept);
    }
    for (const member of [...wanted.values()].filter((each) => familyOf(each) === addressType)) {
      let place = [...own.values()].find((kept) => kept.length < perSlice);
      if (place === undefined) {
        const taken = new Set([...current.map(nameOf), ...own.keys(), ...slices.map(nameOf)]);
        while (taken.has(`${pool}-${numbered}`)) numbered += 1;
        place = [];
        own.set(`${pool}-${numbered}`, place);
      }
      place.push(member);
      wanted.delete(member.nodeName);
    }
    for (const [name, kept] of own)
      if (kept.length > 0) slices.push(sliceOf(pool, name, addressType, kept, annotations));
  }
  return slices.length === 0 ? [sliceOf(pool, `${pool}-0`, 'IPv4', [], annotations)] : slices;
}

function sliceOf(
  pool: string,
  name: string,
  addressType: string,
  members: readonly Member[],
  annotations: Readonly<Record<string, string>>,
): KubeObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name,
      namespace: poolsNamespace,
      labels: { [poolLabel]: pool, [managedByLabel]: managedBy },
      annotations: { ...annotations },
    },
    addressType,
    ports: [{ name: 'peer', port: peerPort, protocol: 'TCP' }],
    endpoints: members.map(({ nodeName, address }) => ({ addresses: [address], nodeName })),
  };
}

function familyOf({ address }: Member): string {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

function nameOf(object: KubeObject): string {
  return text(metadataOf(object), 'name');
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
