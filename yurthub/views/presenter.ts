// How objects look to local clients: what the offline write path put over them, then the filters. Pure of effects; the
// same bytes come back when nothing is changed, which is how the views know that a frame can be passed on as it came.
import type { Item, TypeMeta, Wire } from '../../kube/wire.ts';
import type { Overlay, ViewKey } from '../types.ts';

/** A filter changes some objects of some views, depending on state of its own. */
export interface Filter {
  concerns(key: ViewKey): boolean;
  /** The bytes to show: `bytes` itself when nothing has to change. */
  apply(wire: Wire, typeMeta: TypeMeta, bytes: Buffer): Buffer;
}

export class Presenter {
  readonly #overlay: () => Overlay;
  readonly #filters: readonly Filter[];
  readonly #cloudSaw: (key: ViewKey, item: Item) => void;

  /** `cloudSaw` hears of every object that the cloud sends, so that an overlay can end when it has arrived there. */
  constructor(overlay: () => Overlay, filters: readonly Filter[], cloudSaw: (key: ViewKey, item: Item) => void) {
    this.#overlay = overlay;
    this.#filters = filters;
    this.#cloudSaw = cloudSaw;
  }

  present(key: ViewKey, wire: Wire, typeMeta: TypeMeta, item: Item): Buffer {
    let shown = this.#overlay().lookup(key.group, key.resource, item, wire.encoding) ?? item.bytes;
    for (const filter of this.#filters) if (filter.concerns(key)) shown = filter.apply(wire, typeMeta, shown);
    return shown;
  }

  /** True for views whose objects are shown as the cloud gives them, always: their lists may be passed on as they come. */
  leavesAlone(key: ViewKey): boolean {
    return !this.#overlay().concerns(key.group, key.resource) && !this.#filters.some((filter) => filter.concerns(key));
  }

  cloudSaw(key: ViewKey, item: Item): void {
    this.#cloudSaw(key, item);
  }
}
