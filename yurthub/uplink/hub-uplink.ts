// The uplink: requests find an API server that can be reached, and the hub learns when none can.
import { pipeline, type Readable } from 'node:stream';
import type tls from 'node:tls';
import { createGunzip } from 'node:zlib';
import type { Clock } from '../../runtime/clock.ts';
import { headerValue } from '../../runtime/headers.ts';
import type { Log } from '../../runtime/log.ts';
import { ClientGoneError, CloudUnreachableError } from '../errors.ts';
import type {
  CloudState,
  ForwardOutcome,
  HubRequest,
  HubResponse,
  Lane,
  Presence,
  Uplink,
  StreamTap,
  UpstreamReply,
  UpstreamRequest,
  UpstreamStream,
} from '../types.ts';
import { BrokenExchange, ForwardAnswer, WholeAnswer, type Answer } from './answers.ts';
import { ApiServer } from './api-server.ts';
import type { Credentials } from './credentials.ts';
import type { ExchangeFailure, Outgoing } from './exchange.ts';
import { GatewayFilter } from './gateway-filter.ts';
import { countRequest, type RequestOutcome, type UplinkMetrics } from './metrics.ts';
import { noRelay, type RelayWay } from './relay.ts';
import { RelayedServers } from './relayed-servers.ts';
import { holdsBody, isWatch, planRetry, transportOf } from './request-plan.ts';
import { chooseServer, newStanding, standingAfter, type ServerStanding } from './server-choice.ts';
import type { UplinkSettings } from './settings.ts';
import { StreamedAnswer } from './streamed-answer.ts';

export interface HubUplinkParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: UplinkMetrics;
  readonly credentials: Credentials;
  /** In [0, 1): jitter of probes, and of the return to a server. */
  readonly random: () => number;
  /** The way for when no API server can be reached otherwise; `noRelay` for none. */
  readonly relay: RelayWay;
}

/** By which way API servers can be reached now. */
export interface CloudAccess {
  readonly reachable: boolean;
  /** One can be reached without a relay. */
  readonly own: boolean;
}

export class HubUplink implements Uplink {
  readonly #parts: HubUplinkParts;
  readonly #settings: UplinkSettings;
  readonly #servers: readonly ApiServer[];
  readonly #throughPeers: readonly ApiServer[];
  readonly #relayed: RelayedServers;
  readonly #listeners = new Set<(state: CloudState) => void>();
  readonly #accessListeners = new Set<(access: CloudAccess) => void>();
  #own = true;
  /** Servers, by index, whose ping is late. */
  readonly #inDoubt = new Set<number>();
  readonly #standings: ServerStanding[];
  /** Index of the server that the last request went to. */
  #last: number;
  #cloud: CloudState;

