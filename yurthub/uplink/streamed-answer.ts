// An answer whose body is read at the reader's pace. The API server sends a list object by object, 4 KB at a time, so the
// reader gets all that has come in one turn of the event loop as one piece: what costs time is the number of pieces. And it
// gets one piece per turn, so that other requests have theirs in between. A large answer is gathered in blocks that are used again: new
// memory for all of it would have V8 mark its whole heap several times.
import type { Headers } from '../types.ts';
import { BrokenExchange, type Answer } from './answers.ts';
import type { ChunkHold, Exchange, ExchangeFailure } from './exchange.ts';

/** Reading stops while more than this waits. */
const highWaterBytes = 256 << 10;
/** What is worked on without a pause; the size of a block. */
const maxPieceBytes = 128 << 10;
/** An answer is large beyond this. */
const largeBytes = 256 << 10;
/** One is filled while another is read and a third is on its way to a client. */
const keptBlocks = 3;

export interface StreamedReply {
  readonly statusCode: number;
  readonly headers: Headers;
  readonly body: StreamedBody;
}

/** `done` settles at the head. */
export class StreamedAnswer implements Answer<StreamedReply> {
  readonly done: Promise<StreamedReply>;
  exchange: Exchange | undefined;
  readonly broken = false;
  readonly #settle: PromiseWithResolvers<StreamedReply>;
  readonly #lost: (error: Error) => Error;
  #body: StreamedBody | undefined;

  /** `lost` makes the error that the reader gets when the connection breaks. */
  constructor(lost: (error: Error) => Error) {
    this.#lost = lost;
    this.#settle = Promise.withResolvers();
    this.done = this.#settle.promise;
  }

  interim(): void {
    // Nobody is told of it.
  }

  head(statusCode: number, headers: Headers): void {
    this.#body = new StreamedBody({
      resume: () => this.exchange?.resume(),
      abort: () => this.exchange?.abort(),
    });
    this.#settle.resolve({ statusCode, headers, body: this.#body });
  }

  data(chunk: Buffer, hold: ChunkHold): boolean {
    return this.#body?.push(chunk, hold) ?? true;
  }

  end(): void {
    this.#body?.end(undefined);
  }

  fail(failure: ExchangeFailure): void {
    if (this.#body === undefined) this.#settle.reject(new BrokenExchange(failure));
    else this.#body.end(this.#lost(failure.error));
  }

  reject(error: Error): void {
    this.#settle.reject(error);
  }
}

/** For one reader. What came before the connection broke is given to it before the error. */
export class StreamedBody implements AsyncIterableIterator<Buffer, undefined> {
  readonly #exchange: Exchange;
  readonly #closed = Promise.withResolvers<void>();
  #chunks: Buffer[] = [];
  /** Behind the chunks: a block that is being filled. */
  #block: Buffer | undefined;
  #blockBytes = 0;
  readonly #spare: Buffer[] = [];
  /** What the reader has. */
  #given: Buffer | undefined;
  #isFree: (() => boolean) | undefined;
  /** Arrived since the beginning, as far as it takes to tell whether it is large. */
  #total = 0;
  /** Not given to the reader. */
  #bytes = 0;
  #paused = false;
  /** How it ended, and whether the reader has been told. */
  #end: { readonly error: Error | undefined } | undefined;
  #over = false;
  #wake: (() => void) | undefined;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** Resolves when nothing more will be read. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /**
   * The memory of a piece may be used again when the next is asked for, if `isFree` says then that nobody else reads it. Not for watches: a
   * block for each would be a lot.
   */
  reuse(isFree: () => boolean): void {
    this.#isFree = isFree;
  }

  /** False when reading has to stop until `resume`. */
  push(chunk: Buffer, hold: ChunkHold): boolean {
    if (this.#end !== undefined) return true;
    if (hold === 'given') {
      this.#closeBlock();
      this.#chunks.push(chunk);
    } else if (this.#isFree !== undefined && this.#total > largeBytes) this.#gather(chunk);
    else {
      this.#chunks.push(Buffer.from(chunk));
      this.#total += chunk.length;
    }
    this.#bytes += chunk.length;
    this.#wake?.();
    // What was under way still comes, and does not set it going again: `resume` does.
    if (this.#bytes > highWaterBytes) this.#paused = true;
    return !this.#paused;
  }

  end(error: Error | undefined): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    this.#wake?.();
  }

  /** Gives the rest up; the reader gets `error`. */
  destroy(error: Error): void {
    if (this.#over) return;
    if (this.#end === undefined) this.#exchange.abort();
    this.#drop();
    this.#end = { error };
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<Buffer, undefined>> {
    if (this.#bytes === 0 && this.#end === undefined)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    this.#wake = undefined;
    this.#takeBack();
    // What else has come with it joins, and others have their turn.
    if (!this.#over) await new Promise((resolve) => setImmediate(resolve));
    if (this.#bytes > 0) return { done: false, value: this.#take() };
    const error = this.#over ? undefined : this.#end?.error;
    this.#finish();
    if (error !== undefined) throw error;
    return { done: true, value: undefined };
  }

  /** The reader has left. */
  return(): Promise<IteratorResult<Buffer, undefined>> {
    if (this.#end === undefined) this.#exchange.abort();
    this.#drop();
    this.#end ??= { error: undefined };
    this.#finish();
    return Promise.resolve({ done: true, value: undefined });
  }

  #gather(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      this.#block ??= this.#spare.pop() ?? Buffer.allocUnsafeSlow(maxPieceBytes);
      const copied = chunk.copy(this.#block, this.#blockBytes, at);
      at += copied;
      this.#blockBytes += copied;
      if (this.#blockBytes === maxPieceBytes) this.#closeBlock();
    }
  }

  #closeBlock(): void {
    if (this.#block === undefined) return;
    this.#chunks.push(this.#block.subarray(0, this.#blockBytes));
    this.#block = undefined;
    this.#blockBytes = 0;
  }

  #take(): Buffer {
    if (this.#chunks.length === 0) this.#closeBlock();
    let count = 0;
    let bytes = 0;
    while (count < this.#chunks.length && (count === 0 || bytes + this.#at(count).length <= maxPieceBytes))
      bytes += this.#at(count++).length;
    const taken = this.#chunks.splice(0, count);
    this.#bytes -= bytes;
    if (this.#paused && this.#bytes <= maxPieceBytes) {
      this.#paused = false;
      this.#exchange.resume();
    }
    this.#given = taken.length === 1 ? (taken[0] as Buffer) : Buffer.concat(taken, bytes);
    return this.#given;
  }

  /** The reader is done with its piece: a block may be filled again, unless somebody else still reads it. */
  #takeBack(): void {
    const buffer = this.#given?.buffer;
    this.#given = undefined;
    if (buffer?.byteLength !== maxPieceBytes || this.#spare.length >= keptBlocks || this.#isFree?.() !== true) return;
    this.#spare.push(Buffer.from(buffer));
  }

  #at(index: number): Buffer {
    return this.#chunks[index] as Buffer;
  }

  #drop(): void {
    this.#chunks = [];
    this.#block = undefined;
    this.#blockBytes = 0;
    this.#bytes = 0;
  }

  #finish(): void {
    this.#over = true;
    this.#closed.resolve();
  }
}
