// Five thousand hubs that lost one API server at the same moment, and the moment when it is back: who calls it when, decided by
// the hubs' own code (yurthub/return-pace.ts) with seeds, in front of a server that counts. No sockets and no waiting: time is
// a list of milliseconds.
import type { Clock, Timer } from '../../runtime/clock.ts';
import {
  probeDelayMs,
  ReflectorPace,
  ReturnTurns,
  startsProbe,
  type Random,
  type Turn,
} from '../../yurthub/return-pace.ts';
import { defaultUplinkSettings } from '../../yurthub/uplink/settings.ts';

export interface ReturnScale {
  readonly hubs: number;
  readonly viewsPerHub: number;
  /** True after a long outage: no watch can go on where it ended, each view is listed. */
  readonly expired: boolean;
  /** What the server can do. Handshakes beyond wait their turn; calls beyond are refused with 429 and Retry-After: 1. */
  readonly handshakesPerSecond: number;
  readonly callsPerSecond: number;
  readonly roundTripMs: number;
}

export const fleet: ReturnScale = {
  hubs: 5_000,
  viewsPerHub: 30,
  expired: true,
  handshakesPerSecond: 2_000,
  callsPerSecond: 10_000,
  roundTripMs: 30,
};

export interface ReturnReport {
  readonly connections: Counted;
  readonly watches: Counted;
  readonly lists: Counted;
  readonly refused: Counted;
  /** Milliseconds from the return of the server to the moment at which all views of a hub were live: sorted, one per hub. */
  readonly liveMs: readonly number[];
}

export interface Counted {
  readonly total: number;
  /** The most in any 100 ms, and in any whole second. */
  readonly peakPer100Ms: number;
  readonly peakPerSecond: number;
}

/** The outage before the return: long enough that hubs with jitter are no longer in step. */
const outageMs = 60_000;

/** `seed` undefined: no jitter, every random number is 0.5. */
export function simulateReturn(scale: ReturnScale, seed: number | undefined): ReturnReport {
  const time = new Timeline(-outageMs);
  const server = new CountingServer(time, scale);
  const random = seed === undefined ? () => 0.5 : seeded(seed);
  const hubs = Array.from({ length: scale.hubs }, () => new SimulatedHub(time, server, scale, random));
  time.run();
  return {
    connections: server.connections.counted(),
    watches: server.watches.counted(),
    lists: server.lists.counted(),
    refused: server.refused.counted(),
    liveMs: hubs.map((hub) => hub.liveMs).toSorted((a, b) => a - b),
  };
}

/** As path-monitor.ts, return-gate.ts and reflector.ts do it; the waits are theirs. */
class SimulatedHub {
  readonly #time: Timeline;
  readonly #server: CountingServer;
  readonly #scale: ReturnScale;
  readonly #random: Random;
  #heldProbes = 0;
  #connected = false;
  #behind: number;
  liveMs = Infinity;

  constructor(time: Timeline, server: CountingServer, scale: ReturnScale, random: Random) {
    this.#time = time;
    this.#server = server;
    this.#scale = scale;
    this.#random = random;
    this.#behind = scale.viewsPerHub;
    this.#probeLater(0);
  }

  #probeLater(held: number): void {
    this.#time.after(probeDelayMs(this.#random(), held, defaultUplinkSettings), () => {
      if (this.#connected) return;
      const isHeld = this.#heldProbes > 0;
      // Before the return a probe is refused at once.
      if (this.#time.nowMs >= 0 && startsProbe(isHeld, held)) {
        this.#heldProbes += 1;
        this.#server.connect(() => {
          this.#heldProbes -= 1;
          if (!this.#connected) this.#isBack();
        });
      }
      this.#probeLater(isHeld ? held + 1 : 0);
    });
  }

  /** The probe's connection stays as the session for watches; the proof and the kubelet's own requests need one more. */
  #isBack(): void {
    this.#connected = true;
    const turns = new ReturnTurns(this.#time, this.#random);
    this.#server.connect(() => {
      for (let view = 0; view < this.#scale.viewsPerHub; view += 1) {
        const pace = new ReflectorPace(this.#random);
        const spreadMs = pace.waitMs({ kind: 'unreachable', repeated: false });
        this.#time.after(spreadMs, () => this.#comeBack(turns, pace, false));
      }
    });
  }

  #comeBack(turns: ReturnTurns, pace: ReflectorPace, listNeeded: boolean): void {
    turns.take((turn) => {
      const refused = (): void => {
        turn.pushedBack();
        const waitMs = pace.waitMs({ kind: 'refused', retryAfterSeconds: 1 });
        this.#time.after(waitMs, () => this.#comeBack(turns, pace, listNeeded));
      };
      const watch = (): void => {
        if (!this.#server.call(this.#server.watches)) refused();
        else this.#answered(() => this.#watching(turns, turn, pace, listNeeded));
      };
      if (!listNeeded) watch();
      else if (this.#server.call(this.#server.lists)) this.#answered(watch);
      else refused();
    });
  }

  /** The watch goes on where it ended; or it says 410, and the view is listed. */
  #watching(turns: ReturnTurns, turn: Turn, pace: ReflectorPace, listed: boolean): void {
    turn.answered();
    if (this.#scale.expired && !listed) {
      this.#comeBack(turns, pace, true);
      return;
    }
    // Has the server gone back in time? One list of one object beside the resumed watch; that it is refused matters to nobody.
    if (!listed) this.#server.call(this.#server.lists);
    this.#behind -= 1;
    if (this.#behind === 0) this.liveMs = this.#time.nowMs;
  }

  #answered(next: () => void): void {
    this.#time.after(this.#scale.roundTripMs, next);
  }
}