  /** Throws TypeError when there is no API server, or one whose URL is not https. */
  constructor(parts: HubUplinkParts, settings: UplinkSettings) {
    if (settings.apiServers.length === 0) throw new TypeError('an uplink needs at least one API server');
    this.#parts = parts;
    this.#settings = settings;
    this.#cloud = { reachable: true, sinceMs: parts.clock.wallMs() };
    const { relay } = parts;
    const hasRelay = (): boolean => relay.isOpen;
    this.#servers = settings.apiServers.map(
      (url, index) =>
        new ApiServer(
          {
            ...parts,
            way: 'own',
            hasRelay,
            inUse: () => this.#last === index,
            doubted: (isDoubted) => this.#doubted(index, isDoubted),
            statusChanged: () => this.#statusChanged(index),
          },
          settings,
          url,
        ),
    );
    this.#throughPeers = (relay === noRelay ? [] : settings.apiServers).map(
      (url) =>
        new ApiServer(
          {
            ...parts,
            way: relay,
            hasRelay: () => false,
            inUse: () => false,
            doubted: () => undefined,
            statusChanged: () => this.#cloudChanged(),
          },
          settings,
          url,
        ),
    );
    this.#relayed = new RelayedServers(
      {
        ...parts,
        servers: this.#throughPeers,
        checkOwn: () => {
          for (const server of this.#servers) server.suspectLoss();
        },
      },
      settings.ownWaySteady,
    );
    this.#standings = this.#servers.map(() => newStanding(parts.clock.monotonicMs()));
    // In turn: not all nodes begin at the same server.
    this.#last = settings.apiServerOrder === 'priority' ? 0 : Math.floor(parts.random() * this.#servers.length);
    for (const { name } of this.#servers) parts.metrics.serverReachable.set({ server: name }, 1);
  }

  /** Starts with reachable: true; a cloud that is out of reach is known within 3 s of `run`. */
  get cloud(): CloudState {
    return this.#cloud;
  }

  /** Of the API server in use, milliseconds, as last measured; 0 before the first measure. */
  get roundTripMs(): number {
    return this.#servers[this.#last]?.roundTripMs ?? 0;
  }

  get access(): CloudAccess {
    return { reachable: this.#cloud.reachable, own: this.#own };
  }

  /** Calls back on every change; returns the way to stop that. */
  onAccessChange(listener: (access: CloudAccess) => void): () => void {
    this.#accessListeners.add(listener);
    return () => void this.#accessListeners.delete(listener);
  }

  onCloudChange(listener: (state: CloudState) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Connects and watches the paths; settles when every connection is closed. */
  async run(signal: AbortSignal): Promise<void> {
    const { credentials } = this.#parts;
    await credentials.load();
    const stopListening = credentials.onChange(() => {
      for (const server of [...this.#servers, ...this.#throughPeers]) server.retireNodeLane();
    });
    if (!signal.aborted) for (const server of this.#servers) server.start();
    await credentials.run(signal);
    stopListening();
    // Also where the start was given up: requests may have opened connections before it.
    this.#relayed.stop();
    await Promise.all([...this.#servers, ...this.#throughPeers].map((server) => server.stop()));
  }

  forward(
    request: HubRequest,
    response: HubResponse,
    options: { captureBytes?: number } = {},
  ): Promise<ForwardOutcome> {
    if (request.body === null) return this.#forward(request, undefined, response, options);
    return this.#body(request.body, request).then((body) => this.#forward(request, body, response, options));
  }

  #forward(
    request: HubRequest,
    body: Outgoing['body'],
    response: HubResponse,
    options: { captureBytes?: number },
  ): Promise<ForwardOutcome> {
    const { method, target, headers, identity } = request;
    const client = request.client ?? new SignalPresence(request.signal);
    if (client.left) return Promise.reject(new ClientGoneError());
    const transport = transportOf(request);
    const outgoing: Outgoing = { method, target, headers, body, lane: identity.kind };
    const maxQueuedBytes = transport === 'unary' ? this.#settings.maxQueuedBytes : this.#settings.maxStreamQueuedBytes;
    const captureBytes = options.captureBytes ?? 0;
    return this.#exchange(outgoing, transport, client, () => new ForwardAnswer(response, captureBytes, maxQueuedBytes));
  }

  async fetch(request: UpstreamRequest, options: { maxBodyBytes: number }): Promise<UpstreamReply> {
    const reply = await this.#exchange(
      outgoingOf(request, { 'accept-encoding': 'identity' }),
      'unary',
      new SignalPresence(request.signal),
      () => new WholeAnswer(options.maxBodyBytes),
    );
    return reply;
  }

  async stream(request: UpstreamRequest, tap?: StreamTap): Promise<UpstreamStream> {
    const { lane, signal } = request;
    const { statusCode, headers, body } = await this.#exchange(
      outgoingOf(request, { 'accept-encoding': headerValue(request.headers, 'accept-encoding') ?? 'gzip' }),
      'stream',
      new SignalPresence(signal),
      () =>
        new StreamedAnswer((cause) => {
          this.#count(lane, 'broken');
          return new CloudUnreachableError('the connection was lost', { sent: true, cause });
        }),
    );
    const onAbort = (): void => body.destroy(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    void body.closed.then(() => signal.removeEventListener('abort', onAbort));
    const { 'content-encoding': encoding, 'content-length': _length, ...others } = headers;
    tap?.head(statusCode, headers);
    const tapped = tap === undefined ? body : tappedBody(body, tap);
    if (encoding !== 'gzip') {
      if (!isWatch(request.target)) body.reuse(() => tap?.settled ?? true);
      return { statusCode, headers, body: tapped };
    }
    const plain = pipeline(tapped, createGunzip({ chunkSize: 64 << 10 }), () => undefined);
    // A reader that leaves early closes what it reads from; the pipeline would notice at the next bytes only.
    plain.once('close', () => void body.return());
    return { statusCode, headers: others, body: plain as AsyncIterable<Buffer> };
  }

  /**
   * A TLS connection for an upgrade, with ALPN http/1.1 and nothing sent on it yet; it is the caller's to close.
   * Rejects with CloudUnreachableError when none can be had, ClientGoneError when `signal` aborts.
   */
  async dialRaw(lane: Lane, signal: AbortSignal): Promise<tls.TLSSocket> {
    let cause: unknown;
    for (let tries = 0; tries <= this.#servers.length; tries += 1) {
      const server = this.#choose();
      if (server === undefined) break;
      try {
        return (await server.dialRaw(lane, signal)).socket;
      } catch (error) {
        if (signal.aborted) throw new ClientGoneError();
        cause = error;
      }
    }
    throw new CloudUnreachableError('no API server can be reached', { sent: false, cause });
  }

  async #exchange<T>(
    outgoing: Outgoing,
    transport: 'unary' | 'stream',
    client: Presence,
    makeAnswer: () => Answer<T>,
  ): Promise<T> {
    const { lane, method, body } = outgoing;
    const plan = {
      method,
      bodyHeld: body === undefined || Buffer.isBuffer(body),
      maxTries: this.#servers.length + 1,
    };
    let server = this.#choose();
    let fresh = false;
    let sent = false;
    let failure: ExchangeFailure | undefined;
    for (let tries = 1; server !== undefined; tries += 1) {
      const answer = makeAnswer();
      const giveUp = this.#start(server, outgoing, transport, answer, fresh);
      const stopListening = client.onLeave(giveUp);
      if (client.left) giveUp();
      try {
        const outcome = await answer.done;
        this.#count(lane, answer.broken ? 'broken' : 'answered');
        return outcome;
      } catch (error) {
        if (client.left) {
          this.#count(lane, 'client_gone');
          throw new ClientGoneError();
        }
        if (!(error instanceof BrokenExchange)) {
          this.#count(lane, 'failed');
          throw error;
        }
        failure = error.failure;
        sent ||= failure.sent;
        server.suspectLoss();
        const next = this.#choose();
        const again = planRetry(plan, failure, tries, next !== server);
        if (again === undefined) break;
        fresh = again.fresh;
        server = next;
      } finally {
        stopListening();
      }
    }
    this.#count(lane, 'unreachable');
    throw new CloudUnreachableError('no answer from an API server', { sent, cause: failure?.error });
  }

  /** Starts one attempt; returns the way to give it up, as a client that leaves does. */
  #start<T>(
    server: ApiServer,
    outgoing: Outgoing,
    transport: 'unary' | 'stream',
    answer: Answer<T>,
    fresh: boolean,
  ): () => void {
    const filter = new GatewayFilter(answer, server, outgoing.method);
    answer.exchange = server.send(outgoing, transport, filter, fresh);
    return () => {
      filter.abandon();
      answer.exchange?.abort();
      answer.reject(new ClientGoneError());
    };
  }

  /** What goes upstream as the body: nothing, all of it in memory, or a stream that is read as upstream takes it. */
  async #body(body: Readable, request: HubRequest): Promise<Outgoing['body']> {
    const { headers } = request;
    const { maxHeldRequestBytes } = this.#settings;
    // Already read by someone before us: the request holds it.
    if (body.readableDidRead) return await request.readBody(Infinity);
    if (holdsBody(headerValue(headers, 'content-length'), maxHeldRequestBytes))
      return await request.readBody(maxHeldRequestBytes);
    // Never the stream itself: an upload that is given up would end it, and an Http2Stream is the response as well.
    return body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  }

  #choose(): ApiServer | undefined {
    return this.#relayed.choose(this.#chooseOwn());
  }

  #chooseOwn(): ApiServer | undefined {
    const chosen =
      this.#servers.length === 1
        ? this.#standings[0]?.status === 'reachable'
          ? 0
          : undefined
        : chooseServer(this.#settings.apiServerOrder, this.#standings, this.#last, this.#parts.clock.monotonicMs());
    if (chosen === undefined) return undefined;
    if (chosen !== this.#last && this.#settings.apiServerOrder === 'priority')
      this.#parts.log.info('requests go to another API server', { server: this.#servers[chosen]?.name });
    this.#last = chosen;
    return this.#servers[chosen];
  }

  #statusChanged(index: number): void {
    const { clock, metrics, random } = this.#parts;
    const [server, before] = [this.#servers[index], this.#standings[index]];
    if (server === undefined || before === undefined) return;
    const standing = standingAfter(before, server.status, clock.monotonicMs(), random(), this.#settings);
    this.#standings[index] = standing;
    metrics.serverReachable.set({ server: server.name }, standing.status === 'reachable' ? 1 : 0);
    this.#cloudChanged();
    // A way that is gone is gone to all of them, mostly: nobody has to find that out one by one.
    if (standing.status !== 'reachable' && this.#parts.relay.isOpen)
      for (const other of this.#servers) if (other !== server && other.status === 'reachable') other.suspectLoss();
  }

  #doubted(index: number, isDoubted: boolean): void {
    if (isDoubted) this.#inDoubt.add(index);
    else this.#inDoubt.delete(index);
    const none = this.#standings.every(({ status }, at) => status !== 'reachable' || this.#inDoubt.has(at));
    this.#relayed.prepare(none);
  }

  #cloudChanged(): void {
    const before = this.access;
    this.#own = this.#standings.some(({ status }) => status === 'reachable');
    if (this.#own !== before.own) this.#relayed.ownChanged(this.#own);
    this.#reachableChanged(this.#own || this.#relayed.reachable);
    if (this.#cloud.reachable) for (const server of this.#servers) server.leave();
    const { access } = this;
    this.#parts.metrics.relayed.set(this.#relayed.reachable ? 1 : 0);
    if (access.reachable === before.reachable && access.own === before.own) return;
    for (const listener of this.#accessListeners) listener(access);
  }

  #reachableChanged(reachable: boolean): void {
    if (reachable === this.#cloud.reachable) return;
    this.#cloud = { reachable, sinceMs: this.#parts.clock.wallMs() };
    this.#parts.metrics.reachable.set(reachable ? 1 : 0);
    this.#parts.log.info(reachable ? 'cloud reachable' : 'cloud not reachable', {});
    for (const listener of this.#listeners) listener(this.#cloud);
  }

  #count(lane: Lane, outcome: RequestOutcome): void {
    countRequest(this.#parts.metrics, lane, outcome);
  }
}

/** Someone of whom there is only a signal. */
class SignalPresence implements Presence {
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  get left(): boolean {
    return this.#signal.aborted;
  }

  onLeave(listener: () => void): () => void {
    this.#signal.addEventListener('abort', listener, { once: true });
    return () => this.#signal.removeEventListener('abort', listener);
  }
}

/** The encodings that we ask for are those that we decode ourselves, whatever the caller's headers say. */
function outgoingOf(request: UpstreamRequest, encoding: { 'accept-encoding': string }): Outgoing {
  const headers = { ...request.headers, ...encoding };
  return { method: request.method, target: request.target, headers, body: request.body, lane: request.lane };
}

async function* tappedBody(body: AsyncIterable<Buffer>, tap: StreamTap): AsyncGenerator<Buffer> {
  for await (const chunk of body) {
    await tap.chunk(chunk);
    yield chunk;
  }
}
