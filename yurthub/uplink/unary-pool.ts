// The unary connections to one API server in one lane: bounded, the most recently used first, waiters in order.
import type { OnReadOpts } from 'node:net';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { FieldNames } from './answer-head.ts';
import type { Dialled } from './dial.ts';
import { UnaryConnection } from './unary-connection.ts';

/** Who wants a connection. One of the two is called, once, unless the wait was given up. */
export interface ConnectionTaker {
  take(connection: UnaryConnection): void;
  refuse(error: Error): void;
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
  /** In order. A set: under load as many wait as have a connection, and any may leave. */
  readonly #waiters = new Set<ConnectionTaker>();
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
   * Gives a connection of one's own until `release`, at once or later, or the error of dialling. `fresh`: not one that has been idle,
   * since another that was idle has just proved to be stale.
   */
  acquire(taker: ConnectionTaker, fresh: boolean): void {
    if (fresh) this.retire();
    const idle = this.takeIdle();
    if (idle !== undefined) {
      taker.take(idle);
      return;
    }
    this.#waiters.add(taker);
    this.#dialIfNeeded();
  }

  /** Gives the wait up. */
  leave(taker: ConnectionTaker): void {
    this.#waiters.delete(taker);
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
    const waiter = this.#nextWaiter();
    if (waiter !== undefined) waiter.take(connection);
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

  destroy(error: Error): void {
    this.#destroyed = true;
    this.#idleTimer?.cancel();
    for (let waiter = this.#nextWaiter(); waiter !== undefined; waiter = this.#nextWaiter()) waiter.refuse(error);
    for (const connection of this.#all) connection.destroy();
  }

  #nextWaiter(): ConnectionTaker | undefined {
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter);
      return waiter;
    }
    return undefined;
  }

  #dialIfNeeded(): void {
    if (this.#dialling >= this.#waiters.size) return;
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
        this.#nextWaiter()?.refuse(error);
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
