// The objects of one collection as they were last seen, by key and by indexes, and the one place that decides what is a
// change: an event that was seen before, or that differs only in what is not kept, is none.
import { compareResourceVersions } from '../../kube/resource-version.ts';
import { keyOf, type ApiObject } from './resource.ts';
import { same } from './same.ts';

/** `before` is undefined for an object that is new, `after` for one that is gone. At least one is there, and their UIDs are equal. */
export interface Change<T extends ApiObject> {
  readonly key: string;
  readonly before: T | undefined;
  readonly after: T | undefined;
}

export type IndexFunctions<T> = Readonly<Record<string, (object: T) => readonly string[]>>;

/** Far more than can be gone while one request is answered. */
const maxGone = 10_000;

export class ObjectCache<T extends ApiObject> {
  readonly #objects = new Map<string, T>();
  readonly #indexFunctions: IndexFunctions<T>;
  readonly #indexes = new Map<string, Map<string, Map<string, T>>>();
  readonly #changed: (change: Change<T>) => void;
  /** Versions of our own writes since the present list began: that list may be older. */
  #writtenSince = new Map<string, string>();
  /** UIDs of what is gone, the latest last: the answer to a write of ours may come after the news that the object is gone. */
  readonly #gone = new Set<string>();

  constructor(indexFunctions: IndexFunctions<T>, changed: (change: Change<T>) => void) {
    this.#indexFunctions = indexFunctions;
    this.#changed = changed;
    for (const name of Object.keys(indexFunctions)) this.#indexes.set(name, new Map());
  }

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  /** Those for which the index function gives `value`. Throws TypeError when there is no such index. */
  byIndex(index: string, value: string): T[] {
    const values = this.#indexes.get(index);
    if (values === undefined) throw new TypeError(`no index ${index}`);
    return [...(values.get(value)?.values() ?? [])];
  }

  /** What a watch says. */
  put(object: T): void {
    const key = keyOf(object.metadata);
    const before = this.#objects.get(key);
    if (before !== undefined && !isNewer(object, before)) return;
    this.#set(key, before, object);
  }

  /** What a write of our own gave: reconciles see it before the watch tells. */
  written(object: T): void {
    if (this.#gone.has(object.metadata.uid)) return;
    this.#writtenSince.set(keyOf(object.metadata), object.metadata.resourceVersion);
    this.put(object);
  }

  /** A watch said that it is gone; `object` is its last state. */
  remove(object: T): void {
    const key = keyOf(object.metadata);
    this.#bury(object);
    const before = this.#objects.get(key);
    // Made again meanwhile, by ourselves: what is gone is an earlier one.
    if (before === undefined || (before.metadata.uid !== object.metadata.uid && !isNewer(object, before))) return;
    this.#drop(key, before);
  }

  listBegins(): void {
    this.#writtenSince = new Map();
  }

  /** A whole list of that version: what is not in it is gone, unless we wrote it after the list was made. */
  replace(objects: Iterable<T>, version: string): void {
    const present = new Set<string>();
    const isOlderThanWrite = (key: string): boolean => {
      const written = this.#writtenSince.get(key);
      return written !== undefined && compareResourceVersions(written, version) > 0;
    };
    for (const object of objects) {
      const key = keyOf(object.metadata);
      present.add(key);
      // Also where its version is older: a cluster that was restored from a backup goes back.
      if (!isOlderThanWrite(key)) this.#set(key, this.#objects.get(key), object);
    }
    for (const [key, before] of this.#objects) if (!present.has(key) && !isOlderThanWrite(key)) this.#drop(key, before);
    this.#writtenSince = new Map();
  }

  #set(key: string, before: T | undefined, after: T): void {
    if (before !== undefined && before.metadata.uid !== after.metadata.uid) {
      this.#drop(key, before);
      this.#set(key, undefined, after);
      return;
    }
    if (before !== undefined) this.#unindex(key, before);
    this.#objects.set(key, after);
    this.#index(key, after);
    if (before === undefined || !sameButVersion(before, after)) this.#changed({ key, before, after });
  }

  #bury({ metadata }: ApiObject): void {
    this.#gone.add(metadata.uid);
    const [oldest] = this.#gone;
    if (this.#gone.size > maxGone && oldest !== undefined) this.#gone.delete(oldest);
  }

  #drop(key: string, before: T): void {
    this.#bury(before);
    this.#unindex(key, before);
    this.#objects.delete(key);
    this.#changed({ key, before, after: undefined });
  }

  #index(key: string, object: T): void {
    for (const [name, valuesOf] of Object.entries(this.#indexFunctions)) {
      const values = this.#indexes.get(name)!;
      for (const value of valuesOf(object)) {
        const entries = values.get(value);
        if (entries === undefined) values.set(value, new Map([[key, object]]));
        else entries.set(key, object);
      }
    }
  }

  #unindex(key: string, object: T): void {
    for (const [name, valuesOf] of Object.entries(this.#indexFunctions)) {
      const values = this.#indexes.get(name)!;
      for (const value of valuesOf(object)) {
        const entries = values.get(value);
        if (entries?.delete(key) === true && entries.size === 0) values.delete(value);
      }
    }
  }
}

function isNewer(a: ApiObject, b: ApiObject): boolean {
  return compareResourceVersions(a.metadata.resourceVersion, b.metadata.resourceVersion) > 0;
}

function sameButVersion(a: ApiObject, b: ApiObject): boolean {
  const neutral = { ...b, metadata: { ...b.metadata, resourceVersion: a.metadata.resourceVersion } };
  return same(a, neutral);
}
