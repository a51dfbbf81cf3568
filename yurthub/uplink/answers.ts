// Where answers go: to a local client, or into one buffer. Those that a reflector reads as a stream: streamed-answer.ts.
import { gunzip } from 'node:zlib';
import { BodyTooLargeError } from '../errors.ts';
import type { ForwardOutcome, Headers, HubResponse, UpstreamReply } from '../types.ts';
import { headerValue } from '../../runtime/headers.ts';
import type { AnswerSink, ChunkHold, Exchange, ExchangeFailure } from './exchange.ts';

/** A sink whose answer may also break before its head, where another attempt can still be made. */
export interface Answer<T> extends AnswerSink {
  /** Settles with the answer; rejects with BrokenExchange when there was no head, else as the kind of answer says. */
  readonly done: Promise<T>;
  exchange: Exchange | undefined;
  /** Lost after the head, and `done` resolved all the same. */
  readonly broken: boolean;
  /** Settles `done` without an answer. */
  reject(error: Error): void;
}

/** The exchange broke before its head. */
export class BrokenExchange extends Error {
  readonly failure: ExchangeFailure;

  constructor(failure: ExchangeFailure) {
    super(failure.error.message, { cause: failure.error });
    this.name = 'BrokenExchange';
    this.failure = failure;
  }
}

/** A last piece up to this size goes out together with the end: one write, one TLS record. */
const maxJoinedBytes = 64 << 10;

/** Passes an answer to a local client as it arrives; `done` resolves also when it broke after the head. */
export class ForwardAnswer implements Answer<ForwardOutcome> {
  readonly done: Promise<ForwardOutcome>;
  exchange: Exchange | undefined;
  /** Lost after the head: the client has been told by an abort. */
  broken = false;
  readonly #response: HubResponse;
  readonly #captureBytes: number;
  readonly #maxQueuedBytes: number;
  readonly #settle: PromiseWithResolvers<ForwardOutcome>;
  #statusCode = 0;
  #headers: Headers = {};
  #captured: Buffer[] | undefined;
  #capturedBytes = 0;
  /** What the stated length leaves to come; NaN where none was stated. */
  #bytesLeft = Number.NaN;
  #last: Buffer | undefined;
  #paused = false;
  #awaitsDrain = false;

  constructor(response: HubResponse, captureBytes: number, maxQueuedBytes: number) {
    this.#response = response;
    this.#captureBytes = captureBytes;
    this.#maxQueuedBytes = maxQueuedBytes;
    this.#settle = Promise.withResolvers();
    this.done = this.#settle.promise;
    if (captureBytes > 0) this.#captured = [];
  }

  interim(statusCode: number, headers: Headers): void {
    this.#response.interim(statusCode, headers);
  }

  head(statusCode: number, headers: Headers): void {
    this.#statusCode = statusCode;
    this.#headers = headers;
    const length = headers['content-length'];
    if (typeof length === 'string') this.#bytesLeft = Number(length);
    this.#response.head(statusCode, headers);
  }

  data(arrived: Buffer, hold: ChunkHold): boolean {
    const chunk = hold === 'given' ? arrived : Buffer.from(arrived);
    this.#capture(chunk);
    this.#bytesLeft -= chunk.length;
    if (this.#bytesLeft === 0 && chunk.length <= maxJoinedBytes) {
      this.#last = chunk;
      return true;
    }
    if (this.#response.write(chunk) || this.#response.queuedBytes <= this.#maxQueuedBytes) return true;
    this.#pause();
    return false;
  }

  end(trailers: Headers | undefined): void {
    this.#response.end(this.#last, trailers);
    const captured = this.#captured;
    const encoding = headerValue(this.#headers, 'content-encoding') ?? 'identity';
    if (captured === undefined || (encoding !== 'identity' && encoding !== 'gzip')) this.#resolve(undefined);
    else if (encoding === 'identity') this.#resolve(joined(captured));
    else
      gunzip(joined(captured), { maxOutputLength: this.#captureBytes }, (error, plain) =>
        // Too large when decoded, or no gzip after all: then there is no copy, and the client has what came.
        this.#resolve(error === null ? plain : undefined),
      );
  }

  fail(failure: ExchangeFailure): void {
    if (this.#statusCode === 0) {
      this.#settle.reject(new BrokenExchange(failure));
      return;
    }
    this.broken = true;
    this.#response.abort();
    this.#resolve(undefined);
  }

  reject(error: Error): void {
    this.#settle.reject(error);
  }

  #resolve(captured: Buffer | undefined): void {
    this.#settle.resolve({ statusCode: this.#statusCode, headers: this.#headers, captured });
  }

  #pause(): void {
    this.#paused = true;
    if (this.#awaitsDrain) return;
    this.#awaitsDrain = true;
    this.#response.onDrain(() => {
      if (!this.#paused) return;
      this.#paused = false;
      this.exchange?.resume();
    });
  }

  #capture(chunk: Buffer): void {
    if (this.#captured === undefined) return;
    this.#capturedBytes += chunk.length;
    if (this.#capturedBytes > this.#captureBytes) this.#captured = undefined;
    else this.#captured.push(chunk);
  }
}

function joined(chunks: readonly Buffer[]): Buffer {
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}

/** One whole small answer. `done` rejects with BodyTooLargeError beyond `maxBodyBytes`, decoded. */
export class WholeAnswer implements Answer<UpstreamReply> {
  readonly done: Promise<UpstreamReply>;
  exchange: Exchange | undefined;
  readonly broken = false;
  readonly #maxBodyBytes: number;
  readonly #settle: PromiseWithResolvers<UpstreamReply>;
  #statusCode = 0;
  #headers: Headers = {};
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(maxBodyBytes: number) {
    this.#maxBodyBytes = maxBodyBytes;
    this.#settle = Promise.withResolvers();
    this.done = this.#settle.promise;
  }

  interim(): void {
    // Nobody is told of it.
  }

  head(statusCode: number, headers: Headers): void {
    this.#statusCode = statusCode;
    this.#headers = headers;
  }

  data(chunk: Buffer, hold: ChunkHold): boolean {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#maxBodyBytes) {
      this.exchange?.abort();
      this.#settle.reject(new BodyTooLargeError(this.#maxBodyBytes));
      return false;
    }
    this.#chunks.push(hold === 'given' ? chunk : Buffer.from(chunk));
    return true;
  }

  end(): void {
    const body = Buffer.concat(this.#chunks);
    const reply = { statusCode: this.#statusCode, headers: this.#headers };
    if (headerValue(this.#headers, 'content-encoding') !== 'gzip') {
      this.#settle.resolve({ ...reply, body });
      return;
    }
    gunzip(body, { maxOutputLength: this.#maxBodyBytes }, (error, plain) => {
      if (error === null) this.#settle.resolve({ ...reply, body: plain });
      else if ('code' in error && error.code === 'ERR_BUFFER_TOO_LARGE')
        this.#settle.reject(new BodyTooLargeError(this.#maxBodyBytes));
      else this.#settle.reject(new BrokenExchange({ error, sent: true, reused: false }));
    });
  }

  fail(failure: ExchangeFailure): void {
    this.#settle.reject(new BrokenExchange(failure));
  }

  reject(error: Error): void {
    this.#settle.reject(error);
  }
}
