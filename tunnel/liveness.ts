// Tells a path that is alive from one that is not, by pings and by any byte that arrives. Silence makes a path suspect long
// before it makes it dead: a suspect path is replaced, and only a dead one closed, so that a slow link loses no session.
import type { Http2Session } from 'node:http2';
import type { Clock, Timer } from '../runtime/clock.ts';
import { isClosedBelow } from './closed-below.ts';

export interface LivenessSettings {
  readonly pingIntervalMs: number;
  /** Longer than the longest round trip with a lost packet: 2 s and its retransmission. */
  readonly suspectAfterMs: number;
  readonly deadAfterMs: number;
}

export const livenessDefaults: LivenessSettings = { pingIntervalMs: 2_000, suspectAfterMs: 5_000, deadAfterMs: 20_000 };

export interface LivenessEvents {
  /** Called at each change; a path that is heard again is no longer suspect. */
  suspect(isSuspect: boolean): void;
  /** Called once; the session is destroyed after it. */
  dead(): void;
  roundTrip(durationMs: number): void;
}

export class Liveness {
  readonly #clock: Clock;
  readonly #session: Http2Session;
  readonly #settings: LivenessSettings;
  readonly #events: LivenessEvents;
  #timer: Timer | undefined;
  #heardMs: number;
  #heardBytes = -1;
  #dueMs: number;
  #suspect = false;

  constructor(parts: { clock: Clock; session: Http2Session }, settings: LivenessSettings, events: LivenessEvents) {
    this.#clock = parts.clock;
    this.#session = parts.session;
    this.#settings = settings;
    this.#events = events;
    this.#heardMs = parts.clock.monotonicMs();
    this.#dueMs = this.#heardMs;
  }

  get isSuspect(): boolean {
    return this.#suspect;
  }

  /** Runs until the session closes. */
  start(): void {
    this.#session.once('close', () => this.#timer?.cancel());
    this.#tick();
  }

  #tick(): void {
    if (this.#session.destroyed) return;
    const nowMs = this.#clock.monotonicMs();
    // While this process did not run (a busy or a suspended machine) it could not hear anything.
    this.#heardMs = Math.min(nowMs, this.#heardMs + (nowMs - this.#dueMs));
    this.#listen();
    const silenceMs = nowMs - this.#heardMs;
    const { deadAfterMs, pingIntervalMs } = this.#settings;
    // Not while bytes still arrive: those that came before a reset are read first, and then Node.js tells of it.
    const isClosed = silenceMs >= pingIntervalMs && isClosedBelow(this.#session.socket);
    if (isClosed || silenceMs >= deadAfterMs) {
      this.#events.dead();
      this.#session.destroy();
      return;
    }
    this.#judge(silenceMs);
    this.#ping();
    this.#dueMs = nowMs + pingIntervalMs;
    this.#timer = this.#clock.after(pingIntervalMs, () => this.#tick());
  }

  #ping(): void {
    const sentMs = this.#clock.monotonicMs();
    // False, or an error in the callback, while too many are on the way: the silence is counted all the same.
    this.#session.ping((error: Error | null) => {
      if (error !== null) return;
      this.#events.roundTrip(this.#clock.monotonicMs() - sentMs);
      this.#heard();
    });
  }

  /** Bytes that arrived count as well: pings wait behind bulk data. */
  #listen(): void {
    const bytes = this.#session.socket.bytesRead;
    if (bytes === this.#heardBytes) return;
    this.#heardBytes = bytes;
    this.#heard();
  }

  #heard(): void {
    this.#heardMs = this.#clock.monotonicMs();
    this.#judge(0);
  }

  #judge(silenceMs: number): void {
    const isSuspect = silenceMs >= this.#settings.suspectAfterMs;
    if (isSuspect === this.#suspect) return;
    this.#suspect = isSuspect;
    this.#events.suspect(isSuspect);
  }
}
