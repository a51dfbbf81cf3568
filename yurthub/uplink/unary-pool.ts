// The unary connections to one API server in one lane: bounded, the most recently used first, waiters in order.
import { UnaryConnection } from './unary-connection.ts';
import type { Dialled } from './dial.ts';

interface Waiter {
  readonly resolve: (connection: UnaryConnection) => void;
  readonly reject: (error: Error) => void;
}

export interface UnaryPoolParts {
  readonly origin: string;
  /** Dials with the present credentials. */
  readonly dial: () => Promise<Dialled>;
}

export class UnaryPool {
  readonly #parts: UnaryPoolParts;
  readonly #settings: { maxConnections: number; idleMs: number };
  readonly #all = new Set<UnaryConnection>();
  readonly #idle: UnaryConnection[] = [];
  readonly #returning: UnaryConnection[] = [];
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
      const connection = this.#idle.pop();
      if (connection === undefined || connection.usable) return connection;
      connection.destroy();
    }
  }

  /** Gives a connection back in another turn: undici closes one that must not be kept right after its answer. */
  releaseLater(connection: UnaryConnection): void {
    this.#returning.push(connection);
    if (this.#returning.length > 1) return;
    setImmediate(() => {
      for (const returned of this.#returning.splice(0)) this.release(returned);
    });
  }

  /** Gives a connection back; one that cannot be used again is closed. */
  release(connection: UnaryConnection): void {
    if (!this.#all.has(connection)) return;
    if (!connection.usable) {
      connection.destroy();
      return;
    }
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#idle.push(connection);
    else waiter.resolve(connection);
  }

  /** Closes what is idle and lets the rest finish: for new credentials. */
  retire(): void {
    for (const connection of this.#all) connection.retired = true;
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  rejectWaiters(error: Error): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }

  destroy(error: Error): void {
    this.#destroyed = true;
    this.rejectWaiters(error);
    for (const connection of this.#all) connection.destroy();
  }

  #dialIfNeeded(): void {
    if (this.#dialling >= this.#waiters.length) return;
    if (this.#all.size + this.#dialling >= this.#settings.maxConnections) return;
    this.#dialling += 1;
    this.#parts.dial().then(
      ({ socket }) => {
        this.#dialling -= 1;
        const connection = new UnaryConnection(this.#parts.origin, socket, this.#settings, () => {
          this.#all.delete(connection);
          const at = this.#idle.indexOf(connection);
          if (at >= 0) this.#idle.splice(at, 1);
          this.#dialIfNeeded();
        });
        this.#all.add(connection);
        // Was ready in the moment of the end: nobody would close it any more.
        if (this.#destroyed) connection.destroy();
        else this.release(connection);
      },
      (error: Error) => {
        this.#dialling -= 1;
        this.#waiters.shift()?.reject(error);
        this.#dialIfNeeded();
      },
    );
  }
}
