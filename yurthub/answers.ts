// Answers that the hub gives itself.
import { wireFor } from '../kube/wires.ts';
import { negotiate } from '../kube/accept.ts';
import { failure, type StatusError } from '../kube/status.ts';
import type { Encoding } from '../kube/wire.ts';
import { headerValue } from '../runtime/headers.ts';
import type { CloudState, Headers, HubRequest, HubResponse, UpstreamReply } from './types.ts';

/** Seconds after which a client may ask again for what is not known while the cloud is out of reach. */
const retryAfterSeconds = 5;

/** The encoding in which a client takes Statuses and plain objects; JSON when it says nothing usable. */
export function encodingFor(request: Pick<HubRequest, 'headers'>): Encoding {
  return negotiate(headerValue(request.headers, 'accept')).encoding ?? 'json';
}

export function sendStatus(request: HubRequest, response: HubResponse, error: StatusError, extra: Headers = {}): void {
  const wire = wireFor(encodingFor(request));
  const body = wire.body(error.status);
  response.head(error.code, {
    'content-type': wire.contentType,
    'content-length': String(body.length),
    'cache-control': 'no-cache, private',
    ...(error.retryAfterSeconds === undefined ? {} : { 'retry-after': String(error.retryAfterSeconds) }),
    ...extra,
  });
  response.end(body);
}

/** 503: not known here, and the cloud cannot be asked. Never 404, and never an empty list. */
export function sendUnknown(request: HubRequest, response: HubResponse): void {
  const what = `${request.method} ${request.target.split('?')[0] ?? ''}`;
  const message = `holdfast: the API server is out of reach and the answer to ${what} is not kept on this node`;
  sendStatus(request, response, failure('ServiceUnavailable', message, retryAfterSeconds));
}

/** 503: a change that only the cloud can make. */
export function sendNeedsCloud(request: HubRequest, response: HubResponse): void {
  const message = 'holdfast: the API server is out of reach; this change needs it, and nothing was changed';
  sendStatus(request, response, failure('ServiceUnavailable', message, retryAfterSeconds));
}

/** Sends on what the API server said. */
export function sendReply(response: HubResponse, reply: UpstreamReply): void {
  response.head(reply.statusCode, { ...reply.headers, 'content-length': String(reply.body.length) });
  response.end(reply.body);
}

/** For people: since when the cloud is out of reach. Programs that read lists and watches do not look at it. */
export function staleWarning(cloud: CloudState, nowMs: number): Headers {
  if (cloud.reachable) return {};
  const seconds = Math.max(0, Math.round((nowMs - cloud.sinceMs) / 1_000));
  const since = new Date(cloud.sinceMs).toISOString();
  return {
    warning: `299 holdfast "the API server is out of reach since ${since}; this answer is ${seconds} seconds old or older"`,
  };
}
