// A list on its way in. The first list of a view is written while it arrives, and only its index is kept (a crash leaves
// objects without a view, which the next start removes). A later one is compared with what is there, and only the
// difference is written, in one batch.
import type { Item, Wire } from '../../kube/wire.ts';
import type { Segment, SegmentWriter } from '../types.ts';
import { Members } from './members.ts';
import { memberKey } from './view-key.ts';

export interface ListLoad {
  readonly wire: Wire;
  /** Rejects with StoreWriteError when an earlier part could not be written. */
  add(items: readonly Item[]): Promise<void>;
  /** To be called when the list broke off. */
  abandon(): Promise<void>;
}

/** Where a first list goes: into one segment, or, where that must not be, into records. */
export interface FirstListSink {
  readonly beginSegment: (() => Promise<SegmentWriter>) | undefined;
  readonly write: (items: readonly Item[]) => Promise<void>;
}

/** A list beyond this goes to the disk while it arrives. */
const batchBytes = 512 << 10;

export class FirstListLoad implements ListLoad {
  readonly wire: Wire;
  readonly members: Members;
  readonly #sink: FirstListSink;
  #waiting: Item[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  #segment: SegmentWriter | undefined;

  constructor(wire: Wire, sink: FirstListSink, settings: { residentBytes: number }) {
    this.wire = wire;
    this.#sink = sink;
    this.members = new Members(settings.residentBytes);
  }

  async add(items: readonly Item[]): Promise<void> {
    if (this.#segment !== undefined) {
      await this.#append(this.#segment, items);
      return;
    }
    for (const item of items) {
      const { uid, resourceVersion } = item;
      // The memory that it came in is used again, and what stays must not pin what came with it.
      const bytes = Buffer.from(item.bytes);
      this.members.set(memberKey(item.namespace, item.name), uid, resourceVersion, bytes);
      this.#waiting.push({ ...item, bytes });
      this.#waitingBytes += bytes.length;
    }
    if (this.#waitingBytes < batchBytes) return;
    if (this.#sink.beginSegment === undefined) {
      await this.#writing;
      this.#writing = this.#sink.write(this.rest());
      // Its failure is thrown by the next `add` or by `finish`; until then nobody waits for it.
      this.#writing.catch(() => undefined);
      return;
    }
    this.#segment = await this.#sink.beginSegment();
    await this.#append(this.#segment, this.rest());
  }

  /** The segment, if there is one; resolves when all that was handed on is written. Rejects with StoreWriteError. */
  async finish(): Promise<Segment | undefined> {
    await this.#writing;
    return await this.#segment?.finish();
  }

  async abandon(): Promise<void> {
    await this.#segment?.abandon();
  }

  /** Takes the items that are not written yet. */
  rest(): Item[] {
    const rest = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    return rest;
  }

  async #append(segment: SegmentWriter, items: readonly Item[]): Promise<void> {
    for (const { namespace, name, uid, resourceVersion, bytes } of items) {
      const room = segment.room(bytes.length);
      if (room !== undefined) await room;
      this.members.set(memberKey(namespace, name), uid, resourceVersion, bytes, segment.append(bytes));
    }
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

  abandon(): Promise<void> {
    return Promise.resolve(); // nothing was written
  }
}
