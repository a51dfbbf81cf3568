// The first list of a view on its way through to the client that asked for it: it gets the bytes as they come, while the
// view takes the same bytes apart and keeps them. The client need not wait for the store, and nothing is held twice.
import type { Clock } from '../../runtime/clock.ts';
import { negotiate } from '../../kube/accept.ts';
import { headerValue } from '../../runtime/headers.ts';
import type { Headers, HubRequest, HubResponse, StreamTap } from '../types.ts';

/** A client that reads more slowly than this lets wait is let go: the view is not its alone. */
const maxWaitMs = 10_000;
const maxQueuedBytes = 2 << 20;

export class FirstListClient implements StreamTap {
  readonly #response: HubResponse;
  readonly #signal: AbortSignal;
  /** What the client takes; the answer passes through as it is, so it is asked for in the client's way. */
  readonly acceptEncoding: 'gzip' | 'identity';
  readonly #accept: string | undefined;
  readonly #extraHeaders: Headers;
  readonly #clock: Clock;
  #drained: () => void = () => undefined;
  #state: 'waiting' | 'withdrawn' | 'sending' | 'over' = 'waiting';

  constructor(request: HubRequest, response: HubResponse, extraHeaders: Headers, clock: Clock) {
    const { signal } = request;
    this.#response = response;
    this.#signal = signal;
    this.#accept = headerValue(request.headers, 'accept');
    const accepted = headerValue(request.headers, 'accept-encoding') ?? '';
    this.acceptEncoding = accepted.includes('gzip') ? 'gzip' : 'identity';
    this.#extraHeaders = extraHeaders;
    this.#clock = clock;
    response.onDrain(() => this.#drained());
    signal.addEventListener('abort', () => this.#drained(), { once: true });
  }

  /** True once the client has an answer, or the beginning of one: nobody else may answer. */
  get answered(): boolean {
    return this.#state === 'sending' || this.#state === 'over';
  }

  /** Somebody else answers. */
  withdraw(): void {
    if (this.#state === 'waiting') this.#state = 'withdrawn';
  }

  head(statusCode: number, headers: Headers): void {
    if (this.#state !== 'waiting' || statusCode !== 200) return;
    const encoding = headerValue(headers, 'content-encoding');
    const contentType = headerValue(headers, 'content-type') ?? 'application/json';
    // Views take JSON where there is no protobuf; this client may not.
    const served = contentType.includes('protobuf') ? 'protobuf' : 'json';
    const taken = negotiate(this.#accept, [served]).plain !== undefined;
    if (!taken || (encoding !== undefined && encoding !== this.acceptEncoding)) {
      this.withdraw();
      return;
    }
    this.#state = 'sending';
    this.#response.head(200, {
      'content-type': contentType,
      ...(encoding === undefined ? {} : { 'content-encoding': encoding }),
      'cache-control': 'no-cache, private',
      ...this.#extraHeaders,
    });
  }

  async chunk(chunk: Buffer): Promise<void> {
    if (this.#state !== 'sending') return;
    if (this.#response.write(chunk) || this.#response.queuedBytes <= maxQueuedBytes || this.#signal.aborted) return;
    const late = Promise.withResolvers<boolean>();
    this.#drained = () => late.resolve(false);
    const timer = this.#clock.after(maxWaitMs, () => late.resolve(true));
    if (await late.promise) this.fail();
    timer.cancel();
  }

  get settled(): boolean {
    return this.#response.queuedBytes === 0;
  }

  end(): void {
    if (this.#state !== 'sending') return;
    this.#state = 'over';
    this.#response.end();
  }

  /** The list broke off: the client must not take what it has for all of it. */
  fail(): void {
    if (this.#state !== 'sending') return;
    this.#state = 'over';
    this.#response.abort();
  }
}
