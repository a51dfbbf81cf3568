// One small question asked again and again over a connection that is kept: a handshake for each would cost both ends ten times as
// much.
import type net from 'node:net';
import type { Clock } from '../runtime/clock.ts';
import { HeadReader } from '../runtime/http-head.ts';
import { PeerError } from './errors.ts';

export interface KeptConnectionParts {
  readonly clock: Clock;
  /** A connection that is ready to be written to; its errors must be listened to already. */
  readonly open: (timeoutMs: number, signal: AbortSignal) => Promise<net.Socket>;
}

export interface KeptConnectionSettings {
  /** For messages: who is asked. */
  readonly who: string;
  readonly path: string;
  readonly maxBodyBytes: number;
  /** After that a new connection is opened. */
  readonly maxAgeMs: number;
}

export interface KeptAnswer {
  readonly status: number;
  readonly body: Buffer;
}

const maxHeadBytes = 4_096;

export class KeptConnection {
  readonly #parts: KeptConnectionParts;
  readonly #settings: KeptConnectionSettings;
  #socket: net.Socket | undefined;
  #openedMs = 0;

  constructor(parts: KeptConnectionParts, settings: KeptConnectionSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** Rejects as `open` does, with PeerError (ERR_PEER_ANSWER), or the reason of `signal`. At most one at a time. */
  async ask(timeoutMs: number, signal: AbortSignal): Promise<KeptAnswer> {
    const { clock } = this.#parts;
    if (clock.monotonicMs() - this.#openedMs > this.#settings.maxAgeMs) this.close();
    const kept = this.#socket;
    if (kept !== undefined) {
      try {
        return await this.#exchange(kept, timeoutMs, signal);
      } catch (error) {
        // It may have been closed by the far end, or forgotten on the way: only a new connection says how far one gets.
        if (signal.aborted) throw error;
      }
    }
    const socket = await this.#parts.open(timeoutMs, signal);
    socket.once('close', () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
    this.#socket = socket;
    this.#openedMs = clock.monotonicMs();
    return await this.#exchange(socket, timeoutMs, signal);
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  /** Closes the connection when it rejects, and after an answer that does not say how long its body is: that has none then. */
  #exchange(socket: net.Socket, timeoutMs: number, signal: AbortSignal): Promise<KeptAnswer> {
    const { who, path, maxBodyBytes } = this.#settings;
    return new Promise((resolve, reject) => {
      const reader = new HeadReader(maxHeadBytes);
      const chunks: Buffer[] = [];
      let status: number | undefined;
      let missing = 0;
      const settle = (): void => {
        timer.cancel();
        socket.off('data', read).off('close', closed);
        signal.removeEventListener('abort', aborted);
      };
      const fail = (error: Error): void => {
        settle();
        this.close();
        reject(error);
      };
      const failWith = (problem: string): void => fail(new PeerError('ERR_PEER_ANSWER', `${who}: ${problem}`));
      const read = (chunk: Buffer): void => {
        let rest = chunk;
        if (status === undefined) {
          const head = readHead(reader, chunk);
          if (head === undefined) return;
          if (head === 'wrong') return failWith('its answer cannot be read');
          if (head.bytes > maxBodyBytes) return failWith(`the answer is longer than ${maxBodyBytes} bytes`);
          ({ status, rest, bytes: missing } = head);
          if (Number.isNaN(missing)) {
            settle();
            this.close();
            return resolve({ status, body: Buffer.alloc(0) });
          }
        }
        chunks.push(rest);
        missing -= rest.length;
        if (missing < 0) return failWith('it says more than it was asked');
        if (missing > 0) return;
        settle();
        resolve({ status, body: chunks.length === 1 ? rest : Buffer.concat(chunks) });
      };
      const closed = (): void => failWith('closed without an answer');
      const aborted = (): void => fail(signal.reason as Error);
      const timer = this.#parts.clock.after(timeoutMs, () => failWith(`no answer within ${timeoutMs} ms`));
      socket.on('data', read).once('close', closed);
      signal.addEventListener('abort', aborted, { once: true });
      if (signal.aborted) aborted();
      else if (socket.destroyed) closed();
      else socket.write(`GET ${path} HTTP/1.1\r\nHost: holdfast\r\n\r\n`);
    });
  }
}

function readHead(
  reader: HeadReader,
  chunk: Buffer,
): { status: number; bytes: number; rest: Buffer } | 'wrong' | undefined {
  const head = reader.take(chunk);
  if (head === undefined) return undefined;
  if (head === 'too-long') return 'wrong';
  const status = Number(/^HTTP\/1\.1 (\d{3})\b/.exec(head.startLine)?.[1] ?? Number.NaN);
  const bytes = head.isEncoded ? Number.NaN : (head.contentLength ?? Number.NaN);
  return Number.isNaN(status) ? 'wrong' : { status, bytes, rest: head.rest };
}
