// Hands an answer to a slow client piece by piece. Node reports progress per write only, so one write at a time and of bounded
// size is what makes "how much is queued" exact and "has the client stopped reading" decidable, for HTTP/1.1 and HTTP/2 alike.

/** The writing side of a node stream, as far as it is used here. */
export interface Sink {
  write(chunk: Buffer, done: () => void): unknown;
  end(chunk?: Buffer): unknown;
}

/** One write: 16 frames of HTTP/2. Larger pieces hide progress, smaller ones cost CPU time. */
export const maxPieceBytes = 256 * 1024;
/** Waiting chunks are joined until they are this large: below it a write costs more than a copy, above it the copy does. */
const joinedBytes = 64 * 1024;
/** `write` returns false above this. */
const highWaterBytes = 256 * 1024;
/** Drain is reported at or below this. */
const lowWaterBytes = 64 * 1024;

export class SendQueue {
  readonly #sink: Sink;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #inFlightBytes = 0;
  #needDrain = false;
  #ending: { chunk: Buffer | undefined } | undefined;
  #ended = false;
  #closed = false;
  #drainListeners: (() => void)[] = [];
  /** One for all writes: a watch lasts for thousands. */
  readonly #onWritten = (): void => this.#written();
  /** Writes that were completed; a stalled client is one that has bytes queued and for whom this does not move. */
  progress = 0;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  get queuedBytes(): number {
    return this.#waitingBytes + this.#inFlightBytes;
  }

  /** False above the high-water mark; a drain is then reported later. Does nothing after `end` or `close`. */
  write(chunk: Buffer): boolean {
    if (this.#closed || this.#ending !== undefined || chunk.length === 0) return true;
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    this.#pump();
    if (this.queuedBytes <= highWaterBytes) return true;
    this.#needDrain = true;
    return false;
  }

  end(chunk?: Buffer): void {
    if (this.#closed || this.#ending !== undefined) return;
    if (chunk !== undefined && chunk.length > maxPieceBytes) {
      this.write(chunk);
      chunk = undefined;
    }
    this.#ending = { chunk };
    this.#finish();
  }

  /** Called at every drain, until the queue is closed. */
  onDrain(listener: () => void): void {
    this.#drainListeners.push(listener);
  }

  /** Drops what is queued: the client is gone. */
  close(): void {
    this.#closed = true;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#inFlightBytes = 0;
    this.#drainListeners = [];
  }

  #pump(): void {
    if (this.#inFlightBytes > 0 || this.#closed) return;
    const piece = this.#nextPiece();
    if (piece === undefined) return;
    this.#inFlightBytes = piece.length;
    this.#sink.write(piece, this.#onWritten);
  }

  #written(): void {
    if (this.#closed) return;
    this.#inFlightBytes = 0;
    this.progress += 1;
    this.#pump();
    if (this.#needDrain && this.queuedBytes <= lowWaterBytes) {
      this.#needDrain = false;
      for (const listener of this.#drainListeners) listener();
    }
    this.#finish();
  }

  #finish(): void {
    if (this.#ending === undefined || this.#ended || this.#closed || this.#waiting.length > 0) return;
    // A write in flight needs no waiting for: the stream keeps the order.
    this.#ended = true;
    this.#sink.end(this.#ending.chunk);
  }

  /** Up to `maxPieceBytes`: a large chunk or a part of it, or several small ones joined. */
  #nextPiece(): Buffer | undefined {
    const first = this.#waiting[0];
    if (first === undefined) return undefined;
    if (first.length > maxPieceBytes) {
      this.#waiting[0] = first.subarray(maxPieceBytes);
      this.#waitingBytes -= maxPieceBytes;
      return first.subarray(0, maxPieceBytes);
    }
    let count = 0;
    let bytes = 0;
    while (
      count < this.#waiting.length &&
      bytes < joinedBytes &&
      bytes + (this.#waiting[count] as Buffer).length <= maxPieceBytes
    ) {
      bytes += (this.#waiting[count] as Buffer).length;
      count += 1;
    }
    const taken = count === this.#waiting.length ? this.#waiting : this.#waiting.slice(0, count);
    this.#waiting = count === this.#waiting.length ? [] : this.#waiting.slice(count);
    this.#waitingBytes -= bytes;
    return taken.length === 1 ? first : Buffer.concat(taken, bytes);
  }
}
