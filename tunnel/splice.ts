// Joins two byte streams, of which either may be half of a tunnel: each direction ends by itself, a reader that stalls holds
// back only its own writer, and what breaks on one side breaks on the other, so that nobody takes a cut for an end.
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { Http2Stream } from 'node:http2';

/** One side of a splice. */
export interface SpliceEnd {
  readonly stream: Duplex;
  /** Whether the far side broke off. An HTTP/2 stream that was reset emits 'end' and 'finish' as if all were well. */
  wasReset(): boolean;
  /** Breaks it off in a way that the far side cannot take for an end. */
  reset(): void;
  /** In place of the stream's own, for an end that has further reasons not to be read. Paused at first. */
  readonly pause?: () => void;
  readonly resume?: () => void;
  /** Called once with each piece that was read from it, when it has gone on or never will. `isFree`: nobody reads its memory any more. */
  readonly over?: (chunk: Buffer, isFree: boolean) => void;
}

export interface SpliceResult {
  readonly outcome: 'ended' | 'reset';
  /** Bytes from the first to the second end, and back. */
  readonly forthBytes: number;
  readonly backBytes: number;
}

export function socketEnd(socket: net.Socket): SpliceEnd {
  return {
    stream: socket,
    wasReset: () => socket.errored !== null,
    reset() {
      // Only a TCP socket can be reset. A unix socket and TLS end without a farewell: TLS inside or outside then tells a cut
      // from an end. And libuv resets no socket whose end was sent already; Node then would never close it.
      if (socket instanceof tls.TLSSocket || socket.writableEnded || socket.remoteAddress === undefined)
        socket.destroy();
      else socket.resetAndDestroy();
    },
  };
}

export function http2End(stream: Http2Stream): SpliceEnd {
  return {
    stream,
    wasReset: () => stream.rstCode !== 0 || stream.aborted,
    reset() {
      // close(code) would send END_STREAM first, a false end; destroy with an error sends RST_STREAM alone.
      if (!stream.destroyed) stream.destroy(new Error('the other side of the tunnel broke'));
    },
  };
}

/**
 * Copies both ways until both ends are closed; never rejects. Neither end may have been read from before. `backAfter` holds
 * back what comes from `second` until it resolves.
 */
export function splice(
  first: SpliceEnd,
  second: SpliceEnd,
  backAfter: Promise<void> = Promise.resolve(),
): Promise<SpliceResult> {
  return new Promise((resolve) => {
    let outcome: SpliceResult['outcome'] = 'ended';
    let open = 2;
    const forth = new Pump(first, second);
    const back = new Pump(second, first);
    const closed = (own: SpliceEnd, other: SpliceEnd): void => {
      const isWhole = own.stream.readableEnded && own.stream.writableFinished && !own.wasReset();
      if (!isWhole) {
        outcome = 'reset';
        other.reset();
      }
      if ((open -= 1) === 0) resolve({ outcome, forthBytes: forth.bytes, backBytes: back.bytes });
    };
    for (const [own, other] of [
      [first, second],
      [second, first],
    ] as const) {
      // What was wrong is told by 'close'.
      own.stream.on('error', () => undefined);
      if (own.stream.closed) closed(own, other);
      else own.stream.once('close', () => closed(own, other));
    }
    forth.start();
    void backAfter.then(() => back.start());
  });
}

/** What a direction holds that the other side has not taken: twice what streams advise, since each pause is a turn of two event loops. */
const heldBytes = 128 * 1024;

class Pump {
  readonly #from: SpliceEnd;
  readonly #to: SpliceEnd;
  #gathers = false;
  bytes = 0;

  constructor(from: SpliceEnd, to: SpliceEnd) {
    this.#from = from;
    this.#to = to;
  }

  start(): void {
    const from = this.#from.stream;
    const to = this.#to.stream;
    const { over, pause = () => from.pause(), resume = () => from.resume() } = this.#from;
    from.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      if (to.destroyed) return over?.(chunk, true); // its 'close' resets this end
      this.#gather();
      if (over === undefined) to.write(chunk);
      // What failed may still be on its way out.
      else to.write(chunk, (error) => over(chunk, error === null || error === undefined));
      // More than its high-water mark: 'drain' will come.
      if (to.writableLength >= heldBytes) pause();
    });
    to.on('drain', resume);
    from.once('end', () => {
      if (this.#from.wasReset()) this.#to.reset();
      else to.end();
    });
    // Whoever looked at it before may have paused it.
    resume();
  }

  /**
   * What arrives in one turn of the event loop goes on in one write. TLS records and HTTP/2 frames lie across each other, so that each
   * gives two pieces, of which one is 9 bytes or a little more; and whoever reads them one by one pays for each.
   */
  #gather(): void {
    if (this.#gathers) return;
    this.#gathers = true;
    this.#to.stream.cork();
    setImmediate(this.#goOn);
  }

  readonly #goOn = (): void => {
    this.#gathers = false;
    this.#to.stream.uncork();
  };
}
