// One request on an HTTP/2 session, and its answer as it comes.
import type { Headers } from '../types.ts';
import { ErrorCode } from '../http2/errors.ts';
import type { Field } from '../http2/hpack-decoder.ts';
import type { Outgoing } from '../http2/sender.ts';
import { answerFields, trailerFields } from './answer-fields.ts';
import type { AnswerSink, Exchange } from './exchange.ts';

/** What a stream asks of its session. */
export interface StreamOwner {
  /** So much has been read: the peer may send it on all streams together. */
  consumed(bytes: number): void;
  /** The peer may send so much more on this stream. */
  granted(id: number, bytes: number): void;
  /** It is over; with a code the peer is told. */
  over(stream: SessionStream, reset: ErrorCode | undefined): void;
}

export class SessionStream implements Exchange {
  readonly out: Outgoing;
  readonly #owner: StreamOwner;
  readonly #sink: AnswerSink;
  readonly #windowBytes: number;
  readonly #isHead: boolean;
  /** What the peer may still send. */
  #window: number;
  /** Arrived, and not read yet. */
  #unread = 0;
  /** Read, and not given back to the stream's window. */
  #ungranted = 0;
  #paused = false;
  #headSeen = false;
  /** What the stated length leaves to come; NaN where none was stated. */
  #bytesLeft = Number.NaN;
  #over = false;

  constructor(
    out: Outgoing,
    owner: StreamOwner,
    sink: AnswerSink,
    settings: { readonly windowBytes: number; readonly method: string },
  ) {
    this.out = out;
    this.#owner = owner;
    this.#sink = sink;
    this.#windowBytes = settings.windowBytes;
    this.#window = settings.windowBytes;
    this.#isHead = settings.method === 'HEAD';
  }

  /** The head of the answer has come. */
  get answered(): boolean {
    return this.#headSeen;
  }

  abort(): void {
    this.#end(ErrorCode.cancel);
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#consume();
  }

  // What the session finds

  fields(fields: readonly Field[], endStream: boolean): void {
    if (this.#over) return;
    if (this.#headSeen) {
      const trailers = trailerFields(fields);
      if (trailers === undefined || !endStream) this.#malformed('the trailers are malformed');
      else this.#ended(trailers);
      return;
    }
    const answer = answerFields(fields);
    if (answer === undefined || (answer.statusCode < 200 && (endStream || answer.statusCode === 101))) {
      this.#malformed('the head of the answer is malformed');
      return;
    }
    const { statusCode, headers, contentLength } = answer;
    if (statusCode < 200) {
      this.#sink.interim(statusCode, headers);
      return;
    }
    this.#headSeen = true;
    const hasBody = !this.#isHead && statusCode !== 204 && statusCode !== 304;
    this.#bytesLeft = hasBody ? (contentLength ?? Number.NaN) : 0;
    this.#sink.head(statusCode, headers);
    if (endStream) this.#ended(undefined);
  }

  /** A DATA frame with so many bytes begins, padding included. False when there are more than the window lets in. */
  frame(bytes: number): boolean {
    this.#window -= bytes;
    this.#unread += bytes;
    return this.#window >= 0;
  }

  /** `bytes` hold until the call returns. */
  content(bytes: Buffer): void {
    if (this.#over) return;
    this.#bytesLeft -= bytes.length;
    if (!this.#headSeen || this.#bytesLeft < 0) {
      this.#malformed('there is more of the answer than was announced');
      return;
    }
    if (!this.#sink.data(bytes, 'lent')) this.#paused = true;
    if (!this.#paused) this.#consume();
  }

  dataEnded(): void {
    if (!this.#headSeen) this.#malformed('an answer without a head');
    else this.#ended(undefined);
  }

  /** The peer has ended the stream before the answer was complete, or the session is over. `sent`: it may have been carried out. */
  broken(error: Error, sent: boolean): void {
    this.#fail(undefined, error, sent);
  }

  #ended(trailers: Headers | undefined): void {
    if (this.#over) return;
    if (this.#bytesLeft > 0) {
      this.#malformed('the answer is shorter than was announced');
      return;
    }
    // A request whose body is not needed any more is not sent to its end.
    this.#end(this.out.pieces.length > 0 || this.out.end !== undefined ? ErrorCode.cancel : undefined);
    this.#sink.end(trailers);
  }

  #malformed(message: string): void {
    this.#fail(ErrorCode.protocol, new Error(message), true);
  }

  #fail(reset: ErrorCode | undefined, error: Error, sent: boolean): void {
    if (this.#over) return;
    this.#end(reset);
    this.#sink.fail({ error, sent, reused: true });
  }

  #end(reset: ErrorCode | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#consume();
    this.#owner.over(this, reset);
  }

  #consume(): void {
    this.#owner.consumed(this.#unread);
    this.#ungranted += this.#unread;
    this.#unread = 0;
    if (this.#over || this.#ungranted < this.#windowBytes / 2) return;
    this.#window += this.#ungranted;
    this.#owner.granted(this.out.id, this.#ungranted);
    this.#ungranted = 0;
  }
}
