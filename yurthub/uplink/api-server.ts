// Everything that leads to one API server: its connections in both lanes, and the state of the path.
import type { OnReadOpts } from 'node:net';
import type { Clock } from '../../runtime/clock.ts';
import { BatchBlocks } from '../http2/batch-blocks.ts';
import type { Log } from '../../runtime/log.ts';
import type { Headers, Lane } from '../types.ts';
import { abortable } from './abortable.ts';
import { isGatewayCode, isStatusBody, maxStatusBytes } from './kubernetes-status.ts';
import { lossReasonOf, type PathStatus } from './cloud-state.ts';
import type { Credentials } from './credentials.ts';
import { dialTls, type Dialled, type DialTarget } from './dial.ts';
import type { AnswerSink, ChunkHold, Exchange, ExchangeFailure, Outgoing } from './exchange.ts';
import { GatewayError } from './gateway-filter.ts';
import type { UplinkMetrics } from './metrics.ts';
import { isRepeatable, isWatch, sharesSession } from './request-plan.ts';
import { PathMonitor, type MonitoredPath } from './path-monitor.ts';
import type { RelayWay } from './relay.ts';
import { SessionInput } from './session-input.ts';
import { SessionPool } from './session-pool.ts';
import type { SessionRequest } from './session-request.ts';
import type { UplinkSettings } from './settings.ts';
import { StreamSession } from './stream-session.ts';
import { UnaryPool, type ConnectionTaker } from './unary-pool.ts';

export interface ApiServerParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: UplinkMetrics;
  readonly random: () => number;
  readonly credentials: Credentials;
  readonly statusChanged: () => void;
  /** own: dialled by this node. Otherwise through a node nearby, and only from `seek` to `rest`. */
  readonly way: 'own' | RelayWay;
  /** Whether another way would be at hand. */
  readonly hasRelay: () => boolean;
  /** Whether requests go there, or went there last. */
  readonly inUse: () => boolean;
  /** Whether it may be lost, with another way at hand. */
  readonly doubted: (isDoubted: boolean) => void;
}

type DialKind = 'unary' | 'session' | 'raw';

