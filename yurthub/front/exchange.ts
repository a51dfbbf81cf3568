// One request and its answer, apart from the protocol: what HTTP/1.1 and HTTP/2 have in common.
import { Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { RequestInfo } from '../../kube/request-info.ts';
import { BodyTooLargeError } from '../errors.ts';
import type { Headers, HubRequest, HubResponse, Identity, Presence } from '../types.ts';
import { collect, type RequestBody } from './request-body.ts';

/** A request as the protocol gave it, before anything was judged. */
export interface Exchange {
  readonly protocol: 'h1' | 'h2';
  readonly method: string;
  /** Undefined where the protocol has none (CONNECT). */
  readonly target: string | undefined;
  readonly headers: Headers;
  readonly body: RequestBody | null;
  readonly socket: TLSSocket;
  readonly client: ClientSignal;
  readonly response: ExchangeResponse;
  /** Ends a watch as the API server does when its time is over, and tells the writer that nobody listens any more. */
  endWatch(): void;
}

export interface ExchangeResponse extends HubResponse {
  /** 0 until a head was sent. */
  readonly statusCode: number;
  /** Something that moves while the client takes bytes; undefined when nothing waits for it. */
  readonly pendingProgress: number | undefined;
}

export interface ExchangeHooks {
  /** The exchange is over; `aborted` when the client has not got a complete answer. */
  closed(aborted: boolean): void;
}

/** An AbortController that costs nothing until someone looks: most requests are over before anyone does. */
export class ClientSignal implements Presence {
  #controller: AbortController | undefined;
  #aborted = false;
  #listener: (() => void) | undefined;

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  get left(): boolean {
    return this.#aborted;
  }

  onLeave(listener: () => void): () => void {
    if (this.#listener === undefined) this.#listener = listener;
    else this.signal.addEventListener('abort', listener, { once: true });
    return () => {
      if (this.#listener === listener) this.#listener = undefined;
      else this.#controller?.signal.removeEventListener('abort', listener);
    };
  }

  abort(): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#listener?.();
    this.#controller?.abort();
  }
}

/** What the rest of the hub sees of an exchange. */
export class FrontRequest implements HubRequest {
  readonly info: RequestInfo;
  readonly identity: Identity;
  readonly headers: Headers;
  readonly #exchange: Exchange;
  #whole: Promise<Buffer> | undefined;
  #read: Buffer | undefined;

  constructor(exchange: Exchange, info: RequestInfo, identity: Identity) {
    this.#exchange = exchange;
    this.info = info;
    this.identity = identity;
    this.headers = identity.kind === 'node' ? withoutToken(exchange.headers) : exchange.headers;
  }

  get method(): string {
    return this.#exchange.method;
  }

  get target(): string {
    return this.#exchange.target ?? '';
  }

  get signal(): AbortSignal {
    return this.#exchange.client.signal;
  }

  get client(): Presence {
    return this.#exchange.client;
  }

  get body(): Readable | null {
    if (this.#exchange.body === null) return null;
    return this.#read === undefined ? this.#exchange.body : Readable.from([this.#read], { objectMode: false });
  }

  async readBody(maxBytes: number): Promise<Buffer> {
    const body = this.#exchange.body;
    if (body === null) return Buffer.alloc(0);
    if (this.#read === undefined) {
      // A stated length spares reading what will not fit.
      if (Number(this.headers['content-length'] ?? 0) > maxBytes) throw new BodyTooLargeError(maxBytes);
      this.#whole ??= collect(body, maxBytes);
      try {
        this.#read = await this.#whole;
      } finally {
        this.#whole = undefined;
      }
    }
    if (this.#read.length > maxBytes) throw new BodyTooLargeError(maxBytes);
    return this.#read;
  }
}

/** The certificate says who it is; the API server too would not look at a token beside it. */
function withoutToken(headers: Headers): Headers {
  if (headers['authorization'] === undefined) return headers;
  const { authorization: _, ...rest } = headers;
  return rest;
}

/** Statuses whose answers have no body (RFC 9110 6.4.1). */
export function isBodyless(method: string, statusCode: number): boolean {
  return method === 'HEAD' || statusCode === 204 || statusCode === 205 || statusCode === 304;
}
