// The embedded API server's etcd: objects by kind and name, one version counter for all writes, and a bounded history,
// from which watches resume and older states are rebuilt.
import { cloneJson } from '../kube/patch/json-value.ts';
import type { KubeObject } from '../kube/wire.ts';
import type { ResourceKind } from './resource-kinds.ts';
import { ApiError } from './errors.ts';
import { metadataOf } from '../kube/plain-object.ts';

/** One write. Objects are frozen in the store: never changed after they were put. */
export interface StoreEvent {
  readonly version: number;
  readonly kind: ResourceKind;
  readonly key: string;
  /** The object before the write; undefined when it was created. */
  readonly before: KubeObject | undefined;
  /** The object after the write; undefined when it was deleted. */
  readonly after: KubeObject | undefined;
}

export interface Snapshot {
  readonly version: number;
  /** In order of namespace and name. */
  readonly objects: readonly KubeObject[];
}

/** Objects sort by this as etcd's keys do. */
export const objectKey = (namespace: string, name: string): string => `${namespace}/${name}`;

export class ObjectStore {
  readonly #objects = new Map<ResourceKind, Map<string, KubeObject>>();
  readonly #historySize: number;
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  #history: StoreEvent[] = [];
  #version = 1;
  #oldestVersion = 1;

  /** `historySize`: how many writes can be resumed from. */
  constructor(settings: { historySize: number }) {
    this.#historySize = settings.historySize;
  }

  /** The resourceVersion of the last write. */
  get version(): number {
    return this.#version;
  }

  get(kind: ResourceKind, key: string): KubeObject | undefined {
    return this.#objects.get(kind)?.get(key);
  }

  /**
   * Creates (without `before`), replaces, or deletes (without `after`) one object, and stamps what is written with the
   * write's version. Returns the object as stored, or as it was with the version of its deletion.
   */
  write(kind: ResourceKind, key: string, after: KubeObject | undefined): KubeObject {
    const objects = this.#objects.get(kind) ?? new Map<string, KubeObject>();
    this.#objects.set(kind, objects);
    const before = objects.get(key);
    this.#version += 1;
    const source = after ?? before ?? {};
    const stamped = cloneJson(source);
    stamped['metadata'] = { ...metadataOf(stamped), resourceVersion: String(this.#version) };
    if (after === undefined) objects.delete(key);
    else objects.set(key, stamped);
    const event = { version: this.#version, kind, key, before, after: after === undefined ? undefined : stamped };
    this.#history.push(event);
    while (this.#history.length > this.#historySize) {
      this.#oldestVersion = this.#history.shift()?.version ?? this.#version;
    }
    for (const listener of this.#listeners) listener(event);
    return stamped;
  }

  /** All objects of a kind as they were at `version` (now, if undefined). Throws 410 Expired beyond the history. */
  snapshot(kind: ResourceKind, version: number = this.#version): Snapshot {
    this.#requireVersion(version);
    const objects = new Map(this.#objects.get(kind));
    for (const event of this.#history.toReversed()) {
      if (event.version <= version) break;
      if (event.kind !== kind) continue;
      if (event.before === undefined) objects.delete(event.key);
      else objects.set(event.key, event.before);
    }
    const sorted = [...objects].toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return { version, objects: sorted.map(([, object]) => object) };
  }

  /** The writes after `version`. Throws 410 Expired beyond the history. */
  eventsAfter(version: number): StoreEvent[] {
    this.#requireVersion(version);
    return this.#history.filter((event) => event.version > version);
  }

  /** Calls back in the order of writes, before `write` returns; returns the way to stop that. */
  subscribe(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Forgets the history, as etcd's compaction does: who resumes before now gets 410. */
  compact(): void {
    this.#history = [];
    this.#oldestVersion = this.#version;
  }

  #requireVersion(version: number): void {
    if (version < this.#oldestVersion)
      throw new ApiError('Expired', `too old resource version: ${version} (${this.#oldestVersion})`);
  }
}
