// The unary connections to one API server in one lane: bounded, the most recently used first, waiters in order.
import type { OnReadOpts } from 'node:net';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { FieldNames } from './answer-head.ts';
import type { Dialled } from './dial.ts';
import { UnaryConnection } from './unary-connection.ts';

interface Waiter {
  readonly resolve: (connection: UnaryConnection) => void;
  readonly reject: (error: Error) => void;
}

export interface UnaryPoolParts {
  readonly clock: Clock;
  /** Host and port of the API server, as requests name it. */
  readonly host: string;
  /** Dials with the present credentials. */
  readonly dial: (onread: OnReadOpts) => Promise<Dialled>;
}

/** As much as one TLS record brings: node reads no more at once. */
const readBufferBytes = 16 << 10;

export class UnaryPool {
  readonly #parts: UnaryPoolParts;
  readonly #settings: { maxConnections: number; idleMs: number };
  readonly #all = new Set<UnaryConnection>();
  /** Least recently used first. */
  readonly #idle: { connection: UnaryConnection; untilMs: number }[] = [];
  #idleTimer: Timer | undefined;
  readonly #names = new FieldNames();
  /** Of all connections: what is read is used before anything else is read. */
  readonly #readBuffer = Buffer.allocUnsafeSlow(readBufferBytes);
  #waiters: Waiter[] = [];
  #dialling = 0;
  #destroyed = false;

  constructor(parts: UnaryPoolParts, settings: { maxConnections: number; idleMs: number }) {
    this.#parts = parts;
    this.#settings = settings;
  }

  get connections(): ReadonlySet<UnaryConnection> {
    return this.#all;
  }

  /** Whether any request is under way, or about to be. */
  get busy(): boolean {
    return this.#all.size > this.#idle.length || this.#dialling > 0;
  }

  /**
   * A connection of one's own until `release`. Rejects with the error of dialling, or with the signal's reason.
   * `fresh`: not one that has been idle, since another that was idle has just proved to be stale.
   */
  acquire(signal: AbortSignal, fresh: boolean): Promise<UnaryConnection> {
    if (fresh) this.retire();
    const idle = this.takeIdle();
    if (idle !== undefined) return Promise.resolve(idle);
    return new Promise((resolve, reject) => {
      const leave = (): void => signal.removeEventListener('abort', onAbort);
      const waiter: Waiter = {
        resolve: (connection) => {
          leave();
          resolve(connection);
        },
        reject: (error) => {
          leave();
          reject(error);
        },
      };
      const onAbort = (): void => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        waiter.reject(signal.reason as Error);
      };
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiters.push(waiter);
      this.#dialIfNeeded();
    });
  }

  /** A connection of one's own without waiting, if one is idle. */
  takeIdle(): UnaryConnection | undefined {
    for (;;) {
      const connection = this.#idle.pop()?.connection;
      if (connection === undefined || connection.usable) return connection;
      connection.destroy();
    }
  }

  /** Gives a connection back; one that cannot be used again is closed. */
  release(connection: UnaryConnection): void {
    if (!this.#all.has(connection)) return;
    if (!connection.usable) {
      connection.destroy();
      return;
    }
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) waiter.resolve(connection);
    else {
      const idleMs = Math.min(this.#settings.idleMs, connection.serverIdleMs);
      connection.idleSinceMs = this.#parts.clock.monotonicMs();
      this.#idle.push({ connection, untilMs: connection.idleSinceMs + idleMs });
      this.#idleTimer ??= this.#parts.clock.after(idleMs, () => this.#closeIdle());
    }
  }

  /** Closes what is idle and lets the rest finish: for new credentials. */
  retire(): void {
    for (const connection of this.#all) connection.retired = true;
    for (const { connection } of this.#idle.splice(0)) connection.destroy();
  }

  rejectWaiters(error: Error): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }

  destroy(error: Error): void {
    this.#destroyed = true;
    this.#idleTimer?.cancel();
    this.rejectWaiters(error);
    for (const connection of this.#all) connection.destroy();
  }

  #dialIfNeeded(): void {
    if (this.#dialling >= this.#waiters.length) return;
    if (this.#all.size + this.#dialling >= this.#settings.maxConnections) return;
    this.#dialling += 1;
    let connection: UnaryConnection | undefined;
    let early = false;
    const onread: OnReadOpts = {
      buffer: this.#readBuffer,
      callback: (bytes) => {
        // A server that speaks first answers something that nobody has asked.
        if (connection === undefined) early = true;
        return connection?.received(this.#readBuffer.subarray(0, bytes)) ?? true;
      },
    };
    this.#parts.dial(onread).then(
      ({ socket }) => {
        this.#dialling -= 1;
        const made = new UnaryConnection(this.#parts.host, socket, this.#names, () => this.#closed(made));
        connection = made;
        this.#all.add(made);
        // Destroyed: was ready in the moment of the end, and nobody would close it any more.
        if (this.#destroyed || early) made.destroy();
        else this.release(made);
      },
      (error: Error) => {
        this.#dialling -= 1;
        this.#waiters.shift()?.reject(error);
        this.#dialIfNeeded();
      },
    );
  }

  #closed(connection: UnaryConnection): void {
    this.#all.delete(connection);
    const at = this.#idle.findIndex((entry) => entry.connection === connection);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#dialIfNeeded();
  }

  #closeIdle(): void {
    const nowMs = this.#parts.clock.monotonicMs();
    let nextMs = Infinity;
    for (const { connection, untilMs } of this.#idle) {
      if (untilMs <= nowMs) connection.destroy();
      else nextMs = Math.min(nextMs, untilMs);
    }
    this.#idleTimer =
      nextMs === Infinity ? undefined : this.#parts.clock.after(nextMs - nowMs, () => this.#closeIdle());
  }
}
