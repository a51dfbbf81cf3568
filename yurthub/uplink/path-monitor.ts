// Keeps watch over the path to one API server: pings it when it is silent, probes it while it does not answer, and
// applies what cloud-state.ts decides.
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import {
  decidePath,
  lossReasonOf,
  pingDeadlineMs,
  startDeadlineMs,
  worstRoundTripMs,
  type PathAction,
  type PathEvent,
  type PathStatus,
} from './cloud-state.ts';
import { probeDelayMs, startsProbe } from '../return-pace.ts';
import type { UplinkMetrics } from './metrics.ts';
import type { UplinkSettings } from './settings.ts';
import type { StreamSession } from './stream-session.ts';

/** What the monitor needs of the connections to its API server. */
export interface MonitoredPath {
  readonly name: string;
  /** Whether another way is at hand when this one is lost. */
  readonly hasRelay: boolean;
  /** Whether requests go there now, or went there last. */
  readonly inUse: boolean;
  /** Monotonic time at which something arrived that was asked for; pings not. */
  readonly heardMs: number;
  openSessions(): StreamSession[];
  /** Opens a session; a failure has been reported to `happened` when this rejects. */
  openSession(): Promise<StreamSession>;
  /** A new connection on which the API server has answered. Leaves nothing behind when it rejects. Tells of its TCP connection. */
  probe(signal: AbortSignal, connected: () => void): Promise<StreamSession>;
  adopt(session: StreamSession): void;
  /** Bytes that arrived on each connection so far. */
  bytesRead(): Map<object, number>;
  /** Monotonic time at which the oldest request without an answer started. */
  oldestUnansweredMs(): number | undefined;
  rejectPending(): void;
  /** The path lives: gives up the requests that wait on a connection which something on the way may have forgotten. */
  giveUpForgotten(): void;
  rejectWaiting(): void;
  /** Destroys the connections that are in `since` and on which nothing has arrived since then. */
  dropSilent(since: Map<object, number>): void;
  statusChanged(status: PathStatus): void;
  /** With a relay at hand: a ping is late, and not yet overdue; or no longer. */
  doubted(isDoubted: boolean): void;
}

/** A path that rests is not used and not watched until it is sought. */
export type PathStart = 'hoped-for' | 'at-rest';

export class PathMonitor {
  readonly #parts: { log: Log; clock: Clock; metrics: UplinkMetrics; random: () => number };
  readonly #settings: UplinkSettings;
  readonly #path: MonitoredPath;
  readonly #tasks = new Set<Promise<void>>();
  #status: PathStatus = 'reachable';
  #roundTripMs = 0;
  /** The longest round trip of late; forgotten slowly. */
  #worstRoundTripMs = 0;
  #pingAnsweredMs = Number.NEGATIVE_INFINITY;
  #sessionsLookedMs = 0;
  #checking = false;
  #stopped = false;
  #resting: boolean;
  #unansweredTimer: Timer | undefined;
  #idleTimer: Timer | undefined;
  /** Bytes of each session when idle ones were last looked for. */
  #arrivedAtTick = new Map<StreamSession, number>();
  #probing: AbortController | undefined;
  /** Probes under way whose TCP connection stands. */
  #heldProbes = 0;
  /** What had arrived when the path ceased to be reachable. */
  #arrivedAtLoss = new Map<object, number>();

