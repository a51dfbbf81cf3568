// The sending side of a connection: frames in order, bodies as fast as both windows and the socket take them, streams in turn.
import type { TLSSocket } from 'node:tls';
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
  readonly #waiting = new Set<Outgoing>();
  #window = defaultWindowBytes;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on('drain', () => this.#flush());
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
    if (body.length > most || this.#waiting.size > 0 || this.#socket.writableLength > maxSocketBytes) return false;
    const [bytes, at] = headerFrames(out.id, block, false, frameHeadBytes + body.length);
    body.copy(bytes, putFrameHead(bytes, at, body.length, FrameType.data, Flag.endStream, out.id));
    this.#spend(out, body.length);
    this.#socket.write(bytes, done);
    return true;
  }

  /** Sends what `out` holds, as far as it may now; the rest follows by itself. */
  pump(out: Outgoing): void {
    this.#socket.cork();
    while (this.#step(out));
    this.#socket.uncork();
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
    this.#flush();
    return true;
  }

  #flush(): void {
    this.#socket.cork();
    for (let moved = true; moved && this.#waiting.size > 0;) {
      moved = false;
      for (const out of this.#waiting) moved = this.#step(out) || moved;
    }
    this.#socket.uncork();
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
    if (bytes <= 0 || this.#socket.writableLength > maxSocketBytes) {
      this.#waiting.add(out);
      return false;
    }
    const isAll = bytes === piece.bytes.length;
    const isLast = isAll && out.pieces.length === 1 && out.end?.trailers === '';
    const head = Buffer.allocUnsafe(frameHeadBytes);
    putFrameHead(head, 0, bytes, FrameType.data, isLast ? Flag.endStream : 0, out.id);
    this.#spend(out, bytes);
    this.#socket.write(head);
    if (!isAll) {
      this.#socket.write(piece.bytes.subarray(0, bytes));
      piece.bytes = piece.bytes.subarray(bytes);
      return true;
    }
    out.pieces.shift();
    const ended = isLast ? out.end?.done : undefined;
    if (isLast) out.end = undefined;
    this.#socket.write(piece.bytes, () => {
      piece.done?.();
      ended?.();
    });
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
      this.#socket.write(head, end.done);
    }
  }

  #write(frames: Buffer, done?: () => void): void {
    if (this.#socket.writableLength > maxBacklogBytes) this.#socket.destroy();
    else this.#socket.write(frames, done);
  }

  #spend(out: Outgoing, bytes: number): void {
    out.window -= bytes;
    this.#window -= bytes;
  }
}
