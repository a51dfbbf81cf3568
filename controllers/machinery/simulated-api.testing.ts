// An API server of a few collections in memory, for tests of what controllers do in any order of events: optimistic locking,
// generations, finalizers, subresources, and every write counted. Real semantics are tested on a real one.
import { applyJsonMergePatch } from '../../kube/patch/json-merge-patch.ts';
import type { Api, PatchType, Preconditions, WriteOptions } from './api.ts';
import { ApiError } from './errors.ts';
import type { Objects } from './informer.ts';
import { keyOf, type ApiObject, type Draft, type ObjectName, type Resource } from './resource.ts';

export class SimulatedApi implements Pick<Api, 'get' | 'create' | 'replace' | 'patch' | 'apply' | 'remove'> {
  /** Every write that changed something, as `patch nodes/a`. */
  readonly writes: string[] = [];
  /** Every write that was asked for, also those that changed nothing or were refused. */
  readonly asked: string[] = [];
  /** Called before each write; may throw, or change things first. */
  beforeWrite: (what: string) => void = () => undefined;
  /** Called after each write; may throw, as when the answer is lost. */
  afterWrite: (what: string) => void = () => undefined;
  readonly #collections = new Map<string, Map<string, ApiObject>>();
  #version = 0;

  /** The objects as they are now: a cache that is never behind. */
  objects<T extends ApiObject, I extends string>(
    resource: Resource,
    indexes: Readonly<Record<I, (object: T) => readonly string[]>>,
  ): Objects<T, I> {
    const all = (): T[] => [...this.#of(resource).values()] as T[];
    return {
      get: (name) => this.#of(resource).get(keyOf(name)) as T | undefined,
      list: all,
      byIndex: (index, value) => all().filter((object) => indexes[index](object).includes(value)),
      written: () => undefined,
    };
  }

  /** As a person would: not counted as a write. */
  put<T extends { readonly metadata: object }>(resource: Resource, object: T): void {
    const { name, namespace } = object.metadata as { name: string; namespace?: string };
    const key = keyOf({ name, namespace });
    const known = this.#of(resource).get(key);
    this.#version += 1;
    const version = { resourceVersion: String(this.#version), uid: known?.metadata.uid ?? `uid-${this.#version}` };
    const stored = { ...object, metadata: { name, ...object.metadata, ...version } };
    this.#of(resource).set(key, stored);
  }

  /** As a person would: what has finalizers stays until they are gone. */
  delete(resource: Resource, name: ObjectName): void {
    const object = this.#of(resource).get(keyOf(name));
    if (object === undefined) return;
    if ((object.metadata.finalizers ?? []).length === 0) this.#of(resource).delete(keyOf(name));
    else this.put(resource, { ...object, metadata: { ...object.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } });
  }

  async get<T extends ApiObject>(resource: Resource, name: ObjectName): Promise<T | undefined> {
    return this.#of(resource).get(keyOf(name)) as T | undefined;
  }

  async create<T extends ApiObject>(resource: Resource, object: Draft): Promise<T> {
    const name = object.metadata.name ?? `${object.metadata.generateName}${this.#version}`;
    const key = keyOf({ name, namespace: object.metadata.namespace });
    this.#begin(`create ${resource.resource}/${key}`);
    if (this.#of(resource).has(key)) throw new ApiError(`${key} exists`, 409, 'AlreadyExists');
    this.put(resource, { ...object, metadata: { ...object.metadata, name } });
    this.#end(`create ${resource.resource}/${key}`);
    return this.#of(resource).get(key) as T;
  }

  async replace<T extends ApiObject>(
    resource: Resource,
    object: T,
    _signal: AbortSignal,
    { subresource }: WriteOptions = {},
  ): Promise<T> {
    const what = `update ${resource.resource}/${keyOf(object.metadata)}${subresource === undefined ? '' : `/${subresource}`}`;
    this.#begin(what);
    const { resourceVersion } = object.metadata;
    this.#check(this.#existing(resource, object.metadata), { resourceVersion });
    this.put(resource, object);
    this.#end(what);
    return this.#of(resource).get(keyOf(object.metadata)) as T;
  }

  async patch<T extends ApiObject>(
    resource: Resource,
    name: ObjectName,
    type: PatchType,
    body: unknown,
    _signal: AbortSignal,
    { subresource }: WriteOptions = {},
  ): Promise<T> {
    if (type !== 'merge') throw new TypeError(`${type} patches are not simulated`);
    const what = `patch ${resource.resource}/${keyOf(name)}${subresource === undefined ? '' : `/${subresource}`}`;
    this.#begin(what);
    const before = this.#existing(resource, name);
    const { metadata: asked = {} } = body as { metadata?: Preconditions };
    this.#check(before, asked);
    const patched = applyJsonMergePatch(before, body) as ApiObject;
    const after = { ...patched, metadata: { ...patched.metadata, resourceVersion: before.metadata.resourceVersion } };
    if (JSON.stringify(after) === JSON.stringify(before)) return before as T;
    this.put(resource, after);
    if (after.metadata.deletionTimestamp !== undefined) this.delete(resource, name);
    this.#end(what);
    return (this.#of(resource).get(keyOf(name)) ?? after) as T;
  }

  async apply<T extends ApiObject>(
    resource: Resource,
    object: Draft & { readonly metadata: { readonly name: string } },
  ): Promise<T> {
    const key = keyOf(object.metadata);
    this.#begin(`apply ${resource.resource}/${key}`);
    const before = this.#of(resource).get(key);
    if (before !== undefined) this.#check(before, object.metadata);
    else if (object.metadata.uid !== undefined) throw new ApiError(`${key} is not there`, 409, 'Conflict');
    const { uid, resourceVersion } = before?.metadata ?? {};
    const after = { ...object, metadata: { ...object.metadata, uid, resourceVersion } };
    if (before !== undefined && JSON.stringify(after) === JSON.stringify(before)) return before as T;
    this.put(resource, object as unknown as ApiObject);
    this.#end(`apply ${resource.resource}/${key}`);
    return this.#of(resource).get(key) as T;
  }

  async remove(resource: Resource, name: ObjectName, preconditions: Preconditions): Promise<boolean> {
    this.#begin(`delete ${resource.resource}/${keyOf(name)}`);
    const before = this.#of(resource).get(keyOf(name));
    if (before === undefined) return false;
    this.#check(before, preconditions);
    this.delete(resource, name);
    this.#end(`delete ${resource.resource}/${keyOf(name)}`);
    return true;
  }

  #of(resource: Resource): Map<string, ApiObject> {
    const known = this.#collections.get(resource.resource);
    if (known !== undefined) return known;
    const made = new Map<string, ApiObject>();
    this.#collections.set(resource.resource, made);
    return made;
  }

  #existing(resource: Resource, name: ObjectName): ApiObject {
    const object = this.#of(resource).get(keyOf(name));
    if (object === undefined) throw new ApiError(`${keyOf(name)} not found`, 404, 'NotFound');
    return object;
  }

  #check({ metadata }: ApiObject, { uid, resourceVersion }: Preconditions): void {
    const isOther = (asked: string | undefined, is: string): boolean => asked !== undefined && asked !== is;
    if (isOther(uid, metadata.uid) || isOther(resourceVersion, metadata.resourceVersion))
      throw new ApiError(`${metadata.name} was changed`, 409, 'Conflict');
  }

  #end(what: string): void {
    this.writes.push(what);
    this.afterWrite(what);
  }

  #begin(what: string): void {
    this.asked.push(what);
    this.beforeWrite(what);
  }
}
