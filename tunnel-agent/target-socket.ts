// A connection to a target, read in turns with the others of the same server and into blocks that all of them share.
import net from 'node:net';
import { socketEnd, type SpliceEnd } from '../tunnel/splice.ts';
import type { ReadBlocks } from './read-blocks.ts';
import type { ReadTurns, Turn } from './read-turns.ts';

export class TargetSocket {
  readonly socket: net.Socket;
  readonly #blocks: ReadBlocks;
  readonly #turn: Turn;
  #isHeldBack = true;
  #waits = false;

  /** Begins to connect. Nothing is read before `end` is resumed. */
  constructor(parts: { blocks: ReadBlocks; turns: ReadTurns }, address: net.TcpNetConnectOpts) {
    this.#blocks = parts.blocks;
    this.#turn = parts.turns.join(() => this.#goOn());
    this.socket = net.connect({
      ...address,
      // Or the end of what the server sends would end the answer.
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      onread: { buffer: this.#blocks.into, callback: (bytes) => this.#read(bytes) },
    });
    // What it sends before somebody listens would be lost.
    this.socket.pause();
    this.socket.once('close', () => this.#turn.leave());
  }

  /** For a splice. */
  end(): SpliceEnd {
    return {
      ...socketEnd(this.socket),
      pause: () => {
        this.#isHeldBack = true;
        this.socket.pause();
      },
      resume: () => {
        this.#isHeldBack = false;
        if (!this.#waits) this.socket.resume();
      },
      over: (chunk, isFree) => {
        if (isFree) this.#blocks.giveBack(chunk);
        this.#turn.done(chunk.length);
      },
    };
  }

  #read(bytes: number): boolean {
    // Before it is passed on: what goes nowhere is over at once.
    this.#waits = !this.#turn.took(bytes);
    this.socket.emit('data', this.#blocks.copy(bytes));
    return !this.#waits && !this.#isHeldBack;
  }

  #goOn(): void {
    this.#waits = false;
    if (!this.#isHeldBack) this.socket.resume();
  }
}
