// Where sessions read to: one block for all of them, since what is read is used before anything else is read.
import type { OnReadOpts } from 'node:net';

/** As much as one TLS record brings: node reads no more at once. */
const blockBytes = 16 << 10;

export class SessionInput {
  readonly #block = Buffer.allocUnsafeSlow(blockBytes);

  /** For one connection: what arrives before somebody takes it is kept. */
  open(): ConnectionInput {
    return new ConnectionInput(this.#block);
  }
}

export class ConnectionInput {
  readonly onread: OnReadOpts;
  #early: Buffer[] = [];
  #take: ((bytes: Buffer) => void) | undefined;

  constructor(block: Buffer) {
    this.onread = {
      buffer: block,
      callback: (length) => {
        const bytes = block.subarray(0, length);
        if (this.#take === undefined) this.#early.push(Buffer.from(bytes));
        else this.#take(bytes);
        return true;
      },
    };
  }

  /** From now on; `bytes` are good until `take` returns. */
  giveTo(take: (bytes: Buffer) => void): void {
    this.#take = take;
    for (const bytes of this.#early.splice(0)) take(bytes);
  }
}
