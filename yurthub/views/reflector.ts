// Keeps one view up to date: list, watch from the list's version, resume when the stream ends, list again only when the
// version is no longer known. One reflector per view, however many clients the view has.
import { headerValue } from '../../runtime/headers.ts';
import { delay, type Clock } from '../../runtime/clock.ts';
import { LinkedAbort } from '../../runtime/linked-abort.ts';
import { untilAborted } from '../../runtime/until-aborted.ts';
import type { Log } from '../../runtime/log.ts';
import type { Encoding, ListScanner, WatchFrame, Wire } from '../../kube/wire.ts';
import { WireError } from '../../kube/errors.ts';
import { compareResourceVersions } from '../../kube/resource-version.ts';
import { wireFor } from '../../kube/wires.ts';
import { ClientGoneError, CloudUnreachableError, StoreReadError, StoreWriteError } from '../errors.ts';
import { ReflectorPace, type ReturnTurns, type Setback, type Turn } from '../return-pace.ts';
import type { UpstreamReply, UpstreamStream, Uplink, ViewKey } from '../types.ts';
import type { CloudVersions } from './cloud-versions.ts';
import { upstreamTarget } from './view-key.ts';
import { NoCredentialError, type Credential } from './credential.ts';
import type { FirstListClient } from './first-list.ts';
import type { ListLoad } from './list-load.ts';
import type { View } from './view.ts';
import type { ViewMetrics } from './metrics.ts';

export interface ReflectorParts {
  readonly uplink: Uplink;
  /** Undefined while there is none. */
  readonly credential: () => Credential | undefined;
  /** Resolves when the cloud may be asked: at once while it is reachable, and after what must go first on return. */
  readonly cloudReady: (signal: AbortSignal) => Promise<void>;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: ViewMetrics;
  /** Shared by all reflectors of the hub. */
  readonly turns: Pick<ReturnTurns, 'take'>;
  readonly cloudVersions: CloudVersions;
}

export interface ReflectorSettings {
  readonly maxObjectBytes: number;
  readonly userAgent: string;
  /** Version that the first client has seen already: listed exactly there if possible, so that its watch can go on. */
  readonly startAt: string;
  /** Gets the first list as it comes. */
  readonly firstListClient: FirstListClient | undefined;
  /** A list beyond this is given up with ViewTooLargeError. */
  readonly maxListBytes: number;
}

/** How it stands with the cloud: `live` means that changes arrive as they happen. */
export type ReflectorState = 'listing' | 'live' | 'behind';

/** The API server refused the list or watch; `reply` is what it said. */
export class RefusedError extends Error {
  readonly code = 'ERR_REFUSED';
  readonly reply: UpstreamReply;

  constructor(reply: UpstreamReply) {
    super(`the API server answered ${reply.statusCode}`);
    this.name = 'RefusedError';
    this.reply = reply;
  }
}

/** A collection that is too large to be kept. */
export class ViewTooLargeError extends Error {
  readonly code = 'ERR_VIEW_TOO_LARGE';

  constructor(maxBytes: number) {
    super(`the collection is larger than ${maxBytes} bytes`);
    this.name = 'ViewTooLargeError';
  }
}

/** A watch that ends sooner is a failure, not a time-out. */
const shortWatchMs = 1_000;
const maxRefusalBytes = 64 << 10;
/** Reading pauses while more than this waits to be written. */
const maxQueuedBytes = 1 << 20;