class CountingServer {
  readonly connections: Counter;
  readonly watches: Counter;
  readonly lists: Counter;
  readonly refused: Counter;
  readonly #time: Timeline;
  readonly #scale: ReturnScale;
  #handshakesDoneMs = 0;
  #windowMs = 0;
  #callsInWindow = 0;

  constructor(time: Timeline, scale: ReturnScale) {
    this.#time = time;
    this.#scale = scale;
    [this.connections, this.watches, this.lists, this.refused] = [0, 0, 0, 0].map(() => new Counter(time)) as [
      Counter,
      Counter,
      Counter,
      Counter,
    ];
  }

  /** One handshake after the other. */
  connect(done: () => void): void {
    this.connections.add();
    const { nowMs } = this.#time;
    this.#handshakesDoneMs = Math.max(this.#handshakesDoneMs, nowMs) + 1_000 / this.#scale.handshakesPerSecond;
    this.#time.after(this.#handshakesDoneMs - nowMs, done);
  }

  /** False: 429. Every call counts, the refused ones as well. */
  call(counter: Counter): boolean {
    counter.add();
    const windowMs = Math.floor(this.#time.nowMs / 100);
    if (windowMs !== this.#windowMs) this.#callsInWindow = 0;
    this.#windowMs = windowMs;
    this.#callsInWindow += 1;
    if (this.#callsInWindow <= this.#scale.callsPerSecond / 10) return true;
    this.refused.add();
    return false;
  }
}

class Counter {
  readonly #time: Timeline;
  readonly #per100Ms: number[] = [];
  #total = 0;

  constructor(time: Timeline) {
    this.#time = time;
  }

  add(): void {
    const at = Math.floor(this.#time.nowMs / 100);
    this.#per100Ms[at] = (this.#per100Ms[at] ?? 0) + 1;
    this.#total += 1;
  }

  counted(): Counted {
    const bins = Array.from(this.#per100Ms, (count) => count ?? 0);
    const seconds = bins.map((_, at) => bins.slice(at, at + 10).reduce((sum, count) => sum + count, 0));
    return { total: this.#total, peakPer100Ms: Math.max(0, ...bins), peakPerSecond: Math.max(0, ...seconds) };
  }
}

/** A clock that knows only what is due: the timers of each millisecond. */
class Timeline implements Pick<Clock, 'after'> {
  nowMs: number;
  readonly #due = new Map<number, { callback: (() => void) | undefined }[]>();
  #lastMs: number;

  constructor(startMs: number) {
    this.nowMs = startMs;
    this.#lastMs = startMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    // Never in the millisecond that is being run.
    const atMs = Math.max(this.nowMs + 1, Math.round(this.nowMs + delayMs));
    const entry: { callback: (() => void) | undefined } = { callback };
    const entries = this.#due.get(atMs);
    if (entries === undefined) this.#due.set(atMs, [entry]);
    else entries.push(entry);
    this.#lastMs = Math.max(this.#lastMs, atMs);
    return { cancel: () => void (entry.callback = undefined) };
  }

  /** Until nothing is due any more. */
  run(): void {
    for (; this.nowMs <= this.#lastMs; this.nowMs += 1) {
      const entries = this.#due.get(this.nowMs) ?? [];
      this.#due.delete(this.nowMs);
      for (const { callback } of entries) callback?.();
    }
  }
}

/** mulberry32: small, and the same on every machine. */
function seeded(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const row = (cells: readonly string[]): string =>
  cells.map((cell, at) => (at === 0 ? cell.padEnd(46) : cell.padStart(12))).join('');

/** The table of `npm run bench -- return`. */
export function returnTable(scale: ReturnScale, seed: number): string {
  const reports = [simulateReturn(scale, undefined), simulateReturn(scale, seed)];
  const cells = (title: string, cell: (report: ReturnReport) => number): string =>
    row([title, ...reports.map((report) => Math.round(cell(report)).toLocaleString('en'))]);
  const counted = (title: string, of: (report: ReturnReport) => Counted): string[] => [
    cells(`${title}: in all`, (report) => of(report).total),
    cells('  most in 100 ms', (report) => of(report).peakPer100Ms),
    cells('  most in one second', (report) => of(report).peakPerSecond),
  ];
  const live = (title: string, share: number): string =>
    cells(title, ({ liveMs }) => liveMs[Math.ceil(share * liveMs.length) - 1] ?? NaN);
  const outage = scale.expired
    ? 'a long outage: each view is listed'
    : 'a short outage: watches go on where they ended';
  return [
    `${scale.hubs === 1 ? 'one hub' : `${scale.hubs.toLocaleString('en')} hubs`} of ${scale.viewsPerHub} views after ${outage}`,
    row(['', 'no jitter', 'as it is']),
    ...counted('connections', (report) => report.connections),
    ...counted('watch calls', (report) => report.watches),
    ...counted('list calls', (report) => report.lists),
    ...counted('refused (429)', (report) => report.refused),
    live('all views of a hub live, ms: median', 0.5),
    live('  p99', 0.99),
    live('  last hub', 1),
  ].join('\n');
}

/** Each with what it shows. */
export function benchReturn(seed: number): string {
  const { handshakesPerSecond, callsPerSecond, roundTripMs } = fleet;
  return [
    `A model server with ${handshakesPerSecond.toLocaleString('en')} TLS handshakes and ${callsPerSecond.toLocaleString('en')} calls a second, ${roundTripMs} ms away; seed ${seed}.`,
    "The hubs' own waits (yurthub/return-pace.ts); without jitter the same code with every random number 0.5.",
    ...[fleet, { ...fleet, expired: false }, { ...fleet, hubs: 1 }].map((scale) => returnTable(scale, seed)),
    '',
  ].join('\n\n');
}
