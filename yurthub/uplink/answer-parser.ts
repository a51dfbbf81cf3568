// Cuts the bytes of one HTTP/1.1 connection into answers, one per request that was announced. Holds at most one head, or one
// line, or one small body; everything else is handed on as it comes.
import { HeaderMap } from '../../runtime/headers.ts';
import type { Headers } from '../types.ts';
import { AnswerSyntaxError, parseAnswerHead, parseTrailer, type AnswerHead, type FieldNames } from './answer-head.ts';

/** Called in this order: interim*, head, data*, end. */
export interface AnswerEvents {
  interim(statusCode: number, headers: Headers): void;
  head(head: AnswerHead): void;
  /** The chunk is the receiver's. */
  data(chunk: Buffer): void;
  end(trailers: Headers | undefined): void;
}

export const maxHeadBytes = 256 << 10;
const maxTrailerBytes = 64 << 10;
/** Chunk sizes with their extensions, which nobody uses. */
const maxSizeLineBytes = 1 << 10;
const maxInterims = 100;
/** A body of this length or less is handed on whole: one buffer, and one write to the client. */
const maxWholeBytes = 16 << 10;

const lineBreak = Buffer.from('\r\n');
const emptyLine = Buffer.from('\r\n\r\n');

type State = 'idle' | 'head' | 'whole' | 'length' | 'untilEnd' | 'chunkSize' | 'chunk' | 'chunkEnd' | 'trailers';

export class AnswerParser {
  readonly #events: AnswerEvents;
  readonly #names: FieldNames;
  #state: State = 'idle';
  #headOnly = false;
  #interims = 0;
  /** Where the next byte is in what `feed` was given. */
  #at = 0;
  /** The beginning of a head or line whose end has not come yet. */
  #held: Buffer | undefined;
  #heldBytes = 0;
  #whole: Buffer | undefined;
  /** Of the body or of the chunk. */
  #bytesLeft = 0;
  #trailers: Record<string, string | string[]> | undefined;
  #trailerBytes = 0;

  constructor(events: AnswerEvents, names: FieldNames) {
    this.#events = events;
    this.#names = names;
  }

