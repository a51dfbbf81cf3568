// How objects look to local clients: what the offline write path put over them, then the filters. Pure of effects; the
// same bytes come back when nothing is changed, which is how the views know that a frame can be passed on as it came.
import type { Item, Wire } from '../../kube/wire.ts';
import type { Overlay, ViewKey } from '../types.ts';

/** What a filter needs to know of a collection to say whether it can touch objects of it. */
export type Collection = Pick<
  ViewKey,
  'group' | 'version' | 'resource' | 'namespace' | 'labelSelector' | 'fieldSelector'
>;

/** A filter changes or hides some objects of some views, depending on state of its own. */
export interface Filter {
  readonly name: string;
  /** The same answer for the same collection, always. */
  concerns(collection: Collection): boolean;
  /**
   * The bytes to show: `bytes` itself when nothing has to change, undefined to hide the object. `collection` is the same
   * object for all objects of one view, or of one list.
   */
  apply(wire: Wire, bytes: Buffer, collection: Collection): Buffer | undefined;
  /** For filters that look at objects together: this one is not in a view any more. */
  gone?(collection: Collection, namespace: string, name: string): void;
}

export interface PresenterParts {
  readonly overlay: () => Overlay;
  readonly filters: readonly Filter[];
  /** Hears of every object that the cloud sends, so that an overlay can end when it has arrived there. */
  readonly cloudSaw: (key: ViewKey, item: Item) => void;
  /** A filter could not read an object: it is shown without that filter. */
  readonly failed: (filter: string, error: unknown) => void;
}

export class Presenter {
  readonly #parts: PresenterParts;
  readonly #filters = new WeakMap<Collection, readonly Filter[]>();

  constructor(parts: PresenterParts) {
    this.#parts = parts;
  }

  /** Undefined for an object that local clients do not see. */
  present(collection: Collection, wire: Wire, item: Item): Buffer | undefined {
    const { group, resource } = collection;
    const overlaid = this.#parts.overlay().lookup(group, resource, item, wire.encoding) ?? item.bytes;
    return this.filtered(collection, wire, overlaid);
  }

  /** The filters alone: for objects as the cloud has them now, over which nothing of ours lies. */
  filtered(collection: Collection, wire: Wire, bytes: Buffer): Buffer | undefined {
    let shown = bytes;
    for (const filter of this.#filtersOf(collection)) {
      try {
        const next = filter.apply(wire, shown, collection);
        if (next === undefined) return undefined;
        shown = next;
      } catch (error) {
        this.#parts.failed(filter.name, error);
      }
    }
    return shown;
  }

  /** Whether any filter can touch objects of this collection. Does not remember the answer: for single requests. */
  filters(collection: Collection): boolean {
    return this.#parts.filters.some((filter) => filter.concerns(collection));
  }

  /** To be called for each object that leaves a view. */
  gone(collection: Collection, namespace: string, name: string): void {
    for (const filter of this.#filtersOf(collection)) filter.gone?.(collection, namespace, name);
  }

  /** True for views whose objects are shown as the cloud gives them, always: their lists may be passed on as they come. */
  leavesAlone(key: Collection): boolean {
    return !this.#parts.overlay().concerns(key.group, key.resource) && this.#filtersOf(key).length === 0;
  }

  cloudSaw(key: ViewKey, item: Item): void {
    this.#parts.cloudSaw(key, item);
  }

  #filtersOf(key: Collection): readonly Filter[] {
    let filters = this.#filters.get(key);
    if (filters === undefined) {
      filters = this.#parts.filters.filter((filter) => filter.concerns(key));
      this.#filters.set(key, filters);
    }
    return filters;
  }
}
