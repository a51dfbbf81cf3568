// Targets take turns. What all of them send in one turn of the event loop would go out in one write of the connection to the server:
// megabytes, which TLS of Node.js copies into memory of its own, mapped and given back each time, and behind which whoever has little to say
// waits. So one large piece is on its way at a time, and whoever has read one goes to the end of the queue.
import type { Clock } from '../runtime/clock.ts';

/** What may be on its way when another target is read; pieces up to it never wait. */
export const freeBytes = 4 * 1024;
/** What has not gone after so long without any progress waits for a reader that stalls, and counts no more: nobody else waits for that. */
export const patienceMs = 20;

export class ReadTurns {
  readonly #clock: Clock;
  /** First come, first served. */
  readonly #waiting = new Set<Turn>();
  readonly #onTheWay = new Set<Turn>();
  #bytes = 0;
  #progressMs = 0;
  #isWatched = false;
  #looks = false;

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock;
  }

  /** For one target. `mine` is called when it may read on, once for each time that it had to wait. */
  join(mine: () => void): Turn {
    return new Turn(this, mine);
  }

  /** As Turn.took. */
  took(turn: Turn, bytes: number): boolean {
    turn.bytes += bytes;
    this.#bytes += bytes;
    this.#onTheWay.add(turn);
    if (bytes <= freeBytes) return true;
    if (this.#waiting.size === 0) this.#progressMs = this.#clock.monotonicMs();
    this.#waiting.add(turn);
    if (!this.#isWatched) this.#watch(patienceMs);
    return false;
  }

  /** As Turn.done. */
  done(turn: Turn, bytes: number): void {
    const late = Math.min(bytes, turn.lateBytes);
    turn.lateBytes -= late;
    turn.bytes -= bytes - late;
    if (turn.bytes === 0) this.#onTheWay.delete(turn);
    if (bytes === late) return;
    this.#bytes -= bytes - late;
    this.#progressMs = this.#clock.monotonicMs();
    this.#next();
  }

  /** As Turn.leave. */
  leave(turn: Turn): void {
    this.#waiting.delete(turn);
  }

  readonly #next = (): void => {
    const [turn] = this.#waiting;
    if (turn === undefined || this.#bytes > freeBytes) return;
    this.#waiting.delete(turn);
    turn.mine();
    // Whose turn it is may have nothing to say: then it is the next one's, as soon as the event loop has looked.
    if (this.#looks || this.#waiting.size === 0) return;
    this.#looks = true;
    setImmediate(() => {
      this.#looks = false;
      this.#next();
    });
  };

  #watch(forMs: number): void {
    this.#isWatched = true;
    this.#clock.after(forMs, this.#losePatience);
  }

  readonly #losePatience = (): void => {
    this.#isWatched = false;
    if (this.#waiting.size === 0) return;
    const leftMs = this.#progressMs + patienceMs - this.#clock.monotonicMs();
    if (leftMs <= 0) {
      for (const turn of this.#onTheWay) {
        turn.lateBytes += turn.bytes;
        turn.bytes = 0;
      }
      this.#onTheWay.clear();
      this.#bytes = 0;
      this.#progressMs = this.#clock.monotonicMs();
      this.#next();
    }
    this.#watch(leftMs > 0 ? leftMs : patienceMs);
  };
}

export class Turn {
  readonly #turns: ReadTurns;
  readonly mine: () => void;
  /** On its way; and of what was on its way when patience was lost, which goes first. */
  bytes = 0;
  lateBytes = 0;

  constructor(turns: ReadTurns, mine: () => void) {
    this.#turns = turns;
    this.mine = mine;
  }

  /** So much was read. False: no more before `mine` is called. */
  took(bytes: number): boolean {
    return this.#turns.took(this, bytes);
  }

  /** Of what was read so much has gone on, or never will. In the order in which it was read. */
  done(bytes: number): void {
    this.#turns.done(this, bytes);
  }

  /** `mine` is not called any more. */
  leave(): void {
    this.#turns.leave(this);
  }
}
