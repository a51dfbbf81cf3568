// One request to the API server: within the rate, by a deadline, counted, and with its refusal as an error. What is asked and what an
// answer holds is api.ts's.
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import { delay, type Clock } from '../../runtime/clock.ts';
import { LinkedAbort } from '../../runtime/linked-abort.ts';
import type { Access } from './access.ts';
import { ApiError, ApiUnreachableError } from './errors.ts';
import type { ApiOutcome, ApiVerb, MachineryMetrics } from './metrics.ts';
import { TokenBucket, type Rate } from './token-bucket.ts';

export interface TransportParts {
  readonly access: Access;
  readonly clock: Clock;
  readonly metrics: MachineryMetrics;
}

export interface TransportSettings {
  /** Of requests, watches apart. */
  readonly rate: Rate;
  readonly userAgent: string;
}

export interface ApiRequest {
  readonly verb: ApiVerb;
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
}

const requestTimeoutMs = 30_000;

/** Every method rejects with ApiError when it is refused, and with ApiUnreachableError when no whole answer comes in time. */
export class Transport {
  readonly #parts: TransportParts;
  readonly #settings: TransportSettings;
  readonly #bucket: TokenBucket;

  constructor(parts: TransportParts, settings: TransportSettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#bucket = new TokenBucket(parts.clock, settings.rate);
  }

  /** The answer as JSON, which has to be whole within 30 s. */
  async json<T>(request: ApiRequest, signal: AbortSignal): Promise<T> {
    return await this.answered(request, async (response) => parseBody(request, await bodyOf(response)) as T, signal);
  }

  /** What `read` makes of the answer's body, which has to be whole within 30 s. */
  async answered<T>(
    request: ApiRequest,
    read: (response: IncomingMessage) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { clock } = this.#parts;
    const waitMs = this.#bucket.take();
    if (waitMs > 0) await delay(clock, waitMs, signal);
    signal.throwIfAborted();
    using deadline = new LinkedAbort(signal);
    const timer = clock.after(requestTimeoutMs, () =>
      deadline.abort(new ApiUnreachableError(`${describe(request)}: no answer within ${requestTimeoutMs} ms`)),
    );
    try {
      return await this.#counted(request, async () => {
        const response = await this.#open(request, requestTimeoutMs, deadline.signal);
        return await read(response).catch((error: unknown) => {
          throw unreachable(request, error, deadline.signal);
        });
      });
    } finally {
      timer.cancel();
    }
  }

  /** An answer that goes on: its body is broken off when nothing comes for `silenceMs`. Who reads it destroys it. */
  async stream(request: ApiRequest, silenceMs: number, signal: AbortSignal): Promise<IncomingMessage> {
    return await this.#counted(request, () => this.#open(request, silenceMs, signal));
  }

  async #counted<T>(request: ApiRequest, action: () => Promise<T>): Promise<T> {
    let outcome: ApiOutcome = 'ok';
    try {
      return await action();
    } catch (error) {
      outcome = outcomeOf(error);
      throw error;
    } finally {
      this.#parts.metrics.apiRequests.inc({ verb: request.verb, outcome });
    }
  }

  /** A response with a good status; another is read and thrown. */
  async #open(request: ApiRequest, silenceMs: number, signal: AbortSignal): Promise<IncomingMessage> {
    const { server, agent, tls, headers } = await this.#parts.access.connection();
    signal.throwIfAborted();
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = https.request(
        `${server.replace(/\/$/, '')}${request.path}`,
        {
          method: request.method,
          agent,
          signal,
          timeout: silenceMs,
          ...tls,
          headers: {
            'user-agent': this.#settings.userAgent,
            accept: request.accept ?? 'application/json',
            // The length as well: Node.js gives a DELETE none, and its body would be the beginning of the next request.
            ...(body === undefined
              ? {}
              : {
                  'content-type': request.contentType ?? 'application/json',
                  'content-length': Buffer.byteLength(body).toString(),
                }),
            ...headers,
          },
        },
        resolve,
      );
      // Also while the body is read: the response is then destroyed with the error.
      sent.on('timeout', () => sent.destroy(new Error(`nothing for ${silenceMs} ms`)));
      sent.on('error', (error) => reject(unreachable(request, error, signal)));
      sent.end(body);
    });
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    const text = await bodyOf(response).catch(() => '');
    throw refusal(request, status, text, response.headers['retry-after']);
  }
}

function describe({ method, path }: ApiRequest): string {
  return `${method} ${path.split('?')[0]}`;
}

/** The error of a request that broke, or the reason of whoever aborted it. */
export function unreachable(request: ApiRequest, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof ApiUnreachableError) return error;
  return new ApiUnreachableError(`${describe(request)}: ${(error as Error).message}`, error);
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function parseBody(request: ApiRequest, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ApiUnreachableError(`${describe(request)}: the answer is no JSON`, error);
  }
}

function refusal(request: ApiRequest, status: number, text: string, retryAfter: string | undefined): ApiError {
  let message = '';
  let reason = '';
  try {
    ({ message = '', reason = '' } = JSON.parse(text) as { message?: string; reason?: string });
  } catch {
    // A load balancer's page, not a Status: the code says enough.
  }
  const seconds = Number(retryAfter);
  const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined;
  return new ApiError(`${describe(request)}: ${status} ${message}`.trim(), status, reason, retryAfterMs);
}

function outcomeOf(error: unknown): ApiOutcome {
  if (!(error instanceof ApiError)) return 'unreachable';
  if (error.status === 409) return 'conflict';
  return error.status < 500 ? 'refused' : 'failed';
}
