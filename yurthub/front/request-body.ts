// A request body that may be dropped, read whole, or read and then forwarded. It stands between the connection and its reader:
// a reader that destroys its body (as a failed upload does) must not destroy the client's connection with it,
// or the client would see a reset instead of the answer.
import { Readable } from 'node:stream';
import { BodyTooLargeError, ClientGoneError } from '../errors.ts';

export class RequestBody extends Readable {
  readonly #source: Readable;
  #attached = false;

  constructor(source: Readable) {
    super({ highWaterMark: 64 * 1024 });
    this.#source = source;
    // A body that nobody reads any more has nobody to tell.
    this.on('error', () => undefined);
  }

  override _read(): void {
    if (!this.#attached) this.#attach();
    this.#source.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.detach();
    callback(error);
  }

  /** Stops taking from the connection; what comes later is the connection's to drop. */
  detach(): void {
    if (!this.#attached) return;
    this.#source.off('data', this.#onData);
    this.#source.off('end', this.#onEnd);
    this.#source.off('close', this.#onClose);
    this.#source.pause();
  }

  #attach(): void {
    this.#attached = true;
    if (this.#source.destroyed && !this.#source.readableEnded) {
      this.#onClose();
      return;
    }
    this.#source.on('data', this.#onData);
    this.#source.on('end', this.#onEnd);
    this.#source.on('close', this.#onClose);
    // An abort of the client arrives as 'error' here and as 'close' next: that one is acted on.
    this.#source.on('error', () => undefined);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (!this.push(chunk)) this.#source.pause();
  };

  readonly #onEnd = (): void => void this.push(null);

  readonly #onClose = (): void => {
    if (!this.#source.readableEnded) this.destroy(new ClientGoneError());
  };
}

/** The rest of `body` as one buffer. Rejects with BodyTooLargeError beyond `maxBytes`; the body can then still be forwarded whole. */
export function collect(body: Readable, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const settle = (): void => {
      body.off('data', onData);
      body.off('end', onEnd);
      body.off('close', onClose);
    };
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes <= maxBytes) return;
      settle();
      body.pause();
      body.unshift(Buffer.concat(chunks));
      reject(new BodyTooLargeError(maxBytes));
    };
    const onEnd = (): void => {
      settle();
      resolve(Buffer.concat(chunks));
    };
    const onClose = (): void => {
      settle();
      reject(body.errored ?? new ClientGoneError());
    };
    if (body.destroyed) {
      onClose();
      return;
    }
    body.on('data', onData);
    body.on('end', onEnd);
    body.on('close', onClose);
  });
}
