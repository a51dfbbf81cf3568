// What a verified peer may ask on its connection: how this node is, again and again, or once to be let through.
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../runtime/clock.ts';
import { HeadReader, type Head } from '../runtime/http-head.ts';
import { probePath } from './probe-connection.ts';

export interface PeerConversationParts {
  readonly clock: Clock;
  /** The body of the answer to a probe. May reject: it cannot be had. */
  readonly answer: () => Promise<Buffer>;
  /** Takes over the connection, with what came behind the request already. */
  readonly relay: (authority: string, head: Buffer) => void;
}

const maxHeadBytes = 4_096;
const headTimeoutMs = 5_000;
const idleTimeoutMs = 60_000;

/** Owns the socket from here on until it closes, or until `relay` takes it. */
export class PeerConversation {
  readonly #parts: PeerConversationParts;
  readonly #socket: Socket;
  readonly #reader = new HeadReader(maxHeadBytes);
  #answering = false;
  #slow: Timer | undefined;

  constructor(parts: PeerConversationParts, socket: Socket) {
    this.#parts = parts;
    this.#socket = socket;
    socket.setTimeout(idleTimeoutMs, this.#idle);
    socket.on('data', this.#read);
    socket.once('close', this.#closed);
  }

  readonly #idle = (): void => void this.#socket.destroy();
  readonly #closed = (): void => this.#slow?.cancel();

  readonly #read = (chunk: Buffer): void => {
    // One question at a time: whoever does not wait for the answer is no peer.
    if (this.#answering) return this.#refuse();
    const head = this.#reader.take(chunk);
    if (head === 'too-long') this.#socket.destroy();
    else if (head === undefined) this.#slow ??= this.#parts.clock.after(headTimeoutMs, this.#idle);
    else {
      this.#slow?.cancel();
      this.#slow = undefined;
      this.#asked(head);
    }
  };

  #asked({ startLine, contentLength = 0, isEncoded, rest }: Head): void {
    const [method, target = '', version] = startLine.split(' ');
    const hasBody = isEncoded || contentLength !== 0;
    if (version !== 'HTTP/1.1' || hasBody) this.#refuse();
    else if (method === 'CONNECT') {
      this.#leave();
      // What comes before somebody else reads must wait.
      this.#socket.pause();
      this.#parts.relay(target, rest);
    } else if (method === 'GET' && target === probePath && rest.length === 0) void this.#answer();
    else this.#refuse();
  }

  async #answer(): Promise<void> {
    this.#answering = true;
    const socket = this.#socket;
    try {
      const body = await this.#parts.answer();
      if (!socket.writable) return;
      const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
      socket.write(Buffer.concat([Buffer.from(head, 'latin1'), body]));
      this.#answering = false;
    } catch {
      // The peer hears nothing, and whoever answers has said why in the log.
      socket.destroy();
    }
  }

  #refuse(): void {
    this.#leave();
    this.#socket.resume();
    this.#socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    // Whoever does not take it holds a descriptor all the same.
    this.#socket.setTimeout(headTimeoutMs, this.#idle);
  }

  #leave(): void {
    this.#socket.setTimeout(0);
    this.#socket.off('timeout', this.#idle).off('data', this.#read).off('close', this.#closed);
    this.#slow?.cancel();
  }
}
