// What kubectl asks before it asks for anything: groups, versions and their resources.
import type { KubeObject } from '../kube/wire.ts';
import { groupVersionOf } from './resource-kinds.ts';
import type { ResourceKind } from './resource-kinds.ts';

const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

/** The document at a discovery path, undefined when it is none: /api, /apis, /api/v1, /apis/GROUP, /apis/GROUP/VERSION. */
export function discoveryDocument(
  path: string,
  stored: readonly ResourceKind[],
  reviews: readonly ResourceKind[],
): KubeObject | undefined {
  const kinds = [...stored, ...reviews];
  const [, root, group = '', version = '', ...rest] = path.replace(/\/$/, '').split('/');
  if (rest.length > 0) return undefined;
  if (root === 'api' && version === '') return group === '' ? coreVersions() : resourceList(kinds, reviews, '', group);
  if (root !== 'apis') return undefined;
  if (group === '') return groupList(kinds);
  if (version !== '') return resourceList(kinds, reviews, group, version);
  const found = apiGroup(kinds, group);
  return found === undefined ? undefined : { kind: 'APIGroup', apiVersion: 'v1', ...found };
}

function coreVersions(): KubeObject {
  return { kind: 'APIVersions', apiVersion: 'v1', versions: ['v1'], serverAddressByClientCIDRs: [] };
}

function groupList(kinds: readonly ResourceKind[]): KubeObject {
  const names = [...new Set(kinds.map((kind) => kind.group))].filter((group) => group !== '');
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: names.map((name) => apiGroup(kinds, name)) };
}

function apiGroup(kinds: readonly ResourceKind[], group: string): KubeObject | undefined {
  const versions = [...new Set(kinds.filter((kind) => kind.group === group).map((kind) => kind.version))].map(
    (version) => ({ groupVersion: `${group}/${version}`, version }),
  );
  return versions.length === 0 ? undefined : { name: group, versions, preferredVersion: versions[0] };
}

function resourceList(
  kinds: readonly ResourceKind[],
  reviews: readonly ResourceKind[],
  group: string,
  version: string,
): KubeObject | undefined {
  const members = kinds.filter((kind) => kind.group === group && kind.version === version);
  const first = members[0];
  if (first === undefined) return undefined;
  const resources = members.flatMap((kind) => {
    const common = { singularName: '', namespaced: kind.namespaced, kind: kind.kind };
    const main = {
      ...common,
      name: kind.resource,
      singularName: kind.kind.toLowerCase(),
      verbs: reviews.includes(kind) ? ['create'] : verbs,
      ...(kind.shortNames.length > 0 ? { shortNames: kind.shortNames } : {}),
      ...(kind.categories.length > 0 ? { categories: kind.categories } : {}),
    };
    const status = kind.statusSubresource
      ? [{ ...common, name: `${kind.resource}/status`, verbs: ['get', 'patch', 'update'] }]
      : [];
    const token =
      kind.resource === 'serviceaccounts'
        ? [
            {
              name: 'serviceaccounts/token',
              singularName: '',
              namespaced: true,
              group: 'authentication.k8s.io',
              version: 'v1',
              kind: 'TokenRequest',
              verbs: ['create'],
            },
          ]
        : [];
    return [main, ...status, ...token];
  });
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: groupVersionOf(first), resources };
}
