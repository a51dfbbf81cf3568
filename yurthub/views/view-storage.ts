// One view's part of the store: its own record, and its objects. A small view has a record for each. A large one has a segment
// with the objects of its first list, and records for those that have changed since, empty for those that are gone: so any
// change is a batch of few records, whatever the size of the view. What has to be hidden at rest is in records only, since a
// rotation of the key rewrites them one by one.
import type { Item, Wire } from '../../kube/wire.ts';
import { StoreReadError, StoreWriteError } from '../errors.ts';
import type { Durability, Segment, Store, StoreOp, ViewKey } from '../types.ts';
import type { Member, Members } from './members.ts';
import { encodeViewRecord, objectPrefix, viewRecordKey, type ViewRecord } from './records.ts';
import type { FirstListSink } from './list-load.ts';
import { segmentObjects, type Objects } from './segment-objects.ts';
import { memberKey, viewId } from './view-key.ts';

/** Hides bytes at rest: seals the records of Secrets, leaves all others as they are. */
export interface RecordCipher {
  /** Whether it hides records of this resource at all. */
  hides(of: { group: string; resource: string }): boolean;
  protect(of: { group: string; resource: string }, recordKey: string, record: Buffer): Buffer;
  reveal(of: { group: string; resource: string }, recordKey: string, record: Buffer): Buffer;
}

export class ViewStorage {
  readonly #key: ViewKey;
  readonly #store: Store;
  readonly #cipher: RecordCipher;
  readonly #prefix: string;
  readonly #durability: Durability;
  readonly #id: string;
  #segment: Segment | undefined;

  constructor(key: ViewKey, store: Store, cipher: RecordCipher) {
    this.#key = key;
    this.#store = store;
    this.#cipher = cipher;
    this.#prefix = objectPrefix(key);
    this.#id = viewId(key);
    // A pod that was deleted must not come back after a power cut: the kubelet would start it again.
    this.#durability = key.group === '' && key.resource === 'pods' ? 'synced' : 'written';
  }

  get hasSegment(): boolean {
    return this.#segment !== undefined;
  }

  /** Where the objects of a first list go. */
  get sink(): FirstListSink {
    const mayBeSegment = !this.#cipher.hides(this.#key);
    return {
      beginSegment: mayBeSegment ? () => this.#store.segments.create(this.#id) : undefined,
      write: (items) => this.writeAhead(items),
    };
  }

