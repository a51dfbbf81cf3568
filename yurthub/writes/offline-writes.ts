// The write path of the node. While the cloud can be reached, its writes go there and what may be needed later is kept;
// while it cannot, the hub stands in for those that it can answer without lying, and refuses the rest. Nothing is
// acknowledged that is then lost.
import { type Clock, delay } from '../../runtime/clock.ts';
import { headerValue } from '../../runtime/headers.ts';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import type { ResourceRequest } from '../../kube/request-info.ts';
import { failure } from '../../kube/status.ts';
import type { KubeObject } from '../../kube/wire.ts';
import { sendReply, sendStatus } from '../answers.ts';
import { BodyTooLargeError, CloudUnreachableError, SealError, StoreWriteError } from '../errors.ts';
import type { HubRequest, HubResponse, Overlay, Store, Uplink, UpstreamReply, ViewReader } from '../types.ts';
import { AnnotatedLease, type LeaseAnnotation } from './annotated-lease.ts';
import { EventDelivery } from './event-delivery.ts';
import { EventSpool } from './event-spool.ts';
import { EventWrites } from './event-writes.ts';
import { type WriteKind, type WriteMetrics, writeMetrics } from './metrics.ts';
import { NodeLease } from './node-lease.ts';
import { needsCloud, readObject, RefusedError } from './request-object.ts';
import { ReportedStatus } from './reported-status.ts';
import { routeOf } from './route.ts';
import { SavedDecisions } from './saved-decisions.ts';
import { SavedTokens, type Sealing } from './saved-tokens.ts';
import { StatusWrites } from './status-writes.ts';

export interface OfflineWritesParts {
  readonly store: Store;
  readonly seal: Sealing;
  readonly uplink: Uplink;
  readonly views: ViewReader;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** What the next renewal of the node's Lease is to carry; undefined: nothing is added or taken away. */
  readonly leaseAnnotation: () => LeaseAnnotation | undefined;
  /** What the Node is to carry of the hub; undefined for nothing. */
  readonly report: () => string | undefined;
}

export interface OfflineWritesSettings {
  readonly nodeName: string;
  readonly eventSpoolMaxCount: number;
  readonly eventSpoolMaxBytes: number;
  /** Of requests and of the API server's replies. */
  readonly maxBodyBytes: number;
  readonly eventsPerSecond?: number;
  readonly maxSavedTokens?: number;
  readonly maxSavedDecisions?: number;
}

/** Pause between attempts for finished pods that the API server did not take. */
const reportRetryMs = 5_000;

export class OfflineWrites {
  readonly #parts: OfflineWritesParts;
  readonly #settings: OfflineWritesSettings;
  readonly #metrics: WriteMetrics;
  readonly #lease: NodeLease;
  readonly #annotatedLease: AnnotatedLease;
  readonly #reportedStatus: ReportedStatus;
  readonly #status: StatusWrites;
  readonly #spool: EventSpool;
  readonly #events: EventWrites;
  readonly #delivery: EventDelivery;
  readonly #tokens: SavedTokens;
  readonly #decisions: SavedDecisions;

