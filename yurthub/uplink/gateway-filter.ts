// Holds back a 502, 503 or 504 until it is known whose it is. One with a Kubernetes Status is the API server's answer.
// One without is either a load balancer's, and the cloud is lost, or the answer of something behind the API server (an
// aggregated API, a proxied pod): asking the API server about itself tells which.
import type { Headers } from '../types.ts';
import type { AnswerSink, ChunkHold, Exchange, ExchangeFailure } from './exchange.ts';
import { isGatewayCode, isStatusBody, maxStatusBytes } from './kubernetes-status.ts';
import { headerValue } from '../../runtime/headers.ts';

export class GatewayError extends Error {
  readonly code = 'ERR_GATEWAY';

  constructor(statusCode: number) {
    super(`${statusCode} without a Kubernetes Status`);
    this.name = 'GatewayError';
  }
}

/** Where the answer goes; `exchange` is what brings it. */
export interface FilteredSink extends AnswerSink {
  readonly exchange: Exchange | undefined;
}

export interface AskedServer {
  /** Whether the API server itself does not answer. Never rejects. */
  confirmLoss(): Promise<boolean>;
}

/** `method` HEAD: no body can come, so nothing is held. */
export class GatewayFilter implements AnswerSink {
  readonly #sink: FilteredSink;
  readonly #server: AskedServer;
  readonly #method: string;
  #held: { statusCode: number; headers: Headers; chunks: Buffer[]; bytes: number; asked: boolean } | undefined;
  #ended: { trailers: Headers | undefined } | undefined;

  constructor(sink: FilteredSink, server: AskedServer, method: string) {
    this.#sink = sink;
    this.#server = server;
    this.#method = method;
  }

  interim(statusCode: number, headers: Headers): void {
    this.#sink.interim(statusCode, headers);
  }

  head(statusCode: number, headers: Headers): void {
    if (isGatewayCode(statusCode) && this.#method !== 'HEAD')
      this.#held = { statusCode, headers, chunks: [], bytes: 0, asked: false };
    else this.#sink.head(statusCode, headers);
  }

  data(chunk: Buffer, hold: ChunkHold): boolean {
    const held = this.#held;
    if (held === undefined) return this.#sink.data(chunk, hold);
    held.chunks.push(hold === 'given' ? chunk : Buffer.from(chunk));
    held.bytes += chunk.length;
    if (held.bytes <= maxStatusBytes) return true;
    this.#ask();
    return false;
  }

  end(trailers: Headers | undefined): void {
    const held = this.#held;
    if (held === undefined) {
      this.#sink.end(trailers);
      return;
    }
    this.#ended = { trailers };
    const encoding = headerValue(held.headers, 'content-encoding');
    if (!held.asked && isStatusBody(Buffer.concat(held.chunks), encoding)) this.#release();
    else this.#ask();
  }

  fail(failure: ExchangeFailure): void {
    this.#held = undefined;
    this.#sink.fail(failure);
  }

  /** The client has left: what is held goes nowhere. */
  abandon(): void {
    this.#held = undefined;
  }

  #ask(): void {
    const held = this.#held;
    if (held === undefined || held.asked) return;
    held.asked = true;
    void this.#server.confirmLoss().then((lost) => {
      if (this.#held === undefined) return;
      if (!lost) {
        this.#release();
        return;
      }
      this.#held = undefined;
      this.#sink.exchange?.abort();
      this.#sink.fail({ error: new GatewayError(held.statusCode), sent: true, reused: false });
    });
  }

  #release(): void {
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    this.#sink.head(held.statusCode, held.headers);
    let flowing = true;
    for (const chunk of held.chunks) flowing = this.#sink.data(chunk, 'given');
    if (this.#ended !== undefined) this.#sink.end(this.#ended.trailers);
    else if (flowing) this.#sink.exchange?.resume();
  }
}
