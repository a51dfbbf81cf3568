// Pure decisions about one request: which transport carries it, and whether it may be tried again after a failure.
import { isTrue } from '../../kube/request-info.ts';
import type { HubRequest } from '../types.ts';
import type { ExchangeFailure, Outgoing } from './exchange.ts';

/**
 * Watches and followed logs last for minutes and share connections; everything else has one of its own for its time.
 * The old prefix form /api/v1/watch/… is a watch as well.
 */
export function transportOf(request: Pick<HubRequest, 'method' | 'target' | 'info' | 'body'>): 'unary' | 'stream' {
  if (request.method !== 'GET' || request.body !== null) return 'unary';
  const { info } = request;
  if (isTrue(info.query.get('watch'))) return 'stream';
  if (!info.isResource) return /^\/(api\/[^/]+|apis\/[^/]+\/[^/]+)\/watch\//.test(info.path) ? 'stream' : 'unary';
  return info.subresource === 'log' && isTrue(info.query.get('follow')) ? 'stream' : 'unary';
}

/** Whether a GET for a collection goes on for minutes. */
export function isWatch(target: string): boolean {
  return /[?&]watch=(1|t|true)(&|$)/i.test(target);
}

/**
 * Whether a unary request goes over the session of the watches: a small write after a pause, as the renewal of a Lease is. There it
 * costs a third of the bytes that HTTP/1.1 does, whose headers are sent in full each time, and needs no connection of its own
 * beside it. Whatever comes more often gets a connection, which costs less work; and behind a list it would have to wait.
 */
export function sharesSession(
  { method, body }: Pick<Outgoing, 'method' | 'body'>,
  lane: { readonly busy: boolean; readonly sinceLastMs: number; readonly listsUnderWay: number },
): boolean {
  if (method === 'GET' || !Buffer.isBuffer(body) || body.length > maxSharingBytes) return false;
  return !lane.busy && lane.listsUnderWay === 0 && lane.sinceLastMs >= pauseMs;
}

const maxSharingBytes = 64 << 10;
const pauseMs = 2_000;

export interface TryAgain {
  /** On a connection that has never been idle. */
  readonly fresh: boolean;
}

/**
 * What to do after an attempt without a head. Only what was certainly not carried out, or changes nothing, is sent
 * twice. `tries` counts attempts made; `bodyHeld`: there is no body or it is in memory; `moved`: another API server
 * would be asked now.
 */
export function planRetry(
  request: { readonly method: string; readonly bodyHeld: boolean; readonly maxTries: number },
  failure: ExchangeFailure,
  tries: number,
  moved: boolean,
): TryAgain | undefined {
  if (tries >= request.maxTries || (failure.sent && !request.bodyHeld)) return undefined;
  if (failure.sent && !changesNothing(request.method)) return undefined;
  if (moved) return { fresh: false };
  // The same API server again only if the connection, not the server, may be what was dead.
  return failure.reused && tries === 1 ? { fresh: true } : undefined;
}

function changesNothing(method: string): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** Whether a request may be sent a second time although the first may have been carried out. */
export function isRepeatable(request: { readonly method: string; readonly body: unknown }): boolean {
  return changesNothing(request.method) && request.body === undefined;
}

/** Whether a body of this length is read into memory first. Unknown lengths are streamed. */
export function holdsBody(contentLength: string | undefined, maxHeldBytes: number): boolean {
  return contentLength !== undefined && /^\d+$/.test(contentLength) && Number(contentLength) <= maxHeldBytes;
}

/** Methods whose requests say that they have no body, where they have none (RFC 9110 8.6). */
export function hasPayload(method: string): boolean {
  return method === 'POST' || method === 'PUT' || method === 'PATCH';
}
