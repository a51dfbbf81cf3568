// What people on the node may ask with the local kubeconfig, and as what it is asked: they read what the node may read, of the
// collections that are the node's own, and never Secrets. Pure. Why it is no service account: docs/decisions/0013.
import type { Readable } from 'node:stream';
import { failure, type StatusError } from '../../kube/status.ts';
import { requestInfo, type RequestInfo, type ResourceRequest } from '../../kube/request-info.ts';
import type { Headers, HubRequest, HubResponse, Identity, Presence } from '../types.ts';

export type LocalRead =
  | { readonly kind: 'refused'; readonly error: StatusError }
  /** `note`: what is left out, for the person who asked. */
  | { readonly kind: 'read'; readonly target: string; readonly note: string | undefined };

/** Reads of discovery and health, by which clients find out what there is. */
const openPaths = /^\/(?:api|apis|openapi|version|healthz|livez|readyz)(?:\/|$)/;
const objectPaths = /^\/(?:api\/[^/]+|apis\/[^/]+\/[^/]+)\/./;
const openSubresources = new Set(['', 'status', 'scale', 'log']);

export function localRead(
  request: Pick<HubRequest, 'method' | 'target' | 'headers' | 'info'>,
  nodeName: string,
): LocalRead {
  const { method, target, headers, info } = request;
  if (method !== 'GET')
    return refused(
      'this kubeconfig reads what is kept on this node and changes nothing: changes need the cloud, and a kubeconfig of your own for it',
    );
  if (Object.keys(headers).some((name) => name.startsWith('impersonate-')))
    return refused('this kubeconfig is nobody else: it cannot impersonate');
  if (!info.isResource) {
    // An object behind a path that is read in another way than as an object: /api/v1/watch/…, a name that climbs.
    if (!openPaths.test(info.path) || objectPaths.test(info.path))
      return refused(`this kubeconfig does not read ${info.path}`);
    return { kind: 'read', target, note: undefined };
  }
  if (info.group === '' && info.resource === 'secrets') return refused('this kubeconfig does not read Secrets');
  if (!openSubresources.has(info.subresource))
    return refused(`this kubeconfig does not open ${info.resource}/${info.subresource}`);
  const selector = nodesOwn(info, nodeName);
  if (selector === undefined) return { kind: 'read', target, note: undefined };
  return { kind: 'read', target: withFieldSelector(target, selector.requirement), note: selector.note };
}

/** Of some collections a node reads, and keeps, only a part. */
function nodesOwn(
  { verb, group, resource, name, query }: ResourceRequest,
  nodeName: string,
): { requirement: string; note: string } | undefined {
  if (group !== '' || name !== '' || (verb !== 'list' && verb !== 'watch')) return undefined;
  const selector = query.get('fieldSelector') ?? '';
  const asks = (field: string): boolean => selector.split(',').some((part) => part.startsWith(`${field}=`));
  switch (resource) {
    case 'pods':
      if (asks('spec.nodeName')) return undefined;
      return { requirement: `spec.nodeName=${nodeName}`, note: `only pods of node ${nodeName} are known here` };
    case 'nodes':
      if (asks('metadata.name')) return undefined;
      return { requirement: `metadata.name=${nodeName}`, note: `only node ${nodeName} is known here` };
    case 'services':
      if (asks('spec.clusterIP') || selector.includes('spec.clusterIP!=')) return undefined;
      return { requirement: 'spec.clusterIP!=None', note: 'headless services are left out here' };
    default:
      return undefined;
  }
}

function withFieldSelector(target: string, requirement: string): string {
  const at = target.indexOf('?');
  const query = new URLSearchParams(at < 0 ? '' : target.slice(at + 1));
  const before = query.get('fieldSelector') ?? '';
  query.set('fieldSelector', before === '' ? requirement : `${before},${requirement}`);
  return `${at < 0 ? target : target.slice(0, at)}?${query.toString()}`;
}

function refused(message: string): LocalRead {
  return { kind: 'refused', error: failure('Forbidden', `holdfast: ${message}`) };
}

/** A GET with another target. */
export class RedirectedRequest implements HubRequest {
  readonly target: string;
  readonly info: RequestInfo;
  readonly #inner: HubRequest;

  constructor(inner: HubRequest, target: string) {
    this.#inner = inner;
    this.target = target;
    this.info = requestInfo(inner.method, target);
  }

  get method(): string {
    return this.#inner.method;
  }
  get headers(): Headers {
    return this.#inner.headers;
  }
  get identity(): Identity {
    return this.#inner.identity;
  }
  get body(): Readable | null {
    return null;
  }
  get signal(): AbortSignal {
    return this.#inner.signal;
  }
  get client(): Presence {
    return this.#inner.client ?? { left: false, onLeave: () => () => undefined };
  }

  readBody(): Promise<Buffer> {
    return Promise.resolve(Buffer.alloc(0));
  }
}

/** An answer for a person: with a note of what is left out, which kubectl prints. */
export class LocalResponse implements HubResponse {
  readonly #inner: HubResponse;
  readonly #note: string | undefined;

  constructor(inner: HubResponse, note: string | undefined) {
    this.#inner = inner;
    this.#note = note;
  }

  get headSent(): boolean {
    return this.#inner.headSent;
  }
  get queuedBytes(): number {
    return this.#inner.queuedBytes;
  }
  interim(statusCode: number, headers: Headers): void {
    this.#inner.interim(statusCode, headers);
  }
  head(statusCode: number, headers: Headers): void {
    // kubectl would try again by itself, ten times, and the person would wait.
    const { 'retry-after': _later, warning: before = [], ...others } = headers;
    const warnings = typeof before === 'string' ? [before] : [...before];
    if (this.#note !== undefined) warnings.push(`299 holdfast "${this.#note}"`);
    this.#inner.head(statusCode, warnings.length === 0 ? others : { ...others, warning: warnings });
  }
  write(chunk: Buffer): boolean {
    return this.#inner.write(chunk);
  }
  onDrain(listener: () => void): void {
    this.#inner.onDrain(listener);
  }
  end(chunk?: Buffer, trailers?: Headers): void {
    this.#inner.end(chunk, trailers);
  }
  abort(): void {
    this.#inner.abort();
  }
}
