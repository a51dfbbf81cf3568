// The client side of the hub: listens, finds out who asks, hands requests on, and ends them all when the hub stops.
// Start order: the link-local address, then the listeners; a listener that cannot start leaves the others to serve.
import { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { requestInfo, type RequestInfo } from '../../kube/request-info.ts';
import { failure } from '../../kube/status.ts';
import { delay, type Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { FrontError } from '../errors.ts';
import type { Endpoint } from '../../runtime/settings.ts';
import type { HubRequest, HubResponse, Identity } from '../types.ts';
import type { ClientTrustFiles } from './client-trust.ts';
import { FrontRequest, type Exchange, type ExchangeHooks } from './exchange.ts';
import type { HubCertificates } from './hub-ca.ts';
import {
  decide,
  hasBearer,
  isLocalConnection,
  judgeCertificate,
  outsideValidity,
  type CertificateVerdict,
  type Peer,
} from './identity.ts';
import { ensureLinkLocal, linkLocalAddress, type RunProgram } from './link-local.ts';
import { Listener, type ServingCredentials } from './listener.ts';
import { codeClass, verbClass, type FrontMetrics, type RefusalReason } from './metrics.ts';
import type { PeerProcesses } from './peer-process.ts';
import { refuseHead, requestHeaders } from './request-head.ts';
import { answerStatus } from './status-answer.ts';
import { refuse, spliceUpgrade, type DialRaw } from './upgrade.ts';

export interface FrontParts {
  readonly log: Log;
  readonly metrics: FrontMetrics;
  readonly clock: Clock;
  readonly certificates: HubCertificates;
  readonly trust: Pick<ClientTrustFiles, 'current'>;
  readonly peers: Pick<PeerProcesses, 'find'>;
  readonly run: RunProgram;
  /** Answers one request. If it rejects, the client gets a 500, or an aborted answer when the head was out. */
  readonly handler: (request: HubRequest, response: HubResponse) => Promise<void>;
  readonly dialRaw: DialRaw;
}

export interface FrontSettings {
  readonly nodeName: string;
  readonly listen: readonly Endpoint[];
  readonly manageLinkLocal: boolean;
  /** Further connections are refused. */
  readonly maxConnections: number;
  /** A client that takes nothing for this long while bytes wait for it is cut off, milliseconds. */
  readonly stallMs: number;
  /** How long open requests may go on after the stop, milliseconds. */
  readonly drainMs: number;
}

export const frontDefaults = { maxConnections: 4_000, stallMs: 300_000, drainMs: 5_000 } as const;

/** Answered by the front itself to the node: the heartbeat's way through TLS, listener and event loop. */
export const selfCheckPath = '/healthz/holdfast';
const selfCheckAnswer = 'ok';

/** What a connection proved, kept as long as it lasts. */
interface Connection {
  readonly verdict: CertificateVerdict;
  readonly isLocal: boolean;
  /** Whose it is whatever its requests say. */
  readonly identity: Identity | undefined;
  peer: Promise<Peer> | undefined;
}

export class Front {
  readonly #parts: FrontParts;
  readonly #settings: FrontSettings;
  readonly #hubCa: X509Certificate;
  readonly #localSubject: string;
  readonly #readerSubject: string;
  readonly #connections = new WeakMap<TLSSocket, Connection | Promise<Connection>>();
  readonly #exchanges = new Map<Exchange, { progress: number; sinceMs: number } | undefined>();
  readonly #watches = new Set<Exchange>();
  readonly #upgrades = new Set<Promise<unknown>>();
  readonly #upgradesEnd = new AbortController();
  readonly #startedWaiters: (() => void)[] = [];
  #listeners: readonly Listener[] = [];
  #serving: ServingCredentials;
  #addresses: readonly AddressInfo[] = [];
  #state: 'new' | 'listening' | 'over' = 'new';

  constructor(parts: FrontParts, settings: FrontSettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#serving = parts.certificates.serving;
    this.#hubCa = new X509Certificate(parts.certificates.caCertificate);
    this.#localSubject = new X509Certificate(parts.certificates.localClient.certificate).subject;
    this.#readerSubject = new X509Certificate(parts.certificates.localReader.certificate).subject;
  }

  /** Where connections are accepted at present; empty before and after. */
  get addresses(): readonly AddressInfo[] {
    return this.#addresses;
  }

  get listening(): boolean {
    return this.#state === 'listening';
  }

  /** Resolves when connections are accepted, or when `run` has ended without that. */
  started(): Promise<void> {
    return this.#state === 'new' ? new Promise((resolve) => this.#startedWaiters.push(resolve)) : Promise.resolve();
  }

  /** Another serving certificate of the same CA, for connections that are made from now on. */
  serveWith(credentials: ServingCredentials): void {
    this.#serving = credentials;
    for (const listener of this.#listeners) listener.serveWith(credentials);
  }

  /**
   * Serves until `signal` aborts, then lets requests finish for `drainMs` and closes what is left. Rejects with FrontError if
   * no address can be listened on, or if one is in use: another hub is running.
   */
  async run(signal: AbortSignal): Promise<void> {
    const listeners: Listener[] = [];
    this.#listeners = listeners;
    try {
      await this.#listen(listeners);
      if (!signal.aborted) {
        this.#enter('listening');
        await this.#watchStalls(signal);
      }
    } finally {
      this.#addresses = [];
      this.#enter('over');
      await this.#stop(listeners);
    }
  }

  #enter(state: 'listening' | 'over'): void {
    this.#state = state;
    for (const waiter of this.#startedWaiters.splice(0)) waiter();
  }

  async #listen(listeners: Listener[]): Promise<void> {
    const addresses = this.#settings.listen;
    if (this.#settings.manageLinkLocal && addresses.some(({ host }) => host === linkLocalAddress))
      await ensureLinkLocal({ log: this.#parts.log, run: this.#parts.run });
    const bound: AddressInfo[] = [];
    let last: unknown;
    for (const address of addresses) {
      const listener = this.#listener(address);
      try {
        bound.push(await listener.listen());
        listeners.push(listener);
      } catch (error) {
        last = error;
        const code = (error as NodeJS.ErrnoException).code;
        if (code === 'EADDRINUSE')
          throw new FrontError(
            'ERR_FRONT_LISTEN',
            `${address.host}:${address.port} is in use, is another hub running?`,
            error,
          );
        this.#parts.log.warn('an address cannot be listened on, the others serve', {
          ...address,
          error: String(error),
        });
      }
    }
    if (bound.length === 0) throw new FrontError('ERR_FRONT_LISTEN', 'no address can be listened on', last);
    this.#addresses = bound;
    for (const { address, port } of bound) this.#parts.log.info('listening', { address, port });
  }

  #listener(address: Endpoint): Listener {
    return new Listener(
      {
        log: this.#parts.log,
        clock: this.#parts.clock,
        metrics: this.#parts.metrics,
        credentials: this.#serving,
        onExchange: (make) => this.#onExchange(make),
        onUpgrade: (request, client, head) => this.#onUpgrade(request, client, head),
      },
      { ...address, maxConnections: this.#settings.maxConnections },
    );
  }

  async #stop(listeners: readonly Listener[]): Promise<void> {
    const over = new AbortController();
    const drained = Promise.all(listeners.map((listener) => listener.drain())).then(() => over.abort());
    // A watch would go on for minutes; its client is used to the end of one and asks again.
    for (const watch of this.#watches) watch.endWatch();
    await delay(this.#parts.clock, this.#settings.drainMs, over.signal);
    this.#upgradesEnd.abort();
    for (const { response } of this.#exchanges.keys()) response.abort();
    for (const listener of listeners) listener.destroy();
    await drained;
    await Promise.all(this.#upgrades);
  }

  // -----------------------------------------------------------------------------------------------------------------
  // Requests

  #onExchange(make: (hooks: ExchangeHooks) => Exchange): void {
    const { metrics } = this.#parts;
    let info: RequestInfo | undefined;
    metrics.streams.count += 1;
    const exchange = make({
      closed: (aborted) => {
        metrics.streams.count -= 1;
        this.#exchanges.delete(exchange);
        this.#watches.delete(exchange);
        metrics.request(verbClass(info), codeClass(exchange.response.statusCode, aborted));
      },
    });
    this.#exchanges.set(exchange, undefined);
    this.#serve(exchange, (known) => {
      info = known;
      if (verbClass(known) === 'watch') this.#watches.add(exchange);
    }).catch((error: unknown) => this.#failed(exchange, error));
  }

  async #serve(exchange: Exchange, learn: (info: RequestInfo) => void): Promise<void> {
    const { response, method, target, headers } = exchange;
    const refusal = refuseHead(method, target, headers);
    if (refusal !== undefined || target === undefined) {
      this.#parts.metrics.malformed.inc();
      answerStatus(response, failure(refusal?.reason ?? 'BadRequest', refusal?.message ?? 'the request has no target'));
      return;
    }
    let info: RequestInfo;
    try {
      info = requestInfo(method, target);
    } catch {
      this.#parts.metrics.malformed.inc();
      answerStatus(response, failure('BadRequest', 'the path cannot be decoded'));
      return;
    }
    learn(info);
    const known = this.#connections.get(exchange.socket);
    let identity: Identity | RefusalReason | undefined = known instanceof Promise ? undefined : known?.identity;
    identity ??= await this.#identify(exchange.socket, headers['authorization']);
    // The client may have left while its peer was looked up.
    if (exchange.client.left) return;
    if (typeof identity === 'string') {
      this.#parts.metrics.refused(identity);
      answerStatus(response, failure('Unauthorized', refusalMessages[identity]));
      return;
    }
    if (target === selfCheckPath && identity.kind === 'node') {
      response.head(200, { 'content-type': 'text/plain', 'content-length': '2' });
      response.end(Buffer.from(selfCheckAnswer));
      return;
    }
    await this.#parts.handler(new FrontRequest(exchange, info, identity), response);
  }

  #failed(exchange: Exchange, error: unknown): void {
    const { response } = exchange;
    if (exchange.client.left) {
      // The client left and the handler noticed: nothing failed.
      response.abort();
      return;
    }
    this.#parts.metrics.handlerFailures.inc();
    this.#parts.log.error('a request failed inside the hub', {
      method: exchange.method,
      path: exchange.target?.split('?')[0],
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    try {
      if (response.headSent) response.abort();
      else answerStatus(response, failure('InternalError', 'the request failed inside the hub'));
    } catch {
      response.abort();
    }
  }

  #onUpgrade(request: IncomingMessage, client: TLSSocket, head: Buffer): void {
    const { metrics } = this.#parts;
    client.on('error', () => undefined);
    metrics.upgrades.inc();
    const done = this.#upgrade(request, client, head)
      .catch((error: unknown) => {
        metrics.handlerFailures.inc();
        this.#parts.log.error('an upgrade failed inside the hub', { error: String(error) });
        client.destroy();
        return 0;
      })
      .then((status) => metrics.request('other', codeClass(status, status === 0)))
      .finally(() => {
        metrics.upgrades.dec();
        this.#upgrades.delete(done);
      });
    this.#upgrades.add(done);
  }

  async #upgrade(request: IncomingMessage, client: TLSSocket, head: Buffer): Promise<number> {
    const headers = requestHeaders(request.rawHeaders);
    const refusal = refuseHead(request.method ?? '', request.url, headers);
    if (refusal !== undefined) {
      this.#parts.metrics.malformed.inc();
      return refuse(client, failure(refusal.reason, refusal.message));
    }
    const identity = await this.#identify(client, headers['authorization']);
    if (typeof identity === 'string') {
      this.#parts.metrics.refused(identity);
      return refuse(client, failure('Unauthorized', refusalMessages[identity]));
    }
    if (identity.kind === 'node' && identity.localReader === true)
      return refuse(
        client,
        failure('Forbidden', 'holdfast: this kubeconfig reads only; it opens no exec, attach or port-forward'),
      );
    return await spliceUpgrade(
      { request, client, head, lane: identity.kind },
      this.#parts.dialRaw,
      this.#upgradesEnd.signal,
    );
  }

  // -----------------------------------------------------------------------------------------------------------------
  // Identity

  async #identify(
    socket: TLSSocket,
    authorization: string | readonly string[] | undefined,
  ): Promise<Identity | RefusalReason> {
    let known = this.#connections.get(socket);
    if (known === undefined) {
      known = this.#judge(socket);
      this.#connections.set(socket, known);
      void known.then(
        (connection) => this.#connections.set(socket, connection),
        () => undefined,
      );
    }
    const connection = await known;
    const given = {
      verdict: connection.verdict,
      hasBearer: hasBearer(authorization),
      isLocal: connection.isLocal,
      ownExpired: false,
      nodeName: this.#settings.nodeName,
      peer: undefined,
    };
    const first = decide(given);
    if ('identity' in first) return first.identity;
    if (connection.verdict.kind !== 'none') return 'refused' in first ? first.refused : 'no-credentials';
    // Only now the slow questions: has the kubelet's certificate expired, and whose process is this?
    const { own } = await this.#parts.trust.current();
    // By a clock that is years back an expired certificate is not valid yet: the kubelet presents none all the same.
    const ownExpired = own !== undefined && outsideValidity(own, this.#parts.clock.wallMs()) !== undefined;
    let decision = decide({ ...given, ownExpired });
    if ('ask' in decision) {
      connection.peer ??= this.#parts.peers.find({
        remoteAddress: socket.remoteAddress ?? '',
        remotePort: socket.remotePort ?? 0,
        localAddress: socket.localAddress ?? '',
        localPort: socket.localPort ?? 0,
      });
      decision = decide({ ...given, ownExpired, peer: await connection.peer });
    }
    if ('identity' in decision) return decision.identity;
    return 'refused' in decision ? decision.refused : 'no-credentials';
  }

  async #judge(socket: TLSSocket): Promise<Connection> {
    const isLocal = isLocalConnection(socket.remoteAddress, socket.localAddress);
    const certificate = socket.getPeerX509Certificate();
    const verdict = judgeCertificate({
      certificate,
      trust: await this.#parts.trust.current(),
      hubCa: this.#hubCa,
      localSubject: this.#localSubject,
      readerSubject: this.#readerSubject,
      nodeName: this.#settings.nodeName,
      isLocal,
      nowMs: this.#parts.clock.wallMs(),
    });
    if (verdict.kind === 'node' && verdict.remark !== undefined)
      this.#parts.log.warn('the node uses a certificate outside its validity', { remark: verdict.remark });
    const identity: Identity | undefined =
      verdict.kind === 'node' ? { kind: 'node', nodeName: this.#settings.nodeName } : undefined;
    return { verdict, isLocal, identity, peer: undefined };
  }

  // -----------------------------------------------------------------------------------------------------------------
  // Clients that stopped reading

  async #watchStalls(signal: AbortSignal): Promise<void> {
    const { clock, log, metrics } = this.#parts;
    while (!signal.aborted) {
      await delay(clock, this.#settings.stallMs / 4, signal);
      const nowMs = clock.monotonicMs();
      for (const [exchange, seen] of this.#exchanges) {
        const progress = exchange.response.pendingProgress;
        if (progress === undefined || progress !== seen?.progress) {
          this.#exchanges.set(exchange, progress === undefined ? undefined : { progress, sinceMs: nowMs });
        } else if (nowMs - seen.sinceMs >= this.#settings.stallMs) {
          metrics.stalled.inc();
          log.warn('a client has stopped reading and is cut off', { path: exchange.target?.split('?')[0] });
          exchange.response.abort();
        }
      }
    }
  }
}

const refusalMessages: Record<RefusalReason, string> = {
  'foreign-certificate':
    'this hub ends TLS and cannot pass a client certificate on: only the certificate of this node is accepted, use a bearer token',
  'wrong-usage': 'this certificate is not for client authentication',
  'no-credentials': 'a bearer token or the client certificate of this node is needed',
  'not-root': 'without a token or a certificate only root on this node is the node',
  'in-container': 'a process in a container needs a bearer token',
};
