// A request of a known service account. What is served of it from a view ends early when the account is denied that.
import type { Readable } from 'node:stream';
import type { RequestInfo } from '../../kube/request-info.ts';
import { LinkedAbort } from '../../runtime/linked-abort.ts';
import type { Headers, HubRequest, Identity, Presence } from '../types.ts';

export class AccountRequest implements HubRequest, Disposable {
  readonly identity: Identity;
  /** The client itself: what is passed through is between it and the API server. */
  readonly client?: Presence;
  readonly #inner: HubRequest;
  readonly #ending: LinkedAbort;

  constructor(inner: HubRequest, identity: Identity) {
    this.identity = identity;
    this.#inner = inner;
    if (inner.client !== undefined) this.client = inner.client;
    this.#ending = new LinkedAbort(inner.signal);
  }

  get method(): string {
    return this.#inner.method;
  }
  get target(): string {
    return this.#inner.target;
  }
  get headers(): Headers {
    return this.#inner.headers;
  }
  get info(): RequestInfo {
    return this.#inner.info;
  }
  get body(): Readable | null {
    return this.#inner.body;
  }
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  async readBody(maxBytes: number): Promise<Buffer> {
    return await this.#inner.readBody(maxBytes);
  }

  end(): void {
    this.#ending.abort();
  }

  [Symbol.dispose](): void {
    this.#ending[Symbol.dispose]();
  }
}
