// One request and its answer, the same over HTTP/1.1 and HTTP/2: what the two transports give and take.
import type { Headers, Lane } from '../types.ts';

/** A request as it goes out. The transport leaves out headers that belong to one connection. */
export interface Outgoing {
  readonly method: string;
  readonly target: string;
  readonly headers: Headers;
  readonly body: Buffer | AsyncIterable<Buffer> | undefined;
  readonly lane: Lane;
}

/** Whether a chunk is the receiver's, or good only until the call returns: who keeps it copies it. */
export type ChunkHold = 'given' | 'lent';

/** Receives one answer. After `end`, `fail` or an abort nothing more is called. */
export interface AnswerSink {
  interim(statusCode: number, headers: Headers): void;
  head(statusCode: number, headers: Headers): void;
  /** False stops the flow until `resume`; what is under way comes all the same. */
  data(chunk: Buffer, hold: ChunkHold): boolean;
  end(trailers: Headers | undefined): void;
  fail(failure: ExchangeFailure): void;
}

/** How an exchange broke. `sent`: the request may have reached the API server. */
export interface ExchangeFailure {
  readonly error: Error;
  readonly sent: boolean;
  /** The connection had carried requests before: it may have been stale, and a GET may be tried on another. */
  readonly reused: boolean;
}

export interface Exchange {
  /** Gives the exchange up: upstream sees it at once, the sink hears nothing more. */
  abort(): void;
  resume(): void;
}
