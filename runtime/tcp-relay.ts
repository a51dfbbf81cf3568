// A TCP relay on loopback that can fail the way links do: the demo and tests cut "the cloud" with it, whatever stands
// behind it. TLS passes through untouched, so certificates are still those of the far end.
import { randomInt } from 'node:crypto';
import net from 'node:net';
import type { Server, Socket } from 'node:net';

/**
 * `refuse`: connections are reset and new ones refused, as when the far host is up and its server is not.
 * `blackhole`: nothing gets through and nobody is told; what was under way goes on after `heal`, as TCP does.
 */
export type Fault = 'refuse' | 'blackhole';

/**
 * Below the range from which Linux gives ports to whoever names none (32768 on): while a relay refuses, nobody listens on its port, and
 * one from that range would soon be given to somebody else.
 */
const [lowest, highest] = [11_000, 20_000];

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

export class TcpRelay {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  /** Accepted during a black hole: dialled when it is over. */
  readonly #waiting = new Set<Socket>();
  #port: number;
  #fault: Fault | undefined;

  /** `port` 0 takes a free one, to which the relay comes back after it refused. */
  constructor(target: { readonly host: string; readonly port: number }, { port }: { port: number }) {
    this.#target = target;
    this.#port = port;
    // Half-closed connections stay half open: some protocols send their answer only then.
    this.#server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (near) =>
      this.#accept(near),
    );
  }

  get fault(): Fault | undefined {
    return this.#fault;
  }

  /** 0 until `listen` has resolved, if it was 0. */
  get port(): number {
    return this.#port;
  }

  get connections(): number {
    return this.#pairs.size + this.#waiting.size;
  }

  /** Rejects when the port cannot be had. */
  async listen(): Promise<void> {
    for (;;) {
      const port = this.#port === 0 ? randomInt(lowest, highest) : this.#port;
      try {
        await this.#listen(port);
        this.#port = port;
        return;
      } catch (error) {
        if (this.#port !== 0 || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      }
    }
  }

  /** Takes effect before the promise resolves; one fault replaces the other. */
  async cut(fault: Fault): Promise<void> {
    if (this.#fault === fault) return;
    if (this.#fault !== undefined) await this.heal();
    this.#fault = fault;
    if (fault === 'refuse') await this.#shut();
    else for (const { near, far } of this.#pairs) void (near.pause(), far.pause());
  }

  async heal(): Promise<void> {
    const fault = this.#fault;
    this.#fault = undefined;
    if (fault === 'refuse') await this.listen();
    if (fault !== 'blackhole') return;
    for (const { near, far } of this.#pairs) void (near.resume(), far.resume());
    for (const near of this.#waiting) this.#dial(near);
    this.#waiting.clear();
  }

  /** Ends every connection and frees the port. */
  async close(): Promise<void> {
    // As while it refuses: what still comes out of the backlog is reset.
    this.#fault = 'refuse';
    if (this.#server.listening) await this.#shut();
  }

  async #listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  async #shut(): Promise<void> {
    const sockets = [...this.#waiting, ...[...this.#pairs].flatMap(({ near, far }) => [near, far])].filter(
      (socket) => !socket.closed,
    );
    const closed = sockets.map((socket) => new Promise<void>((resolve) => void socket.once('close', () => resolve())));
    closed.push(new Promise<void>((resolve) => void this.#server.close(() => resolve())));
    for (const socket of sockets) reset(socket);
    await Promise.all(closed);
  }

  #accept(near: Socket): void {
    if (this.#fault === 'refuse') {
      // Was in the backlog when the listener closed; left open it would keep `cut` waiting.
      near.on('error', () => undefined);
      near.resetAndDestroy();
      return;
    }
    if (this.#fault !== 'blackhole') {
      this.#dial(near);
      return;
    }
    this.#waiting.add(near);
    // A paused socket that nobody reads still reports a reset; without a listener that would end the process.
    near.on('error', () => undefined);
    near.once('close', () => this.#waiting.delete(near));
  }

  #dial(near: Socket): void {
    const far = net.connect({ ...this.#target, allowHalfOpen: true, noDelay: true });
    const pair = { near, far };
    this.#pairs.add(pair);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (chunk) => {
        if (!to.write(chunk)) from.pause();
      });
      from.on('drain', () => {
        if (this.#fault === undefined) to.resume();
      });
      from.on('end', () => to.end());
      // The other side learns of it by 'close'; what was wrong is between the two ends.
      from.on('error', () => undefined);
      from.on('close', (hadError) => {
        if (to.closed) this.#pairs.delete(pair);
        if (hadError) reset(to);
        else to.destroySoon();
      });
    }
    if (this.#fault === undefined) near.resume();
    else far.pause();
  }
}

/** libuv resets no socket whose end was sent already, and Node then never closes it: such a one is closed plainly. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
