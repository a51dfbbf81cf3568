// What controllers know of a collection: kept up to date by a reflector, asked by key or index, and subscribed to for changes.
// One informer serves every controller that names the same description.
import type { Log } from '../../runtime/log.ts';
import type { Selection } from './api.ts';
import { ObjectCache, type Change } from './object-cache.ts';
import { Reflector, type ReflectorParts } from './reflector.ts';
import { keyOf, type ApiObject, type ObjectName, type Resource } from './resource.ts';

export interface Collection<T extends ApiObject, I extends string = string> {
  /** In metrics and log lines; unique in the process. */
  readonly name: string;
  readonly resource: Resource;
  readonly selection?: Selection;
  /** Ask for metadata only: the API server then sends no spec and no status. */
  readonly metadataOnly?: boolean;
  /**
   * What is kept of an object that came. Memory is what is kept; what is left out here is not seen by reconcilers, and when
   * only that changes nobody is woken. Must keep metadata's name, namespace, uid and resourceVersion.
   */
  readonly keep: (object: ApiObject) => T;
  readonly indexes?: Readonly<Record<I, (object: T) => readonly string[]>>;
}

export type Subscriber<T extends ApiObject> = (change: Change<T>) => void;

/** What reconcilers need of an informer; tests give a plain implementation. */
export interface Objects<T extends ApiObject, I extends string = string> {
  get(name: ObjectName): T | undefined;
  list(): readonly T[];
  byIndex(index: I, value: string): readonly T[];
  /** Takes up what a write gave, so that the next reconcile does not decide by what was before. */
  written(object: ApiObject): void;
}

export class Informer<T extends ApiObject, I extends string = string> implements Objects<T, I> {
  readonly collection: Collection<T, I>;
  readonly #parts: ReflectorParts;
  readonly #cache: ObjectCache<T>;
  readonly #subscribers = new Set<Subscriber<T>>();
  readonly #synced = Promise.withResolvers<void>();
  #isSynced = false;
  #reflector: Reflector<T> | undefined;

  constructor(parts: ReflectorParts, collection: Collection<T, I>) {
    this.#parts = parts;
    this.collection = collection;
    this.#cache = new ObjectCache<T>(collection.indexes ?? {}, (change) => {
      for (const subscriber of this.#subscribers) this.#tell(subscriber, change, parts.log);
    });
  }

  /** The collection has been listed once. */
  get synced(): boolean {
    return this.#isSynced;
  }

  whenSynced(): Promise<void> {
    return this.#synced.promise;
  }

  /** What is missing for it to be up to date, as a line that says what to do where that is known; undefined when nothing is. */
  get missing(): string | undefined {
    const { problem = '', refused = false } = this.#reflector ?? {};
    if (this.#isSynced && !refused) return undefined;
    return `${this.collection.name}: ${problem === '' ? 'being listed' : problem}`;
  }

  get size(): number {
    return this.#cache.size;
  }

  get(name: ObjectName): T | undefined {
    return this.#cache.get(keyOf(name));
  }

  list(): T[] {
    return [...this.#cache.values()];
  }

  byIndex(index: I, value: string): T[] {
    return this.#cache.byIndex(index, value);
  }

  written(object: ApiObject): void {
    // Before the first list there is nothing to compare with, and that list is newer than this write or sees it.
    if (this.#isSynced) this.#cache.written(this.collection.keep(object));
  }

  /** Tells of everything that is known now as new, then of every change, in their order. Gives the way to end that. */
  subscribe(subscriber: Subscriber<T>): () => void {
    this.#subscribers.add(subscriber);
    for (const object of this.#cache.values())
      this.#tell(subscriber, { key: keyOf(object.metadata), before: undefined, after: object }, this.#parts.log);
    return () => void this.#subscribers.delete(subscriber);
  }

  /** Until `signal` aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { metrics } = this.#parts;
    const { name, resource, selection = {}, metadataOnly = false, keep } = this.collection;
    const cache = this.#cache;
    const counted = (): void => metrics.informerObjects.set({ collection: name }, cache.size);
    const reflector = (this.#reflector = new Reflector<T>(
      this.#parts,
      { name, resource, selection, metadataOnly },
      {
        keep,
        listBegins: () => cache.listBegins(),
        replace: (objects, version) => {
          cache.replace(objects, version);
          counted();
          metrics.informerSynced.set({ collection: name }, 1);
          this.#isSynced = true;
          this.#synced.resolve();
        },
        put: (object) => {
          cache.put(object);
          counted();
        },
        remove: (object) => {
          cache.remove(object);
          counted();
        },
      },
    ));
    await reflector.run(signal);
  }

  /** A subscriber that fails must keep the others from nothing. */
  #tell(subscriber: Subscriber<T>, change: Change<T>, log: Log): void {
    try {
      subscriber(change);
    } catch (error) {
      this.#parts.metrics.informerFailures.inc({ collection: this.collection.name });
      log.error('a change could not be told', {
        collection: this.collection.name,
        key: change.key,
        error: String(error),
      });
    }
  }
}

/** The informers of a process: one for each collection, shared by the controllers that ask for it. */
export class InformerSet {
  readonly #parts: ReflectorParts;
  readonly #informers = new Map<
    unknown,
    { missing: string | undefined; collection: { name: string }; run(signal: AbortSignal): Promise<void> }
  >();

  constructor(parts: ReflectorParts) {
    this.#parts = parts;
  }

  /** The same informer for the same `collection` object. To be called before `run`. */
  of<T extends ApiObject, I extends string>(collection: Collection<T, I>): Informer<T, I> {
    const known = this.#informers.get(collection);
    if (known !== undefined) return known as Informer<T, I>;
    if ([...this.#informers.values()].some((other) => other.collection.name === collection.name))
      throw new TypeError(`two collections are named ${collection.name}`);
    const made = new Informer<T, I>(this.#parts, collection);
    this.#informers.set(collection, made);
    return made;
  }

  /** A line for each collection that is not up to date; empty when all are. */
  get missing(): string[] {
    return [...this.#informers.values()].flatMap(({ missing }) => missing ?? []);
  }

  /** Until `signal` aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#informers.values()].map((informer) => informer.run(signal)));
  }
}