  constructor(parts: OfflineWritesParts, settings: OfflineWritesSettings) {
    const { maxBodyBytes } = settings;
    this.#parts = parts;
    this.#settings = settings;
    this.#metrics = writeMetrics(parts.metrics);
    const inner = { ...parts, metrics: this.#metrics };
    this.#lease = new NodeLease(parts.store, settings.nodeName);
    this.#annotatedLease = new AnnotatedLease({ ...inner, annotation: parts.leaseAnnotation });
    this.#reportedStatus = new ReportedStatus(parts);
    this.#status = new StatusWrites(inner, { maxBodyBytes });
    const { eventSpoolMaxCount: maxCount, eventSpoolMaxBytes: maxBytes } = settings;
    this.#spool = new EventSpool(inner, { maxCount, maxBytes });
    this.#events = new EventWrites(this.#spool, this.#metrics);
    const eventsPerSecond = settings.eventsPerSecond ?? 20;
    this.#delivery = new EventDelivery({ ...inner, spool: this.#spool }, { eventsPerSecond, maxBodyBytes });
    this.#tokens = new SavedTokens(inner, { maxCount: settings.maxSavedTokens ?? 1_000 });
    this.#decisions = new SavedDecisions(inner, { maxCount: settings.maxSavedDecisions ?? 500 });
  }

  /** Reads what an earlier run left in the store. To be called once, before anything else. */
  async load(): Promise<void> {
    await Promise.all([
      this.#lease.load(),
      this.#status.overlay.load(),
      this.#spool.load(),
      this.#tokens.load(),
      this.#decisions.load(),
    ]);
  }

  /** What local readers see in place of what the cloud said. */
  get overlay(): Overlay {
    return this.#status.overlay;
  }

  /** What is kept for, and has not reached, the cloud. */
  counts(): { readonly tokens: number; readonly waiting: number } {
    return { tokens: this.#tokens.size, waiting: this.#spool.size + this.#status.overlay.size };
  }

  /** Status of every pod that was written here and that the cloud does not have yet. */
  *podStatuses(): Iterable<{ uid: string; status: KubeObject }> {
    for (const { resource, uid, written } of this.#status.overlay.entries())
      if (resource === 'pods') yield { uid, status: written.status };
  }

  /** Whether `handle` is for this request: a write of the node, or its Lease. */
  handles(info: ResourceRequest): boolean {
    return routeOf(info, this.#settings.nodeName) !== undefined;
  }

  /** Answers a request for which `handles` is true, with the cloud or without. */
  async handle(request: HubRequest, response: HubResponse): Promise<void> {
    const { info } = request;
    const kind = info.isResource ? routeOf(info, this.#settings.nodeName) : undefined;
    if (kind === undefined || !info.isResource) throw new TypeError('not a request of the write path');
    try {
      const body = request.body === null ? Buffer.alloc(0) : await request.readBody(this.#settings.maxBodyBytes);
      const isLocal = kind === 'event' && this.#events.belongsToSpool(info);
      if (!isLocal && this.#parts.uplink.cloud.reachable) {
        const send = (what: Buffer): Promise<UpstreamReply | undefined> => this.#fetch(request, what);
        const reply =
          kind === 'lease'
            ? await this.#annotatedLease.renew(request, info, body, send)
            : kind === 'status'
              ? await this.#reportedStatus.patch(request, info, body, send)
              : await send(body);
        if (reply !== undefined) {
          await this.#keep(kind, request, info, body, reply);
          sendReply(response, reply);
          return;
        }
      }
      await this.#answer(kind, request, response, info, body);
      this.#metrics.answers.inc({ kind, outcome: 'acknowledged' });
    } catch (error) {
      const refused = refusalOf(error);
      if (refused === undefined || response.headSent) throw error;
      this.#metrics.answers.inc({ kind, outcome: 'refused' });
      sendStatus(request, response, refused.answer);
    }
  }

  /** A view has this object in this version from the cloud. */
  cloudSaw(group: string, resource: string, namespace: string, name: string, resourceVersion: string): void {
    this.#status.overlay.cloudSaw(group, resource, namespace, name, resourceVersion);
  }

  /**
   * The first thing to do when the cloud can be reached again, also for the first time after a start, and before reflectors
   * resume: reports finished pods and takes away every other overlay. Rejects with CloudUnreachableError when the
   * cloud is lost again on the way.
   */
  async beginReturn(signal: AbortSignal): Promise<void> {
    await this.#status.beginReturn(signal);
  }

  /** Delivers what waits for the cloud, whenever it can be reached; one call for the life of the hub. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#delivery.run(signal), this.#retryReports(signal)]);
  }

  async #retryReports(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#status.unreported && this.#parts.uplink.cloud.reachable) await this.#status.retryReports(signal);
      } catch {
        // The cloud is gone again, or we are to end: the next return, or the next start, takes it up.
      }
      await delay(this.#parts.clock, reportRetryMs, signal);
    }
  }

  /** Undefined when the cloud is out of reach. */
  async #fetch(request: HubRequest, body: Buffer): Promise<UpstreamReply | undefined> {
    const { method, target, headers, signal } = request;
    const upstream = { method, target, headers, lane: 'node', signal } as const;
    try {
      return await this.#parts.uplink.fetch(request.body === null ? upstream : { ...upstream, body }, {
        maxBodyBytes: this.#settings.maxBodyBytes,
      });
    } catch (error) {
      if (error instanceof CloudUnreachableError) return undefined;
      // The reply this time: the request may have been carried out.
      if (error instanceof BodyTooLargeError)
        throw new RefusedError(failure('InternalError', 'holdfast: the reply of the API server is too large'));
      throw error;
    }
  }

  /** Keeps of a reply what the node will need without the cloud. A failure to keep it is not the client's. */
  async #keep(
    kind: WriteKind,
    request: HubRequest,
    info: ResourceRequest,
    body: Buffer,
    reply: UpstreamReply,
  ): Promise<void> {
    if (kind !== 'lease' && kind !== 'token' && kind !== 'review') return;
    try {
      if (kind === 'lease') await this.#lease.keep(reply);
      else if (kind === 'token') await this.#tokens.keep(request, info, body, reply, this.#parts.clock.wallMs());
      else await this.#decisions.keep(request, info, body, reply);
    } catch (error) {
      this.#metrics.unsaved.inc({ kind });
      this.#parts.log.warn('a reply could not be kept for when the cloud is out of reach', {
        kind,
        error: String(error),
      });
    }
  }

  async #answer(
    kind: WriteKind,
    request: HubRequest,
    response: HubResponse,
    info: ResourceRequest,
    body: Buffer,
  ): Promise<void> {
    switch (kind) {
      case 'lease':
        this.#lease.answer(request, response, info, body);
        return;
      case 'status':
        await this.#status.answer(request, response, info, body);
        return;
      case 'event':
        await this.#events.answer(request, response, info, body);
        return;
      case 'token':
        if (!(await this.#tokens.answer(request, response, info, body)))
          throw needsCloud('no token of this pod was saved');
        return;
      case 'review':
        if (!this.#decisions.answer(request, response, info, body)) throw needsCloud('this was not decided before');
        return;
      case 'node':
        await this.#answerNodeCreate(request, response, body);
    }
  }

  /** A kubelet that starts creates its Node and takes AlreadyExists for the good answer that it is. */
  async #answerNodeCreate(request: HubRequest, response: HubResponse, body: Buffer): Promise<void> {
    const { name } = readObject(body, headerValue(request.headers, 'content-type')).item;
    const node = { group: '', version: 'v1', resource: 'nodes', namespace: '', name };
    if ((await this.#parts.views.stored(node)) === undefined) throw needsCloud('the node is not known');
    sendStatus(request, response, failure('AlreadyExists', `nodes "${name}" already exists`));
  }
}

/** The Status for a request that could not be carried out; undefined for a fault of our own. */
function refusalOf(error: unknown): RefusedError | undefined {
  if (error instanceof RefusedError) return error;
  if (error instanceof BodyTooLargeError)
    return new RefusedError(failure('RequestEntityTooLarge', `holdfast: ${error.message}`));
  if (error instanceof StoreWriteError)
    return new RefusedError(failure('ServiceUnavailable', 'holdfast: the store cannot be written at present', 5));
  if (error instanceof SealError) return needsCloud('the saved answer cannot be opened');
  return undefined;
}
