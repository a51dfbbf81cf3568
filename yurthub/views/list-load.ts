// A list on its way in. The first list of a view is written while it arrives, and only its index is kept (a crash leaves
// objects without a view, which the next start removes). A later one is compared with what is there, and only the
// difference is written, in one batch.
import type { Item, Wire } from '../../kube/wire.ts';
import { Members } from './members.ts';
import { memberKey } from './view-key.ts';

export interface ListLoad {
  readonly wire: Wire;
  /** Rejects with StoreWriteError when an earlier part could not be written. */
  add(items: readonly Item[]): Promise<void>;
}

const batchBytes = 512 << 10;

export class FirstListLoad implements ListLoad {
  readonly wire: Wire;
  readonly members: Members;
  readonly #write: (items: readonly Item[]) => Promise<void>;
  #waiting: Item[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(wire: Wire, write: (items: readonly Item[]) => Promise<void>, settings: { residentBytes: number }) {
    this.wire = wire;
    this.#write = write;
    this.members = new Members(settings.residentBytes);
  }

  async add(items: readonly Item[]): Promise<void> {
    for (const item of items) {
      const { uid, resourceVersion, bytes } = item;
      // What stays in memory must not pin the items that came with it.
      const kept = this.members.resident ? Buffer.from(bytes) : bytes;
      this.members.set(memberKey(item.namespace, item.name), uid, resourceVersion, kept);
      this.#waiting.push(item);
      this.#waitingBytes += bytes.length;
    }
    if (this.#waitingBytes < batchBytes) return;
    await this.#writing;
    this.#writing = this.#write(this.rest());
    // Its failure is thrown by the next `add` or by `written`; until then nobody waits for it.
    this.#writing.catch(() => undefined);
  }

  /** Resolves when all that was handed to `write` is written. */
  async written(): Promise<void> {
    await this.#writing;
  }

  /** Takes the items that are not written yet. */
  rest(): Item[] {
    const rest = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    return rest;
  }
}

export class RelistLoad implements ListLoad {
  readonly wire: Wire;
  /** Keys of all items so far. */
  readonly seen = new Set<string>();
  /** Items that the view does not have in this version. */
  readonly changed: Item[] = [];
  readonly #members: Members;

  constructor(wire: Wire, members: Members) {
    this.wire = wire;
    this.#members = members;
  }

  add(items: readonly Item[]): Promise<void> {
    for (const item of items) {
      const key = memberKey(item.namespace, item.name);
      this.seen.add(key);
      const before = this.#members.get(key);
      if (before?.uid !== item.uid || before.resourceVersion !== item.resourceVersion)
        // A few changed objects must not pin all that came with them.
        this.changed.push({ ...item, bytes: Buffer.from(item.bytes) });
    }
    return Promise.resolve();
  }
}
