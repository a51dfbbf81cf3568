// What a client sends while its connection is being made.
import type net from 'node:net';
import type { Duplex } from 'node:stream';

/** What a client may send before it has its answer. */
const maxEarlyBytes = 64 * 1024;

/** Reads from a client during the dial, or nobody would see that it left. */
export class EarlyBytes {
  readonly #socket: net.Socket;
  readonly #chunks: Buffer[] = [];
  readonly #left: () => void;
  #bytes = 0;

  constructor(socket: net.Socket, head: Buffer, left: () => void) {
    this.#socket = socket;
    this.#left = left;
    if (head.length > 0) this.#read(head);
    (socket as Duplex).on('data', this.#read).on('end', left).on('close', left).on('error', ignore);
  }

  /** Puts back what came; the socket is paused. */
  giveBack(): void {
    this.drop();
    this.#socket.pause();
    if (this.#bytes > 0) this.#socket.unshift(Buffer.concat(this.#chunks));
  }

  drop(): void {
    (this.#socket as Duplex).off('data', this.#read).off('end', this.#left).off('close', this.#left);
  }

  readonly #read = (chunk: Buffer): void => {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > maxEarlyBytes) this.#socket.pause();
  };
}

const ignore = (): void => undefined;