  constructor(
    parts: { log: Log; clock: Clock; metrics: UplinkMetrics; random: () => number },
    settings: UplinkSettings,
    path: MonitoredPath,
    start: PathStart,
  ) {
    this.#parts = parts;
    this.#settings = settings;
    this.#path = path;
    this.#resting = start === 'at-rest';
    if (this.#resting) this.#status = 'lost';
  }

  get status(): PathStatus {
    return this.#status;
  }

  /** Checks the path at once and then whenever it has been idle, until `stop`. */
  start(): void {
    if (this.#resting) return;
    const { expectedRoundTripMs, startTimeoutMs, pingTimeoutMs } = this.#settings;
    this.check(startDeadlineMs(expectedRoundTripMs, startTimeoutMs, pingTimeoutMs));
    this.#sessionsLookedMs = this.#parts.clock.monotonicMs();
    this.#armIdle();
  }

  /** Looks for a path that rested, at once and until it is found. */
  seek(): void {
    if (!this.#resting || this.#stopped) return;
    this.#resting = false;
    this.#sessionsLookedMs = this.#parts.clock.monotonicMs();
    this.#armIdle();
    this.#probing = new AbortController();
    this.#task(this.#probe(this.#probing.signal));
    this.#probeLater(this.#probing.signal);
  }

  /** The path is not needed any more. Its connections are the caller's to close. */
  rest(): void {
    if (this.#resting || this.#stopped) return;
    this.#resting = true;
    this.#idleTimer?.cancel();
    this.#unansweredTimer?.cancel();
    this.#unansweredTimer = undefined;
    this.#probing?.abort(new Error('the path is not needed any more'));
    this.#probing = undefined;
    if (this.#status === 'lost') return;
    this.#status = 'lost';
    this.#path.statusChanged('lost');
  }

  /** Settles when nothing that was started goes on. The path's connections have been destroyed before. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unansweredTimer?.cancel();
    this.#idleTimer?.cancel();
    this.#probing?.abort(new Error('the uplink stops'));
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  /** The last measure, milliseconds; 0 before the first. */
  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  measured(roundTripMs: number): void {
    this.#roundTripMs = roundTripMs;
    this.#worstRoundTripMs = worstRoundTripMs(this.#worstRoundTripMs, roundTripMs);
    this.#parts.metrics.roundTrip.set(roundTripMs / 1_000);
  }

  /** A request has gone out: its path is checked if it stays unanswered. */
  requestStarted(): void {
    if (this.#stopped || this.#resting) return;
    this.#unansweredTimer ??= this.#parts.clock.after(this.#settings.unansweredMs, () => this.#lookAtUnanswered());
  }

  happened(event: PathEvent, error?: unknown): void {
    if (this.#stopped || this.#resting) return;
    const { log, metrics } = this.#parts;
    const before = this.#status;
    const { status, lossReason, actions } = decidePath(before, event);
    this.#status = status;
    if (lossReason !== undefined) {
      metrics.losses.inc({ reason: lossReason });
      this.#arrivedAtLoss = this.#path.bytesRead();
      const fields = {
        server: this.#path.name,
        reason: lossReason,
        error: error instanceof Error ? error.message : undefined,
      };
      if (lossReason === 'certificate_time')
        log.error('the API server certificate is not valid at this time: is the clock of this node right?', fields);
      else log.warn('API server not reachable', fields);
    }
    if (status === 'reachable' && before !== 'reachable') log.info('API server reachable', { server: this.#path.name });
    // First the state, then its consequences: who is rejected asks for the state.
    if (status !== before) this.#path.statusChanged(status);
    for (const action of actions) this.#act(action);
  }

  /**
   * Another API server can be used, and this one cannot: what does not live here is given up, so that streams that wait for
   * events in vain go on there. What lives stays: a server that ends in good order lets its watches end by themselves.
   */
  leave(): void {
    if (this.#stopped || this.#status === 'reachable') return;
    if (this.#status === 'suspect') this.#path.dropSilent(this.#arrivedAtLoss);
    else this.#task(this.#endDeadSessions());
  }

  /** Asks the path for a sign of life, unless that is being done; over each session, or so many. */
  check(deadlineMs = this.#pingMs, maxSessions = Infinity): void {
    if (this.#checking || this.#stopped || this.#resting) return;
    this.#checking = true;
    this.#task(this.#check(deadlineMs, maxSessions).finally(() => void (this.#checking = false)));
  }

  #act(action: PathAction): void {
    switch (action) {
      case 'startProbing':
        this.#probing = new AbortController();
        this.#probeLater(this.#probing.signal);
        return;
      case 'stopProbing':
        this.#probing?.abort(new Error('another connection answered first'));
        this.#probing = undefined;
        return;
      case 'rejectPending':
        this.#path.rejectPending();
        return;
      case 'rejectWaiting':
        this.#path.rejectWaiting();
        return;
      case 'dropSilent':
        this.#path.dropSilent(this.#arrivedAtLoss);
        return;
    }
  }

  #lookAtUnanswered(): void {
    this.#unansweredTimer = undefined;
    const startedMs = this.#path.oldestUnansweredMs();
    if (startedMs === undefined || this.#stopped) return;
    const ageMs = this.#parts.clock.monotonicMs() - startedMs;
    const { unansweredMs } = this.#settings;
    if (ageMs >= unansweredMs) this.check();
    const againMs = ageMs >= unansweredMs ? unansweredMs : unansweredMs - ageMs;
    this.#unansweredTimer = this.#parts.clock.after(againMs, () => this.#lookAtUnanswered());
  }

  #armIdle(): void {
    const { clock } = this.#parts;
    const nowMs = clock.monotonicMs();
    const { idlePingMs, idlePingWithRelayMs } = this.#settings;
    const looksLeftMs = this.#sessionsLookedMs + idlePingMs - nowMs;
    const quietLeftMs = this.#quietSinceMs + idlePingWithRelayMs - nowMs;
    // Whether there is a relay is asked anew each time: one that opens meanwhile must not wait for the end of a long pause.
    const waitMs = Math.min(looksLeftMs, quietLeftMs > 0 ? quietLeftMs : idlePingWithRelayMs);
    this.#idleTimer = clock.after(Math.max(waitMs, 1), () => {
      this.#lookAtIdle();
      this.#armIdle();
    });
  }

  /** The last sign of life of the path, as far as that is known. */
  get #quietSinceMs(): number {
    return Math.max(this.#path.heardMs, this.#pingAnsweredMs);
  }

  #lookAtIdle(): void {
    const nowMs = this.#parts.clock.monotonicMs();
    const { idlePingMs, idlePingWithRelayMs } = this.#settings;
    if (nowMs - this.#sessionsLookedMs >= idlePingMs) {
      const sessions = this.#path.openSessions();
      // What arrives by itself is a sign of life: on a metered link a ping more is paid for.
      const quiet = sessions.some((session) => this.#arrivedAtTick.get(session) === session.bytesRead);
      if (quiet || sessions.length === 0) this.check();
      this.#arrivedAtTick = new Map(sessions.map((session) => [session, session.bytesRead]));
      this.#sessionsLookedMs = nowMs;
    } else if (this.#path.hasRelay && this.#path.inUse && nowMs - this.#quietSinceMs >= idlePingWithRelayMs) {
      // One session tells of the path; that each is remembered on its way is found out less often.
      this.check(this.#pingMs, 1);
    }
  }

  async #check(deadlineMs: number, maxSessions: number): Promise<void> {
    const { clock, metrics } = this.#parts;
    const unanswered = new Set(this.#path.openSessions().slice(0, maxSessions));
    let answered = false;
    let doubted = false;
    // Whoever may lend its way out is asked before it is needed.
    const doubting = clock.after(deadlineMs / 2, () => {
      if (over || answered || !this.#path.hasRelay || this.#status !== 'reachable') return;
      doubted = true;
      this.#path.doubted(true);
    });
    let over = false;
    let arrived = this.#path.bytesRead();
    // One turn later: after a pause of the whole process timers run before the sockets have been read.
    const overdue = (): void => void setImmediate(judge);
    const judge = (): void => {
      if (over) return;
      const now = this.#path.bytesRead();
      const alive = [...now].filter(([connection, bytes]) => bytes > (arrived.get(connection) ?? 0));
      if (answered) {
        // The path lives; a session of its own that is silent has been forgotten by something on the way.
        for (const session of unanswered) if (!alive.some(([connection]) => connection === session)) session.destroy();
      } else if (alive.length > 0) {
        // Bytes arrive: the ping only waits behind a large answer.
        arrived = now;
        timer = clock.after(deadlineMs, overdue);
      } else {
        metrics.pings.inc({ outcome: 'overdue' });
        this.happened({ kind: 'silent' });
      }
    };
    let timer = clock.after(deadlineMs, overdue);
    const ping = async (session: StreamSession): Promise<void> => {
      const roundTripMs = await session.ping(clock);
      unanswered.delete(session);
      // The answer is no traffic: a session that brings nothing else is asked again the next time.
      this.#arrivedAtTick.set(session, session.bytesRead);
      this.#pingAnsweredMs = clock.monotonicMs();
      answered = true;
      metrics.pings.inc({ outcome: 'answered' });
      this.measured(roundTripMs);
      this.happened({ kind: 'answered' });
      this.#path.giveUpForgotten();
    };
    if (unanswered.size === 0 && this.#status === 'reachable') {
      await this.#path.openSession().then(
        () => {
          answered = true;
          this.happened({ kind: 'answered' });
        },
        () => undefined, // Reported by openSession.
      );
    }
    const pings = await Promise.allSettled([...unanswered].map(ping));
    over = true;
    timer.cancel();
    doubting.cancel();
    if (doubted) this.#path.doubted(false);
    const failed = pings.filter(({ status }) => status === 'rejected').length;
    metrics.pings.inc({ outcome: 'failed' }, failed);
    // The sessions died under the ping: whether a new one can be had tells what that means.
    if (failed > 0 && !answered && this.#status === 'reachable' && !this.#stopped)
      await this.#path.openSession().catch(() => undefined);
  }

  get #pingMs(): number {
    const { pingTimeoutMs, pingTimeoutWithRelayMs } = this.#settings;
    if (!this.#path.hasRelay) return pingDeadlineMs(this.#roundTripMs, pingTimeoutMs);
    // A link that is slow now and then is not given up each time for a relay that is near.
    return pingDeadlineMs(this.#worstRoundTripMs, pingTimeoutWithRelayMs);
  }

  #probeLater(signal: AbortSignal, held = 0): void {
    const timer = this.#parts.clock.after(probeDelayMs(this.#parts.random(), held, this.#settings), () => {
      const isHeld = this.#heldProbes > 0;
      // Attempts overlap: one may take as long as a satellite link needs, and the next may find the link back.
      if (startsProbe(isHeld, held)) this.#task(this.#probe(signal));
      this.#probeLater(signal, isHeld ? held + 1 : 0);
    });
    signal.addEventListener('abort', () => timer.cancel(), { once: true });
  }

  async #probe(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { metrics } = this.#parts;
    let connected = false;
    try {
      const session = await this.#path.probe(signal, () => {
        connected = true;
        this.#heldProbes += 1;
      });
      metrics.connects.inc({ kind: 'probe', outcome: 'connected' });
      if (signal.aborted) {
        session.destroy();
        return;
      }
      this.#path.adopt(session);
      this.happened({ kind: 'replaced' });
    } catch (error) {
      if (signal.aborted) return;
      metrics.connects.inc({ kind: 'probe', outcome: 'failed' });
      this.happened({ kind: 'dialFailed', reason: lossReasonOf(error) }, error);
    } finally {
      if (connected) this.#heldProbes -= 1;
    }
  }

  /** Ends the sessions that do not answer a ping while another API server is at hand. */
  async #endDeadSessions(): Promise<void> {
    const { clock } = this.#parts;
    const ask = async (session: StreamSession): Promise<void> => {
      const arrived = session.bytesRead;
      const timer = clock.after(this.#pingMs, () => {
        if (session.bytesRead === arrived) session.destroy();
      });
      // It has closed: its streams have failed already.
      await session.ping(clock).catch(() => undefined);
      timer.cancel();
    };
    await Promise.all(this.#path.openSessions().map(ask));
  }

  #task(task: Promise<void>): void {
    this.#tasks.add(task);
    void task.finally(() => this.#tasks.delete(task));
  }
}
