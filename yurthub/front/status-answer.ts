// Answers of the front's own: Kubernetes Status objects as JSON, which every client reads whatever it asked for.
import type { StatusError } from '../../kube/status.ts';
import type { HubResponse } from '../types.ts';

export function statusBody(error: StatusError): { headers: Record<string, string>; body: Buffer } {
  const body = Buffer.from(JSON.stringify(error.status));
  return {
    headers: {
      'content-type': 'application/json',
      'content-length': String(body.length),
      'cache-control': 'no-cache, private',
      ...(error.retryAfterSeconds === undefined ? {} : { 'retry-after': String(error.retryAfterSeconds) }),
    },
    body,
  };
}

export function answerStatus(response: HubResponse, error: StatusError): void {
  const { headers, body } = statusBody(error);
  response.head(error.code, headers);
  response.end(body);
}