export class ApiServer implements MonitoredPath {
  /** For people: host and port, and by which way. */
  readonly name: string;
  /** Host and port, as requests name it. */
  readonly #authority: string;
  readonly #parts: ApiServerParts;
  readonly #settings: UplinkSettings;
  readonly #target: DialTarget;
  readonly #unary: Record<Lane, UnaryPool>;
  readonly #sessions: Record<Lane, SessionPool>;
  /** When the last unary request began, and how many streams under way are no watches. */
  readonly #lanes: Record<Lane, { lastUnaryMs: number; lists: number }> = {
    node: { lastUnaryMs: -Infinity, lists: 0 },
    bearer: { lastUnaryMs: -Infinity, lists: 0 },
  };
  /** Of all sessions: what they read, and what they write. */
  readonly #input = new SessionInput();
  readonly #batches = new BatchBlocks();
  readonly #monitor: PathMonitor;
  /** Requests without a head yet, oldest first. */
  readonly #unanswered = new Set<Attempt>();
  readonly #stop = new AbortController();
  #confirming: Promise<boolean> | undefined;
  #heardMs = Number.NEGATIVE_INFINITY;

  constructor(parts: ApiServerParts, settings: UplinkSettings, url: string) {
    const { protocol, hostname, host, port } = new URL(url);
    if (protocol !== 'https:') throw new TypeError(`${url} is not an https URL`);
    this.name = parts.way === 'own' ? host : `${host} through a peer`;
    this.#authority = host;
    this.#parts = parts;
    this.#settings = settings;
    this.#target = {
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: port === '' ? 443 : Number(port),
      serverName: settings.tlsServerName,
    };
    const unary = (lane: Lane): UnaryPool =>
      new UnaryPool(
        { clock: parts.clock, host, dial: (onread) => this.#dial(lane, 'unary', this.#stop.signal, onread) },
        { maxConnections: settings.maxUnaryConnections, idleMs: settings.unaryIdleMs },
      );
    this.#unary = { node: unary('node'), bearer: unary('bearer') };
    const sessions = (lane: Lane): SessionPool => new SessionPool(() => this.#openSession(lane));
    this.#sessions = { node: sessions('node'), bearer: sessions('bearer') };
    this.#monitor = new PathMonitor(parts, settings, this, parts.way === 'own' ? 'hoped-for' : 'at-rest');
  }

  get hasRelay(): boolean {
    return this.#parts.hasRelay();
  }

  get inUse(): boolean {
    return this.#parts.inUse();
  }

  get heardMs(): number {
    return this.#heardMs;
  }

  doubted(isDoubted: boolean): void {
    this.#parts.doubted(isDoubted);
  }

  get status(): PathStatus {
    return this.#monitor.status;
  }

  get roundTripMs(): number {
    return this.#monitor.roundTripMs;
  }

  start(): void {
    this.#monitor.start();
  }

  /** Begins to use a way that rests; `status` says when it has been found. */
  seek(): void {
    this.#monitor.seek();
  }

  /** Another way has proved steady: what is under way in this one is told to go there, and nothing new comes. */
  rest(): void {
    this.#monitor.rest();
    for (const pool of Object.values(this.#unary)) pool.retire();
    for (const pool of Object.values(this.#sessions)) pool.leave();
  }

  async stop(): Promise<void> {
    const reason = new Error('the uplink stops');
    this.#stop.abort(reason);
    for (const attempt of this.#unanswered) attempt.giveUp(reason);
    for (const pool of Object.values(this.#unary)) pool.destroy(reason);
    for (const pool of Object.values(this.#sessions)) pool.destroy();
    await this.#monitor.stop();
  }

  /** New connections use the new credentials; what is under way ends on the old ones. */
  retireNodeLane(): void {
    this.#unary.node.retire();
    this.#sessions.node.drain();
  }

  /** Starts one exchange. `fresh`: on a connection that was not idle before. */
  send(request: Outgoing, transport: 'unary' | 'stream', sink: AnswerSink, fresh: boolean): Exchange {
    const attempt = new Attempt(sink, this.#parts.clock.monotonicMs(), this.#unanswered, this.#heard);
    this.#monitor.requestStarted();
    if (transport === 'unary') this.#sendUnary(request, attempt, fresh);
    else this.#sendStream(request, attempt);
    return attempt;
  }

  /** A raw TLS connection for an upgrade: HTTP/1.1, nothing sent yet. Rejects as soon as the path is known to be lost. */
  async dialRaw(lane: Lane, signal: AbortSignal): Promise<Dialled> {
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    const attempt = new Attempt(
      { ...ignoring, fail: ({ error }) => controller.abort(error) },
      this.#parts.clock.monotonicMs(),
      this.#unanswered,
      this.#heard,
    );
    this.#monitor.requestStarted();
    try {
      return await this.#dial(lane, 'raw', controller.signal);
    } finally {
      attempt.abort();
      signal.removeEventListener('abort', onAbort);
    }
  }

  readonly #heard = (): void => void (this.#heardMs = this.#parts.clock.monotonicMs());

  /** A request broke: what that says of the path is found out at once. */
  suspectLoss(): void {
    this.#monitor.check();
  }

  /** Its streams had better go on at another API server, which can be reached. */
  leave(): void {
    this.#monitor.leave();
  }

  /** After a 502, 503 or 504 without a Status: whether the API server itself cannot be asked. Callers share one question. */
  confirmLoss(): Promise<boolean> {
    this.#confirming ??= this.#confirmLoss().finally(() => void (this.#confirming = undefined));
    return this.#confirming;
  }

  async #confirmLoss(): Promise<boolean> {
    const question = this.#readyz((ask) => this.#sessions.node.use(ask, this.#stop.signal));
    // Answers nothing: as lost as one that answers 503, and the client has waited long enough.
    const controller = new AbortController();
    const timer = this.#parts.clock.after(this.#settings.dialTimeoutMs, () =>
      controller.abort(new Error(`${this.name} does not answer /readyz`)),
    );
    try {
      await abortable(question, controller.signal);
      return false;
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#monitor.happened({ kind: 'gateway' }, error);
      return true;
    } finally {
      timer.cancel();
    }
  }

  // What the monitor asks for

  openSessions(): StreamSession[] {
    return Object.values(this.#sessions)
      .flatMap((pool) => [...pool.sessions])
      .filter((session) => session.open);
  }

  openSession(): Promise<StreamSession> {
    return this.#sessions.node.open();
  }

  async probe(signal: AbortSignal, connected: () => void): Promise<StreamSession> {
    const session = await this.#startSession('node', signal, (options) => this.#dialTls({ ...options, connected }));
    try {
      const onAbort = (): void => session.destroy();
      signal.addEventListener('abort', onAbort, { once: true });
      const timer = this.#parts.clock.after(this.#settings.dialTimeoutMs, onAbort);
      try {
        signal.throwIfAborted();
        await this.#readyz((ask) => Promise.resolve(ask(session)));
      } finally {
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
      }
    } catch (error) {
      session.destroy();
      throw error;
    }
    return session;
  }

  adopt(session: StreamSession): void {
    this.#watch(session);
    this.#sessions.node.adopt(session);
  }

  bytesRead(): Map<object, number> {
    const connections = [...this.#unary.node.connections, ...this.#unary.bearer.connections, ...this.openSessions()];
    return new Map(connections.map((connection) => [connection, connection.bytesRead]));
  }

  oldestUnansweredMs(): number | undefined {
    for (const attempt of this.#unanswered) return attempt.startedMs;
    return undefined;
  }

  rejectPending(): void {
    for (const attempt of this.#unanswered) attempt.giveUp(new Error(`${this.name} is silent`));
  }

  giveUpForgotten(): void {
    const beforeMs = this.#parts.clock.monotonicMs() - this.#settings.forgottenMs;
    for (const attempt of this.#unanswered) {
      if (attempt.startedMs > beforeMs) return;
      if (attempt.mayBeForgotten) attempt.giveUp(new Error(`a connection to ${this.name} is silent`), true);
    }
  }

  rejectWaiting(): void {
    for (const attempt of this.#unanswered)
      if (!attempt.sent) attempt.giveUp(new Error(`${this.name} cannot be reached`));
  }

  dropSilent(since: Map<object, number>): void {
    const pools = [...Object.values(this.#unary).map((pool) => pool.connections), this.openSessions()];
    for (const connection of pools.flatMap((pool) => [...pool]))
      if (since.get(connection) === connection.bytesRead) connection.destroy();
  }

  statusChanged(): void {
    this.#parts.statusChanged();
  }

  // Connections

  async #dial(lane: Lane, kind: DialKind, signal: AbortSignal, onread?: OnReadOpts): Promise<Dialled> {
    const { metrics, credentials, clock } = this.#parts;
    try {
      const dialled = await this.#dialTls({
        secureContext: credentials.context(lane),
        alpn: kind === 'session' ? 'h2' : 'http/1.1',
        timeoutMs: this.#settings.dialTimeoutMs,
        clock,
        signal,
        onread,
      });
      metrics.connects.inc({ kind, outcome: 'connected' });
      this.#monitor.measured(dialled.roundTripMs);
      return dialled;
    } catch (error) {
      if (!signal.aborted) this.#dialFailed(kind, error);
      throw error;
    }
  }

  async #dialTls(options: Parameters<typeof dialTls>[1]): Promise<Dialled> {
    const { way } = this.#parts;
    if (way === 'own') return await dialTls(this.#target, options);
    return await dialTls(this.#target, { ...options, through: await way.open(this.#target, options.signal) });
  }

  #dialFailed(kind: DialKind, error: unknown): void {
    this.#parts.metrics.connects.inc({ kind, outcome: 'failed' });
    this.#monitor.happened({ kind: 'dialFailed', reason: lossReasonOf(error) }, error);
  }

  async #openSession(lane: Lane): Promise<StreamSession> {
    try {
      const session = await this.#startSession(lane, this.#stop.signal, (options) => this.#dialTls(options));
      this.#parts.metrics.connects.inc({ kind: 'session', outcome: 'connected' });
      this.#watch(session);
      return session;
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#dialFailed('session', error);
      throw error;
    }
  }

  async #startSession(
    lane: Lane,
    signal: AbortSignal,
    dial: (options: Parameters<typeof dialTls>[1]) => Promise<Dialled>,
  ): Promise<StreamSession> {
    const { credentials, clock } = this.#parts;
    const { maxStreamsPerSession, streamWindowBytes, sessionWindowBytes, dialTimeoutMs } = this.#settings;
    const input = this.#input.open();
    const { socket, roundTripMs } = await dial({
      secureContext: credentials.context(lane),
      alpn: 'h2',
      timeoutMs: dialTimeoutMs,
      clock,
      signal,
      onread: input.onread,
    });
    this.#monitor.measured(roundTripMs);
    const timer = clock.after(dialTimeoutMs, () => socket.destroy());
    const settings = { maxStreams: maxStreamsPerSession, streamWindowBytes, sessionWindowBytes };
    try {
      return await StreamSession.start(this.#authority, { socket, input }, this.#batches, settings, signal);
    } finally {
      timer.cancel();
    }
  }

  /** A session that ends unasked says something of the path: it is checked at once. */
  #watch(session: StreamSession): void {
    session.onClose(() => {
      if (!this.#stop.signal.aborted) this.#monitor.check();
    });
  }

  /** Resolves when an API server has answered, with whatever status; rejects with GatewayError when something else has. */
  #readyz(use: (ask: (session: StreamSession) => Exchange) => Promise<Exchange>): Promise<void> {
    return new Promise((resolve, reject) => {
      let statusCode = 0;
      const chunks: Buffer[] = [];
      let bytes = 0;
      const answer: AnswerSink = {
        ...ignoring,
        head: (code) => void (statusCode = code),
        data: (chunk) => {
          bytes += chunk.length;
          if (bytes <= maxStatusBytes) chunks.push(Buffer.from(chunk));
          return true;
        },
        end: () => {
          if (!isGatewayCode(statusCode) || isStatusBody(Buffer.concat(chunks), undefined)) resolve();
          else reject(new GatewayError(statusCode));
        },
        fail: ({ error }) => reject(error),
      };
      const request = this.#sessionRequest({ method: 'GET', target: '/readyz', headers: {} }, undefined);
      use((session) => session.request(request, answer)).catch(reject);
    });
  }

  // Exchanges

  #sendUnary(request: Outgoing, attempt: Attempt, fresh: boolean): void {
    const pool = this.#unary[request.lane];
    const shares = !fresh && this.#sharesSession(request, attempt.startedMs);
    this.#lanes[request.lane].lastUnaryMs = attempt.startedMs;
    if (shares) {
      this.#sendStream(request, attempt);
      return;
    }
    const idle = fresh ? undefined : pool.takeIdle();
    if (idle !== undefined) {
      // Whatever else, such as a server that thinks long, looks the same on a connection that has just carried something.
      const wasLeftAlone = attempt.startedMs - idle.idleSinceMs >= this.#settings.forgottenIdleMs;
      attempt.mayBeForgotten = wasLeftAlone && isRepeatable(request);
      attempt.carriedBy(idle.send(request, attempt, pool));
      return;
    }
    const taker: ConnectionTaker = {
      take: (connection) => attempt.carriedBy(connection.send(request, attempt, pool)),
      refuse: (error) => attempt.fail({ error, sent: false, reused: false }),
    };
    attempt.onGivenUp(() => pool.leave(taker));
    pool.acquire(taker, fresh);
  }

  #sharesSession(request: Outgoing, nowMs: number): boolean {
    const { lane } = request;
    const { lastUnaryMs, lists } = this.#lanes[lane];
    const state = { busy: this.#unary[lane].busy, sinceLastMs: nowMs - lastUnaryMs, listsUnderWay: lists };
    return this.#sessions[lane].usable && sharesSession(request, state);
  }

  /** A body is one that `sharesSession` took. */
  #sendStream(request: Outgoing, attempt: Attempt): void {
    const body = Buffer.isBuffer(request.body) ? request.body : undefined;
    const lane = this.#lanes[request.lane];
    if (body === undefined && !isWatch(request.target)) {
      lane.lists += 1;
      attempt.onOver(() => void (lane.lists -= 1));
    }
    const start = (session: StreamSession): Exchange => session.request(this.#sessionRequest(request, body), attempt);
    abortable(this.#sessions[request.lane].use(start, attempt.signal), this.#stop.signal).then(
      (exchange) => {
        if (attempt.over) exchange.abort();
        else attempt.carriedBy(exchange);
      },
      (error: Error) => attempt.fail({ error, sent: false, reused: false }),
    );
  }

  #sessionRequest(request: Pick<Outgoing, 'method' | 'target' | 'headers'>, body: Buffer | undefined): SessionRequest {
    const { method, target, headers } = request;
    return { method, target, authority: this.#authority, headers, body };
  }
}

const ignoring: AnswerSink = {
  interim: () => undefined,
  head: () => undefined,
  data: () => true,
  end: () => undefined,
  fail: () => undefined,
};

/** One exchange from before it has a connection; makes sure that its sink hears of one end only. */
class Attempt implements Exchange, AnswerSink {
  readonly startedMs: number;
  readonly #target: AnswerSink;
  readonly #unanswered: Set<Attempt>;
  readonly #heard: () => void;
  /** It may be sent again, and is on a connection that nobody had used for a while. */
  mayBeForgotten = false;
  #controller: AbortController | undefined;
  #leave: (() => void) | undefined;
  #whenOver: (() => void) | undefined;
  #exchange: Exchange | undefined;
  #over = false;

  /** It is in `unanswered` until it has its head, or is over without one. `heard`: called with everything that arrives. */
  constructor(target: AnswerSink, startedMs: number, unanswered: Set<Attempt>, heard: () => void) {
    this.startedMs = startedMs;
    this.#target = target;
    this.#unanswered = unanswered;
    this.#heard = heard;
    unanswered.add(this);
  }

  get over(): boolean {
    return this.#over;
  }

  /** Calls back when the attempt is over before it has a connection. */
  onGivenUp(leave: () => void): void {
    if (this.#over) leave();
    else this.#leave = leave;
  }

  /** Calls back when it is over, however it ended. */
  onOver(listener: () => void): void {
    this.#whenOver = listener;
  }

  /** Aborts when the attempt is over before it has a connection. Made when asked for: unary requests have no use for it. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#over) this.#controller.abort();
    return this.#controller.signal;
  }

  get sent(): boolean {
    return this.#exchange !== undefined;
  }

  carriedBy(exchange: Exchange): void {
    this.#exchange = exchange;
    this.#controller = undefined;
    this.#leave = undefined;
  }

  /** `reused`: its connection may be at fault, and nothing else. */
  giveUp(error: Error, reused = false): void {
    const { sent } = this;
    this.#exchange?.abort();
    this.fail({ error, sent, reused });
  }

  abort(): void {
    if (!this.#finish()) return;
    this.#exchange?.abort();
  }

  resume(): void {
    this.#exchange?.resume();
  }

  interim(statusCode: number, headers: Headers): void {
    if (!this.#over) this.#target.interim(statusCode, headers);
  }

  head(statusCode: number, headers: Headers): void {
    this.#unanswered.delete(this);
    this.#heard();
    if (!this.#over) this.#target.head(statusCode, headers);
  }

  data(chunk: Buffer, hold: ChunkHold): boolean {
    this.#heard();
    return this.#over || this.#target.data(chunk, hold);
  }

  end(trailers: Headers | undefined): void {
    if (this.#finish()) this.#target.end(trailers);
  }

  fail(failure: ExchangeFailure): void {
    if (this.#finish()) this.#target.fail(failure);
  }

  #finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#unanswered.delete(this);
    this.#controller?.abort();
    this.#leave?.();
    this.#whenOver?.();
    return true;
  }
}
