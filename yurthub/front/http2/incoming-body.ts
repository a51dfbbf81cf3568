// The body of a request as it arrives on a stream: the peer may send on as fast as it is read.
import { Readable } from 'node:stream';

export class IncomingBody extends Readable {
  readonly #consumed: (bytes: number) => void;
  /** Arrived, and not yet told to the peer as read. */
  #unread = 0;

  /** `consumed` is told of bytes for which the peer may send others. */
  constructor(consumed: (bytes: number) => void) {
    // What nobody has asked for is not counted as read: the stream's window is the buffer.
    super({ highWaterMark: 1 });
    this.#consumed = consumed;
    // Whoever reads sees 'close'.
    this.on('error', () => undefined);
  }

  /** The chunk becomes the body's. */
  arrived(chunk: Buffer): void {
    this.#unread += chunk.length;
    if (this.push(chunk)) this.#report();
  }

  ended(): void {
    this.push(null);
  }

  override _read(): void {
    this.#report();
  }

  #report(): void {
    const bytes = this.#unread;
    this.#unread = 0;
    if (bytes > 0) this.#consumed(bytes);
  }
}
