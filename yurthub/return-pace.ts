// When a hub asks an API server again that it lost: probes, resumed watches, lists. Thousands of hubs lose one server at the
// same moment, so every wait has a random part; and a server that shows that it has too much to do is asked less and less.
// A single site that returns is live within 3 s all the same: 1.2 s to the next probe, 0.8 s to the resumed watch.
import type { Clock } from '../runtime/clock.ts';

/** All functions take `random` in [0, 1). */
export type Random = () => number;

export interface ProbeTimes {
  readonly probeMinMs: number;
  readonly probeMaxMs: number;
  /** Bound of the wait while the far end takes connections and does not get round to answering on them. */
  readonly probeHeldMaxMs: number;
}

/**
 * When the next probe starts. `held`: how many waits in a row have passed with a probe under way whose TCP connection stood:
 * the link is there and the server slow, for want of time for all those who call, so that one more call makes it slower.
 */
export function probeDelayMs(random: number, held: number, times: ProbeTimes): number {
  const { probeMinMs, probeMaxMs, probeHeldMaxMs } = times;
  const factor = Math.max(1, Math.min(2 ** held, probeHeldMaxMs / probeMaxMs));
  return factor * (probeMinMs + random * (probeMaxMs - probeMinMs));
}

/** Whether one more probe starts now: the first wait for one whose TCP connection stands is for that one alone. */
export function startsProbe(isHeld: boolean, held: number): boolean {
  return !isHeld || held > 0;
}

/** What stopped a reflector. */
export type Setback =
  /** No answer, or none to its end. `repeated`: not for the first time, although the cloud counts as reachable. */
  | { readonly kind: 'unreachable'; readonly repeated: boolean }
  /** An answer that says no. `retryAfterSeconds` as the server gave it. */
  | { readonly kind: 'refused'; readonly retryAfterSeconds: number | undefined }
  /** An answer of which nothing could be made, or a watch that ended at once. */
  | { readonly kind: 'failed' };

/** Streams that broke together go on within this time. */
const resumeSpreadMs = 800;
const minBackoffMs = 200;
const maxBackoffMs = 30_000;
const maxRetryAfterSeconds = 300;

/** The waits of one reflector. */
export class ReflectorPace {
  readonly #random: Random;
  #backoffMs = minBackoffMs;

  constructor(random: Random) {
    this.#random = random;
  }

  /** What was asked for has arrived and lasted. */
  settled(): void {
    this.#backoffMs = minBackoffMs;
  }

  /** How long to wait before the next attempt, once the cloud may be asked. */
  waitMs(setback: Setback): number {
    switch (setback.kind) {
      case 'unreachable':
        // The uplink says when the cloud is back. While it says that it never went, a short wait each time would be a storm.
        return setback.repeated ? this.#backOff() : this.#random() * resumeSpreadMs;
      case 'failed':
        return this.#backOff();
      case 'refused': {
        // Who is told "in one second" each time, and obeys, is one of thousands that come each second.
        const toldMs = Math.min(setback.retryAfterSeconds ?? 0, maxRetryAfterSeconds) * 1_000;
        return toldMs + this.#backOff();
      }
    }
  }

  #backOff(): number {
    const waitMs = this.#backoffMs * (0.5 + this.#random());
    this.#backoffMs = Math.min(this.#backoffMs * 2, maxBackoffMs);
    return waitMs;
  }
}

const firstTurns = 4;
/** Whoever has had no answer for so long holds up nobody else. */
const turnMaxMs = 5_000;
const pushedBackMinMs = 1_000;
const pushedBackMaxMs = 30_000;

/** To be given back once, in one of two ways; more changes nothing. */
export interface Turn {
  /** The server has done what was asked, or failed in a way that says nothing of its load. */
  answered(): void;
  /** 429. */
  pushedBack(): void;
}

/**
 * How many views of one hub come back at a time: a few, one more for each that has been answered; half as many, after a pause of
 * the whole hub, when the server says 429. Without it 30 views would learn one by one what the first was told.
 */
export class ReturnTurns {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #random: Random;
  readonly #waiting: ((turn: Turn) => void)[] = [];
  #turns = firstTurns;
  #taken = 0;
  #paused = false;
  #pauseMs = pushedBackMinMs;

  constructor(clock: Pick<Clock, 'after'>, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Calls back when there is a turn, at once if that is now. */
  take(start: (turn: Turn) => void): void {
    this.#waiting.push(start);
    this.#startWaiting();
  }

  #startWaiting(): void {
    while (!this.#paused && this.#taken < this.#turns) {
      const start = this.#waiting.shift();
      if (start === undefined) return;
      start(this.#turn());
    }
  }

  #turn(): Turn {
    this.#taken += 1;
    let over = false;
    const end = (then: () => void): void => {
      if (over) return;
      over = true;
      timer.cancel();
      this.#taken -= 1;
      then();
      this.#startWaiting();
    };
    const timer = this.#clock.after(turnMaxMs, () => end(() => undefined));
    return {
      answered: () => end(() => this.#answered()),
      pushedBack: () => end(() => this.#pause()),
    };
  }

  #answered(): void {
    this.#turns += 1;
    this.#pauseMs = Math.max(this.#pauseMs / 2, pushedBackMinMs);
  }

  #pause(): void {
    // Turns taken before the first refusal tell nothing more.
    if (this.#paused) return;
    this.#paused = true;
    this.#turns = Math.max(1, Math.floor(this.#turns / 2));
    const waitMs = this.#pauseMs * (0.5 + this.#random());
    this.#pauseMs = Math.min(this.#pauseMs * 2, pushedBackMaxMs);
    this.#clock.after(waitMs, () => {
      this.#paused = false;
      this.#startWaiting();
    });
  }
}
