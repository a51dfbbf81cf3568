// What a path of the Kubernetes API asks for, by the rules of k8s.io/apiserver/pkg/endpoints/request/requestinfo.go.

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';

/** A request for API objects: `group` is '' for core; namespace, name and subresource are '' when absent. */
export interface ResourceRequest {
  readonly isResource: true;
  readonly verb: Verb;
  readonly group: string;
  readonly version: string;
  readonly namespace: string;
  readonly resource: string;
  readonly name: string;
  readonly subresource: string;
  readonly query: URLSearchParams;
}

/** Everything else: discovery, /version, /healthz, /openapi … */
export interface NonResourceRequest {
  readonly isResource: false;
  readonly path: string;
  readonly query: URLSearchParams;
}

export type RequestInfo = ResourceRequest | NonResourceRequest;

const verbs: Record<string, Verb> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/** Shared by all requests that have none: most reads by name. */
const noQuery = new URLSearchParams();

/** Subresources of a namespace, as opposed to resources in it. */
const namespaceSubresources = new Set(['status', 'finalize']);

/**
 * `target` is path and query as they came. Throws URIError on a path that cannot be decoded: such a request is
 * refused with 400, never forwarded.
 */
export function requestInfo(method: string, target: string): RequestInfo {
  const at = target.indexOf('?');
  const path = at < 0 ? target : target.slice(0, at);
  const query = at < 0 ? noQuery : new URLSearchParams(target.slice(at + 1));
  const parts = path.split('/').slice(1);
  if (parts.at(-1) === '') parts.pop();
  const nonResource: NonResourceRequest = { isResource: false, path, query };
  const verb = verbs[method];
  if (verb === undefined) return nonResource;

  const isCore = parts[0] === 'api';
  if (!isCore && parts[0] !== 'apis') return nonResource;
  let rest = parts.slice(isCore ? 2 : 3);
  if (path.includes('%')) rest = rest.map((part) => decodeURIComponent(part));
  if (rest.length === 0 || rest.includes('') || rest.includes('.') || rest.includes('..')) return nonResource;

  const group = isCore ? '' : (parts[1] ?? '');
  const version = (isCore ? parts[1] : parts[2]) ?? '';
  let namespace = '';
  let asked = rest;
  // The deprecated prefix form /api/v1/watch/… is not ours to keep: it passes through as a path like any other.
  if (asked[0] === 'watch' || asked[0] === 'proxy') return nonResource;
  if (asked[0] === 'namespaces' && asked.length > 1) {
    namespace = asked[1] ?? '';
    if (asked.length > 2 && !namespaceSubresources.has(asked[2] ?? '')) asked = asked.slice(2);
  }
  const [resource = '', name = '', subresource = ''] = asked;
  return {
    isResource: true,
    verb: refine(verb, name, query),
    group,
    version,
    namespace,
    resource,
    name,
    subresource,
    query,
  };
}

function refine(verb: Verb, name: string, query: URLSearchParams): Verb {
  if (name !== '') return verb;
  if (verb === 'get') return isTrue(query.get('watch')) ? 'watch' : 'list';
  if (verb === 'delete') return 'deletecollection';
  return verb;
}

/** Booleans as the API server's query decoder reads them: present and not 'false' (in any case) or '0'. */
export function isTrue(value: string | null): boolean {
  return value !== null && value.toLowerCase() !== 'false' && value !== '0';
}
