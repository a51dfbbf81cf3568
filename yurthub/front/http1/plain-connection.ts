// One HTTP/1.1 connection while its requests are plain: they are answered here, at a fraction of the objects that node makes
// for each. At the first that is not, or that does not come in one piece, the connection is node's own, from that request's
// first byte and for good: one parser at a time decides where a request begins, and there is no way back.
import type { TLSSocket } from 'node:tls';
import type { Exchange, ExchangeHooks } from '../exchange.ts';
import { PlainExchange } from './plain-exchange.ts';
import { plainHead, type RequestFieldNames } from './plain-head.ts';

export interface PlainConnectionParts {
  readonly names: RequestFieldNames;
  readonly onExchange: (make: (hooks: ExchangeHooks) => Exchange) => void;
  /** Takes the connection with what was read and not used, put back for it to read. */
  readonly handOver: (socket: TLSSocket) => void;
}

export interface PlainConnectionSettings {
  /** A connection that is idle for longer is closed, milliseconds. */
  readonly idleMs: number;
}

/** A longer head is not plain. */
const maxHeadBytes = 16 << 10;
/** What a client may send ahead of its answers before it is read no further. */
const maxAheadBytes = 64 << 10;
const emptyLine = Buffer.from('\r\n\r\n');

export class PlainConnection {
  readonly #socket: TLSSocket;
  readonly #parts: PlainConnectionParts;
  /** The request that is being answered. */
  #exchange: PlainExchange | undefined;
  /** Came while a request was being answered. */
  #ahead: Buffer[] = [];
  #aheadBytes = 0;
  #closing = false;

  constructor(socket: TLSSocket, parts: PlainConnectionParts, settings: PlainConnectionSettings) {
    this.#socket = socket;
    this.#parts = parts;
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onClose);
    socket.on('error', ignore);
    socket.on('timeout', this.#onTimeout);
    socket.setTimeout(settings.idleMs);
  }

  /** Answers what has been asked and closes. */
  close(): void {
    this.#closing = true;
    if (this.#exchange === undefined) this.#socket.destroy();
  }

  readonly #onData = (bytes: Buffer): void => {
    if (this.#exchange === undefined) {
      this.#take(bytes);
      return;
    }
    this.#ahead.push(bytes);
    this.#aheadBytes += bytes.length;
    if (this.#aheadBytes > maxAheadBytes) this.#socket.pause();
  };

  /** As node's server does by default: who has nothing more to say is not waiting for an answer either. */
  readonly #onEnd = (): void => void this.#socket.destroy();

  readonly #onClose = (): void => this.#exchange?.connectionClosed();

  readonly #onTimeout = (): void => {
    if (this.#exchange === undefined) this.#socket.destroy();
  };

  readonly #finished = (): void => {
    this.#exchange = undefined;
    if (this.#closing) {
      this.#socket.destroySoon();
      return;
    }
    if (this.#aheadBytes === 0) return;
    const bytes = Buffer.concat(this.#ahead);
    this.#ahead = [];
    this.#aheadBytes = 0;
    this.#socket.resume();
    this.#take(bytes);
  };

  /** `bytes` begin where a request begins. */
  #take(bytes: Buffer): void {
    const end = bytes.indexOf(emptyLine);
    const head =
      end < 0 || end > maxHeadBytes ? undefined : plainHead(bytes.toString('latin1', 0, end), this.#parts.names);
    if (head === undefined) {
      this.#handOver(bytes);
      return;
    }
    const rest = bytes.length - end - emptyLine.length;
    if (rest > 0) {
      this.#ahead.push(bytes.subarray(bytes.length - rest));
      this.#aheadBytes = rest;
    }
    this.#parts.onExchange((hooks) => {
      const exchange = new PlainExchange(head, this.#socket, hooks, this.#finished);
      this.#exchange = exchange;
      return exchange;
    });
  }

  #handOver(bytes: Buffer): void {
    const socket = this.#socket;
    socket.setTimeout(0);
    socket.off('data', this.#onData);
    socket.off('end', this.#onEnd);
    socket.off('close', this.#onClose);
    socket.off('error', ignore);
    socket.off('timeout', this.#onTimeout);
    socket.pause();
    socket.unshift(bytes);
    this.#parts.handOver(socket);
    socket.resume();
  }
}

function ignore(): void {
  // 'close' follows.
}