export class Reflector {
  readonly #view: View;
  readonly #parts: ReflectorParts;
  readonly #settings: ReflectorSettings;
  #firstListClient: FirstListClient | undefined;
  #state: ReflectorState = 'listing';
  #listedOnce = false;
  #completing = false;
  readonly #pace = new ReflectorPace(Math.random);
  #turn: Turn | undefined;
  #refusal: UpstreamReply | undefined;
  #refusals = 0;
  #failures = 0;
  #credential: Credential | undefined;
  #stream: LinkedAbort | undefined;
  #waiting: PromiseWithResolvers<void> | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(view: View, parts: ReflectorParts, settings: ReflectorSettings) {
    this.#view = view;
    this.#parts = parts;
    this.#settings = settings;
    this.#firstListClient = settings.firstListClient;
  }

  get state(): ReflectorState {
    return this.#state;
  }
  /** True once the view has been compared with the cloud in this process. */
  get caughtUp(): boolean {
    return this.#listedOnce;
  }
  /** True while a list that has come whole is being written: the cloud is not needed any more. */
  get completing(): boolean {
    return this.#completing;
  }
  /** What the API server said when it last refused, until it allows again. */
  get refusal(): UpstreamReply | undefined {
    return this.#refusal;
  }
  /** Denials (401, 403) in a row. */
  get refusals(): number {
    return this.#refusals;
  }

  /** True when the API server answers and nothing can be made of it, twice in a row: clients had better ask it themselves. */
  get failing(): boolean {
    return this.#failures > 1;
  }

  /** True while nobody may ask: what is kept grows old, and clients had better ask themselves. */
  get withoutCredential(): boolean {
    return this.#waiting !== undefined;
  }

  /** To be called when credentials have come or gone. */
  credentialsChanged(): void {
    if (this.#waiting !== undefined && this.#parts.credential() !== undefined) this.#waiting.resolve();
    if (this.#credential?.isGood() === false) this.#stream?.abort(new NoCredentialError());
  }

  /** Resolves at the next change of state, refusal or failure. */
  async nextChange(): Promise<void> {
    await this.#changed.promise;
  }

  /** Runs until aborted. Rejects with StoreWriteError, StoreReadError and ViewTooLargeError: the view can no longer be kept. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    let listNeeded = true;
    let resumed = false;
    let waitMs = 0;
    let comesBack = false;
    while (!signal.aborted) {
      await this.#parts.cloudReady(signal);
      // After the cloud is back, not before: all views of all nodes wait for that one moment.
      if (waitMs > 0) await delay(clock, waitMs, signal);
      this.#turn = comesBack ? await this.#nextTurn(signal) : undefined;
      waitMs = 0;
      if (signal.aborted) return;
      const startedMs = clock.monotonicMs();
      try {
        const listed = listNeeded;
        if (listNeeded) await this.#list(signal);
        listNeeded = false;
        listNeeded = await this.#watch(resumed && !listed, signal);
        resumed = false;
        comesBack = listNeeded;
        // A version that is too old although it has just been listed: asking again at once would be a storm.
        if (listed && listNeeded && clock.monotonicMs() - startedMs < shortWatchMs) throw new ShortWatchError();
      } catch (error) {
        if (error instanceof RefusedError && error.reply.statusCode === 429) this.#turn?.pushedBack();
        if (signal.aborted) return;
        if (error instanceof StoreWriteError || error instanceof StoreReadError) throw error;
        if (error instanceof ViewTooLargeError) throw error;
        // The latter when the credential ended while a stream was being opened: nobody else ends one.
        if (error instanceof NoCredentialError || error instanceof ClientGoneError) {
          this.#setState('behind');
          this.#turn?.answered();
          listNeeded = (await this.#untilCredential(signal)) || listNeeded;
          continue;
        }
        if (this.#state === 'live' && clock.monotonicMs() - startedMs >= shortWatchMs) this.#pace.settled();
        resumed = error instanceof CloudUnreachableError;
        if (resumed) this.#parts.cloudVersions.lost();
        listNeeded = this.#failed(error) || listNeeded;
        this.#setState('behind');
        waitMs = this.#pace.waitMs(this.#setback(error));
        comesBack = true;
      } finally {
        this.#turn?.answered();
      }
    }
  }

  // -------------------------------------------------------------------------------------------------------------

  async #list(signal: AbortSignal): Promise<void> {
    const client = this.#firstListClient;
    this.#firstListClient = undefined;
    try {
      await this.#listThrough(client, signal);
    } finally {
      // Without effect once the client has all of it.
      client?.fail();
    }
    this.#listedOnce = true;
    this.#failures = 0;
    this.#parts.metrics.lists.inc();
    this.#notify();
  }

  async #listThrough(client: FirstListClient | undefined, signal: AbortSignal): Promise<void> {
    // Before the client gets anything: a store that cannot be used now is no reason to break its answer off.
    await this.#view.prepareList();
    let stream = await this.#open(this.#listQuery(), signal, client);
    if (stream.statusCode === 410 || stream.statusCode === 504) {
      // The exact version is compacted, or newer than anything the cloud has (restored from a backup): take what is there.
      await readAll(stream, maxRefusalBytes);
      stream = await this.#open({}, signal, client);
    }
    const wire = await this.#accepted(stream);
    const scanner = wire.listScanner({ maxItemBytes: this.#settings.maxObjectBytes });
    const load = this.#view.beginList(wire);
    try {
      await this.#loadList(stream, scanner, load, client);
    } catch (error) {
      // What stays behind is removed by the next list or the next start.
      await load.abandon().catch(() => undefined);
      throw error;
    }
  }

  async #loadList(
    stream: UpstreamStream,
    scanner: ListScanner,
    load: ListLoad,
    client: FirstListClient | undefined,
  ): Promise<void> {
    const { maxListBytes } = this.#settings;
    let bytes = 0;
    for await (const chunk of stream.body) {
      bytes += chunk.length;
      if (bytes <= maxListBytes) await load.add(scanner.push(chunk));
      // Whoever is being given the list gets all of it, although it is not kept.
      else if (client?.answered !== true) break;
    }
    if (bytes > maxListBytes) {
      client?.end();
      throw new ViewTooLargeError(maxListBytes);
    }
    const head = scanner.end();
    this.#completing = true;
    try {
      client?.end();
      await this.#view.finishList(load, head);
    } finally {
      this.#completing = false;
    }
  }

  #listQuery(): Record<string, string> {
    if (this.#view.synced) return { resourceVersion: this.#view.resourceVersion, resourceVersionMatch: 'NotOlderThan' };
    const { startAt } = this.#settings;
    if (startAt !== '' && startAt !== '0' && !this.#listedOnce)
      return { resourceVersion: startAt, resourceVersionMatch: 'Exact' };
    return { resourceVersion: '0' };
  }

  /** True when the collection has to be listed again. */
  async #watch(resumed: boolean, outer: AbortSignal): Promise<boolean> {
    using ending = new LinkedAbort(outer);
    this.#stream = ending;
    const { signal } = ending;
    const startedMs = this.#parts.clock.monotonicMs();
    const timeoutSeconds = watchSeconds(this.#view.key, Math.random());
    const stream = await this.#open(
      {
        watch: 'true',
        allowWatchBookmarks: 'true',
        resourceVersion: this.#view.resourceVersion,
        timeoutSeconds: String(timeoutSeconds),
      },
      signal,
    );
    if (stream.statusCode === 410) {
      await readAll(stream, maxRefusalBytes);
      return true;
    }
    const wire = await this.#accepted(stream);
    this.#parts.metrics.watches.inc();
    this.#setState('live');
    this.#turn?.answered();
    if (resumed) void this.#endIfCloudWentBack(ending);
    const scanner = wire.watchScanner({ maxFrameBytes: this.#settings.maxObjectBytes });
    for await (const chunk of stream.body) {
      const frames = scanner.push(chunk);
      const bad = frames.findIndex((frame) => frame.type === 'ERROR');
      const good = bad < 0 ? frames : frames.slice(0, bad);
      if (good.length > 0) await this.#take(good, ending);
      const error = frames[bad];
      if (error !== undefined) {
        if (errorCode(wire, error) === 410) return true;
        throw new WireError('ERR_WIRE_MALFORMED', 'the watch ended with an error event');
      }
    }
    if (this.#parts.clock.monotonicMs() - startedMs < shortWatchMs) throw new ShortWatchError();
    this.#pace.settled();
    return false;
  }

  async #take(frames: readonly WatchFrame[], ending: LinkedAbort): Promise<void> {
    this.#parts.metrics.events.inc(frames.length);
    const applied = this.#view.apply(frames);
    if (this.#view.queuedBytes > maxQueuedBytes) await applied;
    // Ends the watch now: the next event may be hours away, and until then clients would take the view for live.
    else applied.catch((error: unknown) => ending.abort(error));
  }

  /**
   * An API server that was restored from a backup lets a watch at a version that it has never reached stand, and says
   * nothing until it gets there. So after every loss its version is asked for, beside the watch: nobody waits for it.
   */
  async #endIfCloudWentBack(ending: LinkedAbort): Promise<void> {
    const { resourceVersion: ours, key } = this.#view;
    const theirs = await this.#parts.cloudVersions.current(key, () => this.#askVersion(ending.signal));
    if (theirs !== undefined && compareResourceVersions(theirs, ours) < 0)
      ending.abort(new CloudWentBackError(ours, theirs));
  }

  /** Undefined where it is not told. Rejects when the connection is lost: the watch beside it fails by itself then. */
  async #askVersion(signal: AbortSignal): Promise<string | undefined> {
    const stream = await this.#open({ limit: '1' }, signal);
    if (stream.statusCode !== 200) {
      await readAll(stream, maxRefusalBytes);
      return undefined;
    }
    const contentType = headerValue(stream.headers, 'content-type') ?? '';
    const wire = wireFor(contentType.includes('protobuf') ? 'protobuf' : 'json');
    const scanner = wire.listScanner({ maxItemBytes: this.#settings.maxObjectBytes });
    for await (const chunk of stream.body) scanner.push(chunk);
    return scanner.end().resourceVersion;
  }

  async #open(query: Record<string, string>, signal: AbortSignal, client?: FirstListClient): Promise<UpstreamStream> {
    const credential = this.#parts.credential();
    if (credential === undefined) throw new NoCredentialError();
    this.#credential = credential;
    const { lane, token } = credential;
    const request = {
      method: 'GET',
      target: upstreamTarget(this.#view.key, query),
      headers: {
        accept: acceptFor(this.#view.key.encoding),
        'accept-encoding': client?.acceptEncoding ?? 'gzip',
        'user-agent': this.#settings.userAgent,
        ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
      },
      lane,
      signal,
    } as const;
    const stream = await this.#parts.uplink.stream(request, client);
    credential.answered(stream.statusCode);
    return stream;
  }

  /** The wire of a good answer. Throws RefusedError for any other. */
  async #accepted(stream: UpstreamStream): Promise<Wire> {
    const contentType = headerValue(stream.headers, 'content-type') ?? '';
    if (stream.statusCode === 200) {
      this.#refusal = undefined;
      this.#refusals = 0;
      return wireFor(contentType.includes('protobuf') ? 'protobuf' : 'json');
    }
    const body = await readAll(stream, maxRefusalBytes);
    throw new RefusedError({ statusCode: stream.statusCode, headers: stream.headers, body });
  }

  /** Takes note of a failure; true when the view has to be listed again. */
  #failed(error: unknown): boolean {
    const { log, metrics } = this.#parts;
    if (error instanceof RefusedError) {
      // What one account is denied is not another's answer: who may fill the view is asked for anew.
      const ofAccount = isDenial(error.reply) && this.#credential?.lane === 'bearer';
      if (!ofAccount) {
        this.#refusal = error.reply;
        this.#refusals = isDenial(error.reply) ? this.#refusals + 1 : 0;
      }
      metrics.failures.inc({ reason: 'refused' });
      log.info('the API server refused a view', { resource: this.#view.key.resource, status: error.reply.statusCode });
      return false;
    }
    if (error instanceof CloudUnreachableError) {
      metrics.failures.inc({ reason: 'unreachable' });
      this.#failures = this.#parts.uplink.cloud.reachable ? this.#failures + 1 : 0;
      return false;
    }
    if (error instanceof ShortWatchError) {
      metrics.failures.inc({ reason: 'short_watch' });
      return false;
    }
    this.#failures += 1;
    metrics.failures.inc({ reason: error instanceof WireError ? 'malformed' : 'other' });
    log.warn('a view could not be brought up to date', {
      resource: this.#view.key.resource,
      error: error instanceof Error ? error.message : String(error),
    });
    return true;
  }

  /** True when there was none for a while: what is kept has to be compared with the cloud anew. */
  async #untilCredential(outer: AbortSignal): Promise<boolean> {
    if (this.#parts.credential() !== undefined) return false;
    using ending = new LinkedAbort(outer);
    this.#waiting = Promise.withResolvers();
    this.#listedOnce = false;
    this.#notify();
    // Those who watch would see nothing more: they ask again, with tokens of theirs.
    this.#view.endWatches();
    await Promise.race([this.#waiting.promise, untilAborted(ending.signal)]);
    this.#waiting = undefined;
    return true;
  }

  /** Undefined when `signal` aborts first. */
  #nextTurn(signal: AbortSignal): Promise<Turn | undefined> {
    return new Promise((resolve) => {
      const leave = (): void => resolve(undefined);
      signal.addEventListener('abort', leave, { once: true });
      if (signal.aborted) leave();
      this.#parts.turns.take((turn) => {
        signal.removeEventListener('abort', leave);
        if (signal.aborted) turn.answered();
        resolve(turn);
      });
    });
  }

  #setback(error: unknown): Setback {
    if (error instanceof RefusedError) {
      const seconds = Number(headerValue(error.reply.headers, 'retry-after'));
      return { kind: 'refused', retryAfterSeconds: seconds > 0 ? seconds : undefined };
    }
    if (error instanceof CloudUnreachableError) return { kind: 'unreachable', repeated: this.#failures > 1 };
    return { kind: 'failed' };
  }

  #setState(state: ReflectorState): void {
    this.#state = state;
    this.#notify();
  }

  #notify(): void {
    const changed = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    changed.resolve();
  }
}

/** A watch that ended at once: asking again at once would be a storm. */
class ShortWatchError extends Error {
  readonly code = 'ERR_SHORT_WATCH';
}

class CloudWentBackError extends Error {
  readonly code = 'ERR_CLOUD_WENT_BACK';

  constructor(ours: string, theirs: string) {
    super(`the API server is at version ${theirs}, and the view at ${ours}: it was restored from a backup`);
  }
}

/** The API server says that the node may not, as opposed to that it cannot answer now. */
export function isDenial(reply: Pick<UpstreamReply, 'statusCode'>): boolean {
  return reply.statusCode === 401 || reply.statusCode === 403;
}

/**
 * How long a watch is asked for, with the times that client-go has: 5 to 10 minutes, and 30 to 60 for one object, as the kubelet
 * watches each ConfigMap and Secret. A node has many of these, and each renewal is paid for on a metered link.
 */
export function watchSeconds(key: Pick<ViewKey, 'fieldSelector'>, random: number): number {
  const seconds = /^metadata\.name=[^,]+$/.test(key.fieldSelector) ? 1_800 : 300;
  return seconds + Math.floor(random * seconds);
}

function acceptFor(encoding: Encoding): string {
  return encoding === 'protobuf' ? 'application/vnd.kubernetes.protobuf,application/json' : 'application/json';
}

function errorCode(wire: Wire, frame: WatchFrame): number {
  const status = wire.decode(frame.typeMeta, frame.item.bytes);
  return typeof status['code'] === 'number' ? status['code'] : 0;
}

async function readAll(stream: UpstreamStream, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream.body) {
    chunks.push(Buffer.from(chunk));
    length += chunk.length;
    if (length >= maxBytes) break; // whoever goes on for ever is not read for ever
  }
  return Buffer.concat(chunks).subarray(0, maxBytes);
}
