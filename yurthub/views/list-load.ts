// A list on its way in: which members it names, and which of them are new or different. The first list of a view is
// written while it arrives (a crash leaves objects without a view, which the next start removes); a later one is
// compared with what is there, and only the difference is written, in one batch.
import type { Item, Wire } from '../../kube/wire.ts';
import { memberKey } from './view-key.ts';

const batchBytes = 1 << 20;

export type WriteAhead = (items: readonly Item[]) => Promise<void>;

export class ListLoad {
  readonly wire: Wire;
  /** Keys of all items so far. */
  readonly seen = new Set<string>();
  /** Items that the view does not have in this version. */
  readonly changed: Item[] = [];
  readonly #members: ReadonlyMap<string, { readonly uid: string; readonly resourceVersion: string }>;
  readonly #writeAhead: WriteAhead | undefined;
  #ahead: Item[] = [];
  #aheadBytes = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(
    wire: Wire,
    members: ReadonlyMap<string, { readonly uid: string; readonly resourceVersion: string }>,
    writeAhead: WriteAhead | undefined,
  ) {
    this.wire = wire;
    this.#members = members;
    this.#writeAhead = writeAhead;
  }

  /** Rejects with StoreWriteError when an earlier part could not be written. */
  async add(items: readonly Item[]): Promise<void> {
    for (const item of items) {
      const key = memberKey(item.namespace, item.name);
      this.seen.add(key);
      const before = this.#members.get(key);
      if (before !== undefined && before.uid === item.uid && before.resourceVersion === item.resourceVersion) continue;
      this.changed.push(item);
      if (this.#writeAhead === undefined) continue;
      this.#ahead.push(item);
      this.#aheadBytes += item.bytes.length;
    }
    if (this.#writeAhead === undefined || this.#aheadBytes < batchBytes) return;
    await this.#writing;
    this.#writing = this.#writeAhead(this.rest());
    // Its failure is thrown by the next `add` or by `written`; until then nobody waits for it.
    this.#writing.catch(() => undefined);
  }

  /** Resolves when all that was handed to `writeAhead` is written. */
  async written(): Promise<void> {
    await this.#writing;
  }

  /** Takes the items that are not written ahead. */
  rest(): Item[] {
    const rest = this.#ahead;
    this.#ahead = [];
    this.#aheadBytes = 0;
    return rest;
  }
}