  /** Takes up what an earlier process kept. Throws SealError, or another error on what cannot be read. */
  async restore(members: Members, wire: Wire, hasSegment: boolean): Promise<void> {
    if (hasSegment) {
      this.#segment = await this.#store.segments.open(this.#id);
      for await (const entries of this.#segment.entries())
        for (const { at, bytes } of entries) {
          const { namespace, name, uid, resourceVersion } = wire.meta(bytes);
          const kept = members.resident ? Buffer.from(bytes) : bytes;
          members.set(memberKey(namespace, name), uid, resourceVersion, kept, at);
        }
    }
    for await (const rows of this.#store.batches(this.#prefix))
      for (const [recordKey, record] of rows) {
        const key = recordKey.slice(this.#prefix.length);
        if (this.#isGone(record)) {
          members.delete(key);
          continue;
        }
        const bytes = this.#cipher.reveal(this.#key, recordKey, record);
        const { uid, resourceVersion } = wire.meta(bytes);
        members.set(key, uid, resourceVersion, bytes);
      }
  }

  /** After a first list, before the record that tells of it is written. */
  adopt(segment: Segment | undefined): void {
    this.#segment = segment;
  }

  /** Nothing is read any more but what has been begun. */
  release(): void {
    const segment = this.#segment;
    this.#segment = undefined;
    // It was only read from: nothing is lost.
    segment?.close().catch(() => undefined);
  }

  /**
   * All objects by member key, in the API server's order, many at a time, as they are when the first are asked for. With `passing`
   * their bytes hold until the next are asked for: new buffers for all would have V8 collect garbage again and again. Throws
   * StoreReadError, SealError on what cannot be read.
   */
  async *objects(members: Members, { passing }: { passing: boolean }): AsyncGenerator<Objects> {
    const segment = this.#segment;
    if (segment === undefined) {
      for await (const rows of this.#store.batches(this.#prefix))
        yield rows.map(([recordKey, record]) => {
          const bytes = this.#cipher.reveal(this.#key, recordKey, record);
          return [recordKey.slice(this.#prefix.length), bytes] as const;
        });
      return;
    }
    const records = members.allInSegment ? undefined : this.#store.batches(this.#prefix);
    const reveal = (recordKey: string, record: Buffer): Buffer => this.#cipher.reveal(this.#key, recordKey, record);
    yield* segmentObjects(members.sorted(), { segment, records, prefix: this.#prefix, reveal, passing });
  }

  /** The member of this key, as the cloud gave it. Throws StoreReadError, SealError. */
  async item(members: Members, key: string): Promise<Item | undefined> {
    const member = members.get(key);
    if (member === undefined) return undefined;
    return itemOf(key, member, member.bytes ?? (await this.#object(key, member)));
  }

  /** All members, in the API server's order. Throws StoreReadError rather than to leave out what it does not find. */
  async items(members: Members): Promise<Item[]> {
    if (members.resident) {
      const items: Item[] = [];
      for (const [key, member] of members.sorted()) if (member.bytes) items.push(itemOf(key, member, member.bytes));
      return items;
    }
    try {
      return await this.#itemsFromStore(members);
    } catch (error) {
      if (!(error instanceof StoreReadError)) throw error;
      return await this.#itemsFromStore(members); // the store changed its files under the scan
    }
  }

  /**
   * Before a first list: removes the records of one that broke off, or of an earlier view, which among new ones would make
   * the checksum wrong. Rejects with StoreReadError and StoreWriteError.
   */
  async clear(): Promise<void> {
    if (await this.#isKept()) {
      await this.#store.write([{ type: 'del', key: viewRecordKey(this.#key) }], 'written');
      await this.#store.deletePrefix(this.#prefix);
    }
    await this.#store.segments.remove(this.#id);
  }

  /** Objects of a list that is not complete: without the view's record they are nothing yet. */
  async writeAhead(items: readonly Item[]): Promise<void> {
    await this.#store.write(
      items.map((item) => this.put(memberKey(item.namespace, item.name), item.bytes)),
      'written',
    );
  }

  put(key: string, bytes: Buffer): StoreOp {
    const recordKey = `${this.#prefix}${key}`;
    return { type: 'put', key: recordKey, value: this.#cipher.protect(this.#key, recordKey, bytes) };
  }

  delete(key: string, members: Members): StoreOp {
    const recordKey = `${this.#prefix}${key}`;
    return members.inSegment(key) ? { type: 'put', key: recordKey, value: gone } : { type: 'del', key: recordKey };
  }

  /**
   * Changes of objects and the view's record that goes with them, in one batch. A disk that is full is no reason to stop:
   * what cannot be synced waits in memory until it can be. Rejects with StoreWriteError.
   */
  async write(ops: readonly StoreOp[], record: ViewRecord): Promise<void> {
    const batch = [...ops, this.#recordOp(record)];
    try {
      await this.#store.write(batch, this.#durability);
    } catch (error) {
      if (this.#durability !== 'synced' || !(error instanceof StoreWriteError)) throw error;
      await this.#store.write(batch, 'written');
    }
  }

  /** The view's record alone: a version that moved on without a change, or a change of our own. */
  async writeRecord(record: ViewRecord): Promise<void> {
    await this.#store.write([this.#recordOp(record)], 'written');
  }

  /**
   * What has to be written to make a store that was repaired hold these members again; undefined when objects are lost
   * that are not in memory.
   */
  async mending(members: Members, wire: Wire): Promise<StoreOp[] | undefined> {
    const lost = new Map([...members].filter(([, { at }]) => at === undefined));
    const goneFromSegment = new Set([...members.outdated].filter((key) => !members.has(key)));
    const ops: StoreOp[] = [];
    for await (const [recordKey, record] of this.#store.entries(this.#prefix)) {
      const key = recordKey.slice(this.#prefix.length);
      if (this.#isGone(record) && goneFromSegment.delete(key)) continue;
      const member = lost.get(key);
      if (member === undefined) ops.push({ type: 'del', key: recordKey });
      else if (this.#versionIn(recordKey, record, wire) === member.resourceVersion) lost.delete(key);
    }
    for (const [key, { bytes }] of lost) {
      if (bytes === undefined) return undefined;
      ops.push(this.put(key, bytes));
    }
    for (const key of goneFromSegment) ops.push(this.delete(key, members));
    return ops;
  }

  async #isKept(): Promise<boolean> {
    if ((await this.#store.get(viewRecordKey(this.#key))) !== undefined) return true;
    for await (const _key of this.#store.keys(this.#prefix)) return true;
    return false;
  }

  /** An object of a segment that is there no more; no object is empty. */
  #isGone(record: Buffer): boolean {
    return this.#segment !== undefined && record.length === 0;
  }

  async #object(key: string, { at, length }: Member): Promise<Buffer> {
    if (at !== undefined && this.#segment !== undefined) return await this.#segment.read(at, length);
    const recordKey = `${this.#prefix}${key}`;
    const record = await this.#store.get(recordKey);
    if (record === undefined) throw new StoreReadError(`${recordKey}: the object is missing`, undefined);
    return this.#cipher.reveal(this.#key, recordKey, record);
  }

  async #itemsFromStore(members: Members): Promise<Item[]> {
    const items: Item[] = [];
    for await (const objects of this.objects(members, { passing: false }))
      for (const [key, bytes] of objects) {
        const member = members.get(key);
        if (member !== undefined) items.push(itemOf(key, member, bytes));
      }
    if (items.length !== members.size) throw new StoreReadError(`${this.#prefix}: objects are missing`, undefined);
    return items;
  }

  #recordOp(record: ViewRecord): StoreOp {
    return { type: 'put', key: viewRecordKey(this.#key), value: encodeViewRecord(record) };
  }

  /** Undefined when the record cannot be read. */
  #versionIn(recordKey: string, record: Buffer, wire: Wire): string | undefined {
    try {
      return wire.meta(this.#cipher.reveal(this.#key, recordKey, record)).resourceVersion;
    } catch {
      return undefined; // as good as lost
    }
  }
}

const gone = Buffer.alloc(0);

function itemOf(key: string, { uid, resourceVersion }: Member, bytes: Buffer): Item {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1), uid, resourceVersion, bytes };
}