  /** A request has been sent: its answer may come. The one before must have ended. */
  expect(method: string): void {
    if (this.#state !== 'idle') throw new TypeError('the answer before has not ended');
    this.#state = 'head';
    this.#headOnly = method === 'HEAD';
    this.#interims = 0;
  }

  /**
   * Takes what arrived; `bytes` may be used again afterwards. Throws AnswerSyntaxError, also for bytes that no request asked
   * for: an answer that has ended before has been reported.
   */
  feed(bytes: Buffer): void {
    this.#at = 0;
    while (this.#at < bytes.length) this.#step(bytes);
  }

  /** Nothing more will come. False when an answer is cut short. */
  finish(): boolean {
    if (this.#state === 'untilEnd') this.#end();
    return this.#state === 'idle';
  }

  #step(bytes: Buffer): void {
    switch (this.#state) {
      case 'idle':
        throw new AnswerSyntaxError('bytes that belong to no answer');
      case 'head': {
        const text = this.#until(emptyLine, bytes, maxHeadBytes);
        if (text !== undefined) this.#onHead(parseAnswerHead(text, this.#names));
        return;
      }
      case 'whole':
        this.#fill(bytes);
        return;
      case 'length':
        if (this.#pass(bytes)) this.#end();
        return;
      case 'untilEnd':
        this.#events.data(Buffer.from(this.#take(bytes, bytes.length)));
        return;
      case 'chunkSize': {
        const line = this.#until(lineBreak, bytes, maxSizeLineBytes);
        if (line !== undefined) this.#onChunkSize(line);
        return;
      }
      case 'chunk':
        if (this.#pass(bytes)) this.#state = 'chunkEnd';
        return;
      case 'chunkEnd':
        if (this.#until(lineBreak, bytes, 0) !== undefined) this.#state = 'chunkSize';
        return;
      case 'trailers': {
        const line = this.#until(lineBreak, bytes, maxTrailerBytes);
        if (line !== undefined) this.#onTrailer(line);
        return;
      }
    }
  }

  #onHead(head: AnswerHead): void {
    const { statusCode, contentLength } = head;
    if (statusCode < 200) {
      this.#interims += 1;
      // An upgrade was not asked for; and no answer is a stream of interim ones.
      if (statusCode === 101 || this.#interims > maxInterims) throw new AnswerSyntaxError(`status ${statusCode}`);
      this.#events.interim(statusCode, head.headers);
      return;
    }
    this.#events.head(head);
    if (this.#headOnly || statusCode === 204 || statusCode === 304 || contentLength === 0) {
      this.#end();
    } else if (contentLength !== undefined) {
      this.#bytesLeft = contentLength;
      this.#state = contentLength <= maxWholeBytes ? 'whole' : 'length';
      if (contentLength <= maxWholeBytes) this.#whole = Buffer.allocUnsafe(contentLength);
    } else {
      this.#state = head.chunked ? 'chunkSize' : 'untilEnd';
    }
  }

  #onChunkSize(line: string): void {
    const size = /^[0-9a-fA-F]{1,8}(?=$|[ \t;])/.exec(line)?.[0];
    if (size === undefined) throw new AnswerSyntaxError('a chunk has no size');
    this.#bytesLeft = Number.parseInt(size, 16);
    this.#state = this.#bytesLeft === 0 ? 'trailers' : 'chunk';
    this.#trailerBytes = 0;
  }

  #onTrailer(line: string): void {
    if (line === '') {
      const trailers = this.#trailers;
      this.#trailers = undefined;
      this.#end(trailers);
      return;
    }
    this.#trailerBytes += line.length;
    if (this.#trailerBytes > maxTrailerBytes) throw new AnswerSyntaxError('the trailers are too long');
    this.#trailers ??= new HeaderMap() as Record<string, string | string[]>;
    parseTrailer(line, this.#names, this.#trailers);
  }

  #fill(bytes: Buffer): void {
    const whole = this.#whole as Buffer;
    const part = this.#take(bytes, this.#bytesLeft);
    part.copy(whole, whole.length - this.#bytesLeft);
    this.#bytesLeft -= part.length;
    if (this.#bytesLeft > 0) return;
    this.#whole = undefined;
    this.#events.data(whole);
    this.#end();
  }

  /** Hands on what there is of the body or chunk; true when that was the last of it. */
  #pass(bytes: Buffer): boolean {
    const part = this.#take(bytes, this.#bytesLeft);
    this.#bytesLeft -= part.length;
    this.#events.data(Buffer.from(part));
    return this.#bytesLeft === 0;
  }

  #take(bytes: Buffer, most: number): Buffer {
    const from = this.#at;
    this.#at = Math.min(bytes.length, from + most);
    return bytes.subarray(from, this.#at);
  }

  #end(trailers?: Headers): void {
    this.#state = 'idle';
    this.#events.end(trailers);
  }

  /** The text up to `mark`, which is skipped; undefined when it has not come yet. Throws when it has more than `most` bytes. */
  #until(mark: Buffer, bytes: Buffer, most: number): string | undefined {
    if (this.#held === undefined) {
      const from = this.#at;
      const end = bytes.indexOf(mark, from);
      if (end >= 0) {
        if (end - from > most) throw new AnswerSyntaxError('a head or line is too long');
        this.#at = end + mark.length;
        return bytes.toString('latin1', from, end);
      }
    }
    const before = this.#heldBytes;
    const held = this.#hold(bytes.subarray(this.#at));
    this.#at = bytes.length;
    const end = held.indexOf(mark, Math.max(0, before - mark.length + 1));
    if ((end < 0 ? held.length - mark.length : end) > most) throw new AnswerSyntaxError('a head or line is too long');
    if (end < 0) return undefined;
    this.#at -= held.length - end - mark.length;
    this.#held = undefined;
    this.#heldBytes = 0;
    return held.toString('latin1', 0, end);
  }

  /** All that is held, with this at its end. Grows by doubling: a head may come byte by byte. */
  #hold(bytes: Buffer): Buffer {
    const size = this.#heldBytes + bytes.length;
    let held = this.#held;
    if (held === undefined || held.length < size) {
      const larger = Buffer.allocUnsafeSlow(Math.max(1 << 10, 2 * size));
      held?.copy(larger, 0, 0, this.#heldBytes);
      held = larger;
    }
    bytes.copy(held, this.#heldBytes);
    this.#held = held;
    this.#heldBytes = size;
    return held.subarray(0, size);
  }
}
