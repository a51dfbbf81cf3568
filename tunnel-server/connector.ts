// Carries out one CONNECT, whichever way it came in: finds the route, dials within the deadline, answers, and joins the two.
import type { ServerHttp2Stream } from 'node:http2';
import type net from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../runtime/clock.ts';
import { LinkedAbort } from '../runtime/linked-abort.ts';
import type { Log } from '../runtime/log.ts';
import type { Endpoint } from '../runtime/settings.ts';
import { carry, connectAnswers, type Answers } from '../tunnel/client-connection.ts';
import { headerText, RefusedError, refuseStream } from '../tunnel/refusal.ts';
import { http2End, socketEnd, splice, type SpliceEnd } from '../tunnel/splice.ts';
import { formatTarget, parseTarget } from '../tunnel/target.ts';
import { dialDirectly } from './direct-dial.ts';
import type { ServerMetrics, Way } from './metrics.ts';
import type { Registry } from './registry.ts';
import { route, type Route, type RouteView } from './route.ts';

export interface ConnectorParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: ServerMetrics;
  readonly registry: Registry;
  readonly view: RouteView;
}

export interface ConnectorSettings {
  /** For the whole dial, the agent's own included. */
  readonly dialTimeoutMs: number;
  readonly maxStreams: number;
  readonly maxStreamsPerNode: number;
}

export interface OpenRequest {
  readonly way: Way;
  readonly authority: string;
  /** Called with the route before anything is dialled; throws RefusedError. */
  allow(route: Route, signal: AbortSignal): Promise<void>;
}

export interface JoinRequest extends OpenRequest {
  readonly socket: net.Socket;
}

export interface AttachRequest extends OpenRequest {
  readonly stream: ServerHttp2Stream;
}

export interface ConnectRequest extends JoinRequest {
  /** What the client sent behind the head of its request. */
  readonly head: Buffer;
}

/**
 * How long a far end that speaks first is held back, unless the client speaks: kube-apiserver's CONNECT client refuses every
 * byte that it reads together with the answer, and nothing tells when it has read that.
 */
const holdMs = 200;

export class Connector {
  readonly #parts: ConnectorParts;
  readonly #settings: ConnectorSettings;
  readonly #open = new Set<Duplex>();

