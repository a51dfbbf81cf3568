// The sending side of a connection: frames in order, bodies as fast as both windows and the socket take them, streams in turn.
// What a turn of the event loop sends leaves together: an event goes to many watches of one connection, and a write of its own for
// each would cost more than all the rest of it.
import { nextTick } from 'node:process';
import type { TLSSocket } from 'node:tls';
import { maxBatchBytes, type BatchBlocks } from './batch-blocks.ts';
import {
  defaultWindowBytes,
  Flag,
  frameHeadBytes,
  FrameType,
  headerFrames,
  maxFrameBytes,
  maxWindowBytes,
  putFrameHead,
} from './frames.ts';

/** What a stream has to send, and how much of it it may. */
export interface Outgoing {
  readonly id: number;
  /** What the peer lets the stream send, bytes; below zero when it has taken some back. */
  window: number;
  readonly pieces: Piece[];
  /** What comes behind the pieces: a block of trailers, or '' for none; undefined while more pieces may come. */
  end: { readonly trailers: string; readonly done: () => void } | undefined;
}

interface Piece {
  bytes: Buffer;
  readonly done: (() => void) | undefined;
}

/** The socket holds no more than this of bodies; the rest waits in its streams. */
const maxSocketBytes = 1 << 20;
/** Frames that no window holds back: only a peer that goes on asking and reads nothing leaves so much of them. */
const maxBacklogBytes = 8 << 20;
const nothing = Buffer.alloc(0);

export class Sender {
  readonly #socket: TLSSocket;
  readonly #blocks: BatchBlocks;
  readonly #waiting = new Set<Outgoing>();
  #window = defaultWindowBytes;
  /** Of this turn, in order. */
  #batch: Buffer[] = [];
  #batchBytes = 0;
  #dones: (() => void)[] = [];
  #flushesSoon = false;
  readonly #onTurnEnd = (): void => {
    this.#flushesSoon = false;
    this.flush();
  };

  constructor(socket: TLSSocket, blocks: BatchBlocks) {
    this.#socket = socket;
    this.#blocks = blocks;
    socket.on('drain', () => this.#serveWaiting());
  }

  /** A frame that no window holds back. A peer that leaves too many of these unread loses the connection. */
  control(frame: Buffer): void {
    this.#write(frame);
  }

  head(id: number, block: string, endStream: boolean, done?: () => void): void {
    this.#write(headerFrames(id, block, endStream, 0)[0], done);
  }

  /** Head and body in one write if the windows let it be: true then. */
  whole(out: Outgoing, block: string, body: Buffer, done: () => void): boolean {
    const most = Math.min(maxFrameBytes, out.window, this.#window);
    if (body.length > most || this.#waiting.size > 0 || this.#unsentBytes > maxSocketBytes) return false;
    const [bytes, at] = headerFrames(out.id, block, false, frameHeadBytes + body.length);
    body.copy(bytes, putFrameHead(bytes, at, body.length, FrameType.data, Flag.endStream, out.id));
    this.#spend(out, body.length);
    // Most answers are alone in their turn.
    if (this.#batch.length === 0) this.#socket.write(bytes, done);
    else this.#put(bytes, done);
    return true;
  }

  /** Sends what `out` holds, as far as it may now; the rest follows by itself. */
  pump(out: Outgoing): void {
    while (this.#step(out));
  }

  /** The stream is gone. */
  forget(out: Outgoing): void {
    this.#waiting.delete(out);
    out.pieces.length = 0;
    out.end = undefined;
  }

  /** False when the window would become too large (RFC 9113 6.9.1). */
  grow(bytes: number): boolean {
    this.#window += bytes;
    if (this.#window > maxWindowBytes) return false;
    this.#serveWaiting();
    return true;
  }

  /** Gives all that may be sent to the socket. */
  flush(): void {
    if (this.#batch.length === 0) return;
    const [batch, bytes, dones] = [this.#batch, this.#batchBytes, this.#dones];
    this.#batch = [];
    this.#batchBytes = 0;
    this.#dones = [];
    const [first = nothing] = batch;
    if (batch.length === 1) {
      this.#socket.write(first, dones[0]);
      return;
    }
    const block = this.#blocks.join(batch, bytes);
    this.#socket.write(block, () => {
      this.#blocks.giveBack(block);
      for (const done of dones) done();
    });
  }

  get #unsentBytes(): number {
    return this.#socket.writableLength + this.#batchBytes;
  }

  #serveWaiting(): void {
    for (let moved = true; moved && this.#waiting.size > 0;) {
      moved = false;
      for (const out of this.#waiting) moved = this.#step(out) || moved;
    }
  }

  /** One frame; false when there is nothing to send, or it has to wait. */
  #step(out: Outgoing): boolean {
    const piece = out.pieces[0];
    if (piece === undefined) {
      this.#waiting.delete(out);
      this.#finish(out);
      return false;
    }
    const bytes = Math.min(piece.bytes.length, maxFrameBytes, out.window, this.#window);
    if (bytes <= 0 || this.#unsentBytes > maxSocketBytes) {
      this.#waiting.add(out);
      return false;
    }
    const isAll = bytes === piece.bytes.length;
    const isLast = isAll && out.pieces.length === 1 && out.end?.trailers === '';
    const head = Buffer.allocUnsafe(frameHeadBytes);
    putFrameHead(head, 0, bytes, FrameType.data, isLast ? Flag.endStream : 0, out.id);
    this.#spend(out, bytes);
    this.#put(head);
    if (!isAll) {
      this.#put(piece.bytes.subarray(0, bytes));
      piece.bytes = piece.bytes.subarray(bytes);
      return true;
    }
    out.pieces.shift();
    const ended = isLast ? out.end?.done : undefined;
    if (isLast) out.end = undefined;
    const { done } = piece;
    const bothDone = (): void => {
      done?.();
      ended?.();
    };
    this.#put(piece.bytes, ended === undefined ? done : bothDone);
    return true;
  }

  #finish(out: Outgoing): void {
    const { end } = out;
    if (end === undefined) return;
    out.end = undefined;
    if (end.trailers !== '') this.head(out.id, end.trailers, true, end.done);
    else {
      const head = Buffer.allocUnsafe(frameHeadBytes);
      putFrameHead(head, 0, nothing.length, FrameType.data, Flag.endStream, out.id);
      this.#put(head, end.done);
    }
  }

  #write(frames: Buffer, done?: () => void): void {
    if (this.#unsentBytes > maxBacklogBytes) this.#socket.destroy();
    else this.#put(frames, done);
  }

  #put(bytes: Buffer, done?: () => void): void {
    this.#batch.push(bytes);
    this.#batchBytes += bytes.length;
    if (done !== undefined) this.#dones.push(done);
    if (this.#batchBytes >= maxBatchBytes) this.flush();
    else if (!this.#flushesSoon) {
      this.#flushesSoon = true;
      nextTick(this.#onTurnEnd);
    }
  }

  #spend(out: Outgoing, bytes: number): void {
    out.window -= bytes;
    this.#window -= bytes;
  }
}
