// The first list of a view on its way through to the client that asked for it: it gets the bytes as they come, while the
// view takes the same bytes apart and keeps them. The client need not wait for the store, and nothing is held twice.
import type { Wire } from '../../kube/wire.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Headers, HubResponse } from '../types.ts';

/** A client that reads more slowly than this lets wait is let go: the view is not its alone. */
const maxWaitMs = 10_000;
const maxQueuedBytes = 2 << 20;

export class FirstListClient {
  readonly #response: HubResponse;
  readonly #signal: AbortSignal;
  readonly #extraHeaders: Headers;
  readonly #clock: Clock;
  #drained: () => void = () => undefined;
  #state: 'waiting' | 'withdrawn' | 'sending' | 'over' = 'waiting';

  constructor(response: HubResponse, signal: AbortSignal, extraHeaders: Headers, clock: Clock) {
    this.#response = response;
    this.#signal = signal;
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

  begin(wire: Wire): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'sending';
    this.#response.head(200, {
      'content-type': wire.contentType,
      'cache-control': 'no-cache, private',
      ...this.#extraHeaders,
    });
  }

  /** Resolves when more may come. */
  async pass(chunk: Buffer): Promise<void> {
    if (this.#state !== 'sending') return;
    if (this.#response.write(chunk) || this.#response.queuedBytes <= maxQueuedBytes || this.#signal.aborted) return;
    const late = Promise.withResolvers<boolean>();
    this.#drained = () => late.resolve(false);
    const timer = this.#clock.after(maxWaitMs, () => late.resolve(true));
    if (await late.promise) this.fail();
    timer.cancel();
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