  constructor(parts: ConnectorParts, settings: ConnectorSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  get openStreams(): number {
    return this.#open.size;
  }

  /** Cuts everything that is open. */
  destroy(): void {
    for (const stream of this.#open) stream.destroy();
  }

  /** Answers a CONNECT and joins the two ends. Resolves when the connection is over; never rejects. */
  async connect(request: ConnectRequest): Promise<void> {
    const { socket } = request;
    const hold = (): Promise<void> =>
      new Promise((resolve) => {
        const timer = this.#parts.clock.after(holdMs, resolve);
        for (const event of ['data', 'end', 'close'] as const) socket.once(event, () => (timer.cancel(), resolve()));
      });
    await this.#carry(request, connectAnswers(socket, hold));
  }

  /** Joins a client that knows nothing of a tunnel; it is reset if there is no way. Resolves as `connect` does. */
  async join(request: JoinRequest): Promise<void> {
    const { socket } = request;
    const refused = (): void => socketEnd(socket).reset();
    await this.#carry({ ...request, head: Buffer.alloc(0) }, { refused, accepted: () => Promise.resolve() });
  }

  /** Answers a stream of HTTP/2 and joins it. Resolves as `connect` does. */
  async attach(request: AttachRequest): Promise<void> {
    const { way, stream } = request;
    const gone = new AbortController();
    stream.once('close', () => gone.abort());
    this.#opened(way, stream);
    try {
      const far = await this.#reach(request, gone.signal);
      stream.respond({ ':status': 200 });
      const result = await splice(http2End(stream), far);
      this.#parts.metrics.bytes(way, result.backBytes, result.forthBytes);
    } catch (error) {
      if (error instanceof RefusedError) refuseStream(stream, error);
    }
  }

  async #carry(request: ConnectRequest, answers: Answers): Promise<void> {
    const { way, socket } = request;
    this.#opened(way, socket);
    const result = await carry(request, (gone) => this.#reach(request, gone), answers);
    if (result !== undefined) this.#parts.metrics.bytes(way, result.backBytes, result.forthBytes);
  }

  /** A connection for a caller that speaks on it itself, and ends it. Rejects with RefusedError, or when `gone` aborts. */
  async open(request: OpenRequest, gone: AbortSignal): Promise<Duplex> {
    const { stream } = await this.#reach(request, gone);
    this.#opened(request.way, stream);
    return stream;
  }

  #opened(way: Way, stream: Duplex): void {
    this.#open.add(stream);
    this.#parts.metrics.streams(way, 1);
    const over = (): void => {
      this.#open.delete(stream);
      this.#parts.metrics.streams(way, -1);
    };
    if (stream.closed) over();
    else stream.once('close', over);
  }

  /** Route, rights and dial, within the deadline, and counted. Rejects with RefusedError, or with `cancelled`. */
  async #reach(request: OpenRequest, gone: AbortSignal): Promise<SpliceEnd> {
    const { way, authority } = request;
    const { metrics, clock, log, view } = this.#parts;
    const { dialTimeoutMs } = this.#settings;
    const startMs = clock.monotonicMs();
    using abort = new LinkedAbort(gone);
    const timer = clock.after(dialTimeoutMs, () =>
      abort.abort(new RefusedError('timeout', `dial ${headerText(authority)}: no answer in ${dialTimeoutMs} ms`)),
    );
    try {
      const target = parseTarget(authority);
      const chosen = route(target, view);
      await request.allow(chosen, abort.signal);
      abort.signal.throwIfAborted();
      const far = await this.#dial(way, target, chosen, abort.signal);
      metrics.dialled(way, clock.monotonicMs() - startMs);
      return far;
    } catch (error) {
      if (gone.aborted) {
        metrics.dial(way, 'cancelled');
        throw cancelled;
      }
      const reason: unknown = abort.signal.aborted ? abort.signal.reason : error;
      const refusal = reason instanceof RefusedError ? reason : new RefusedError('failed', String(reason), reason);
      metrics.dial(way, refusal.reason);
      log.debug('a connection was refused', { way, target: authority, reason: refusal.reason, why: refusal.message });
      throw refusal;
    } finally {
      timer.cancel();
    }
  }

  async #dial(way: Way, target: Endpoint, chosen: Route, signal: AbortSignal): Promise<SpliceEnd> {
    const { metrics, registry } = this.#parts;
    if (this.#open.size > this.#settings.maxStreams)
      throw new RefusedError('limit', `${this.#settings.maxStreams} connections through this server are open already`);
    if (chosen.kind === 'direct') {
      const socket = await dialDirectly(chosen.target, formatTarget(target), signal);
      metrics.dial(way, 'direct');
      return socketEnd(socket);
    }
    const { node } = chosen;
    const { maxStreamsPerNode } = this.#settings;
    if (registry.openStreams(node) >= maxStreamsPerNode)
      throw new RefusedError('limit', `${maxStreamsPerNode} connections to node ${node} are open already`);
    const stream = await this.#openStream(node, formatTarget(chosen.target), signal);
    metrics.dial(way, 'node');
    return http2End(stream);
  }

  /** A connection that breaks before the answer is tried once more over the next one, if there is one. */
  async #openStream(
    node: string,
    target: string,
    signal: AbortSignal,
  ): ReturnType<NonNullable<ReturnType<Registry['pick']>>['open']> {
    const { registry } = this.#parts;
    const gone = (): RefusedError => new RefusedError('not-connected', `node ${node} is not connected to the tunnel`);
    const session = registry.pick(node);
    if (session === undefined) throw gone();
    try {
      return await session.open(target, signal);
    } catch (error) {
      const next = registry.pick(node);
      const isBroken = error instanceof RefusedError && error.reason === 'broken';
      if (!isBroken || next === undefined || next === session) throw error;
      return await next.open(target, signal);
    }
  }
}

const cancelled = new Error('the client left');
