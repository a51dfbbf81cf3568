// Follows one collection: list in pages, then watch from the list's version, and from the list again when a watch cannot go on.
// It ends only when it is told to; whatever goes wrong is logged once, counted, and tried again with growing pauses.
import { Backoff } from '../../runtime/backoff.ts';
import { delay, type Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Api, ListPage, Selection } from './api.ts';
import { ApiError, isExpired } from './errors.ts';
import type { MachineryMetrics } from './metrics.ts';
import { remedyOf } from './remedy.ts';
import type { ApiObject, Resource } from './resource.ts';

export interface ReflectorParts {
  readonly api: Pick<Api, 'listPage' | 'watch'>;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: MachineryMetrics;
  /** As Math.random. */
  readonly random: () => number;
}

export interface ReflectorTarget {
  /** In metrics and log lines. */
  readonly name: string;
  readonly resource: Resource;
  readonly selection: Selection;
  readonly metadataOnly: boolean;
}

/** Where objects go, in the order of the API server. */
export interface ReflectorSink<T extends ApiObject> {
  /** What is kept of an object that came. */
  keep(object: ApiObject): T;
  listBegins(): void;
  replace(objects: Iterable<T>, version: string): void;
  put(object: T): void;
  remove(object: T): void;
}

const pageSize = 500;
const backoff = { firstMs: 500, longestMs: 30_000 };
/** Watches end at different times, so that a fleet of them does not begin anew in one moment. */
const watchSeconds = { least: 300, spread: 300 };

export class Reflector<T extends ApiObject> {
  readonly #parts: ReflectorParts;
  readonly #target: ReflectorTarget;
  readonly #sink: ReflectorSink<T>;
  readonly #pause: Backoff;
  #version: string | undefined;
  #problemBefore = '';
  #isRefused = false;

  constructor(parts: ReflectorParts, target: ReflectorTarget, sink: ReflectorSink<T>) {
    this.#parts = parts;
    this.#target = target;
    this.#sink = sink;
    this.#pause = new Backoff(backoff, parts.random);
    parts.metrics.collection(target.name);
  }

  /** Why the collection cannot be followed, as far as is known; '' when it can. */
  get problem(): string {
    return this.#problemBefore;
  }

  /** The API server refuses it, and goes on to until a person does what `problem` says. */
  get refused(): boolean {
    return this.#isRefused;
  }

  /** Until `signal` aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, clock, metrics } = this.#parts;
    const { name, resource } = this.#target;
    while (!signal.aborted) {
      const begunMs = clock.monotonicMs();
      let waitMs = 0;
      try {
        this.#version ??= await this.#list(signal);
        this.#problemBefore = '';
        this.#isRefused = false;
        await this.#watch(this.#version, signal);
        // A watch that ends at once must not become a storm.
        if (clock.monotonicMs() - begunMs < 1000) waitMs = this.#pause.nextMs();
      } catch (error) {
        if (signal.aborted) return;
        metrics.informerFailures.inc({ collection: name });
        // Refused, 410 above all: what was missed has to be listed. A connection that broke goes on where it was.
        if (error instanceof ApiError) this.#version = undefined;
        const remedy = remedyOf(error, resource);
        this.#isRefused = remedy !== undefined;
        const problem = remedy ?? (error as Error).message;
        if (isExpired(error)) log.info('a watch is too old to go on; listing again', { collection: name });
        else if (problem !== this.#problemBefore)
          log.warn('a collection cannot be followed', { collection: name, problem });
        if (!isExpired(error)) this.#problemBefore = problem;
        waitMs = Math.max(this.#pause.nextMs(), error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0);
      }
      if (waitMs > 0) await delay(clock, waitMs, signal);
    }
  }

  /** Gives the list's version. */
  async #list(signal: AbortSignal): Promise<string> {
    const { metrics } = this.#parts;
    this.#sink.listBegins();
    const objects = await this.#pages(signal).catch((error: unknown) => {
      // Pages that take longer than the API server remembers: the whole in one piece.
      if (isExpired(error)) return this.#pages(signal, null);
      throw error;
    });
    signal.throwIfAborted();
    this.#sink.replace(objects.items, objects.version);
    metrics.informerLists.inc({ collection: this.#target.name });
    return objects.version;
  }

  async #pages(signal: AbortSignal, limit: number | null = pageSize): Promise<{ items: T[]; version: string }> {
    const { resource, selection, metadataOnly } = this.#target;
    const items: T[] = [];
    let next = '';
    for (;;) {
      const page: ListPage<T> = await this.#parts.api.listPage(
        resource,
        selection,
        { metadataOnly, ...(limit === null ? {} : { limit }), ...(next === '' ? {} : { continue: next }) },
        (object) => this.#sink.keep(object),
        signal,
      );
      for (const item of page.items) items.push(item);
      next = page.continue;
      if (next === '') return { items, version: page.resourceVersion };
    }
  }

  /** Until the watch ends. Rejects with ApiError for an ERROR event. */
  async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
    const { api, metrics, random } = this.#parts;
    const { name, resource, selection, metadataOnly } = this.#target;
    const timeoutSeconds = Math.round(watchSeconds.least + watchSeconds.spread * random());
    for await (const { type, object } of api.watch(
      resource,
      selection,
      { resourceVersion, timeoutSeconds, metadataOnly },
      signal,
    )) {
      if (signal.aborted) break;
      if (type === 'ERROR') {
        const {
          code = 500,
          reason = '',
          message = '',
        } = object as unknown as Partial<Record<'reason' | 'message', string>> & {
          code?: number;
        };
        throw new ApiError(`watch ${name}: ${code} ${message}`, code, reason);
      }
      if (type === 'ADDED' || type === 'MODIFIED') this.#sink.put(this.#sink.keep(object));
      else if (type === 'DELETED') this.#sink.remove(this.#sink.keep(object));
      if (type !== 'BOOKMARK') metrics.informerEvents.inc({ collection: name });
      // Only now: an event that could not be taken up is asked for again.
      this.#version = object.metadata.resourceVersion;
      this.#pause.reset();
    }
  }
}
