// One view's part of the store: its own record and one for each object, hidden at rest where they have to be.
import type { Item, Wire } from '../../kube/wire.ts';
import { StoreReadError, StoreWriteError } from '../errors.ts';
import type { Durability, Store, StoreOp, ViewKey } from '../types.ts';
import type { Member, Members } from './members.ts';
import { encodeViewRecord, objectPrefix, viewRecordKey, type ViewRecord } from './records.ts';
import { memberKey } from './view-key.ts';

/** Hides bytes at rest: seals the records of Secrets, leaves all others as they are. */
export interface RecordCipher {
  protect(of: { group: string; resource: string }, recordKey: string, record: Buffer): Buffer;
  reveal(of: { group: string; resource: string }, recordKey: string, record: Buffer): Buffer;
}

export class ViewStorage {
  readonly #key: ViewKey;
  readonly #store: Store;
  readonly #cipher: RecordCipher;
  readonly #prefix: string;
  readonly #durability: Durability;

  constructor(key: ViewKey, store: Store, cipher: RecordCipher) {
    this.#key = key;
    this.#store = store;
    this.#cipher = cipher;
    this.#prefix = objectPrefix(key);
    // A pod that was deleted must not come back after a power cut: the kubelet would start it again.
    this.#durability = key.group === '' && key.resource === 'pods' ? 'synced' : 'written';
  }

  /** All objects by member key, in the API server's order, many at a time. Throws StoreReadError, SealError on what cannot be read. */
  async *objects(): AsyncIterable<readonly (readonly [key: string, bytes: Buffer])[]> {
    for await (const rows of this.#store.batches(this.#prefix))
      yield rows.map(
        ([recordKey, record]) =>
          [recordKey.slice(this.#prefix.length), this.#cipher.reveal(this.#key, recordKey, record)] as const,
      );
  }

  /** The member of this key, as the cloud gave it. Throws StoreReadError, SealError. */
  async item(members: Members, key: string): Promise<Item | undefined> {
    const member = members.get(key);
    if (member === undefined) return undefined;
    return itemOf(key, member, member.bytes ?? (await this.#object(key)));
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
    for await (const _key of this.#store.keys(this.#prefix)) {
      await this.#store.write([{ type: 'del', key: viewRecordKey(this.#key) }], 'written');
      await this.#store.deletePrefix(this.#prefix);
      return;
    }
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

  delete(key: string): StoreOp {
    return { type: 'del', key: `${this.#prefix}${key}` };
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
    const lost = new Map(members);
    const ops: StoreOp[] = [];
    for await (const [recordKey, record] of this.#store.entries(this.#prefix)) {
      const key = recordKey.slice(this.#prefix.length);
      const member = members.get(key);
      if (member === undefined) ops.push({ type: 'del', key: recordKey });
      else if (this.#versionIn(recordKey, record, wire) === member.resourceVersion) lost.delete(key);
    }
    for (const [key, { bytes }] of lost) {
      if (bytes === undefined) return undefined;
      ops.push(this.put(key, bytes));
    }
    return ops;
  }

  async #object(key: string): Promise<Buffer> {
    const recordKey = `${this.#prefix}${key}`;
    const record = await this.#store.get(recordKey);
    if (record === undefined) throw new StoreReadError(`${recordKey}: the object is missing`, undefined);
    return this.#cipher.reveal(this.#key, recordKey, record);
  }

  async #itemsFromStore(members: Members): Promise<Item[]> {
    const items: Item[] = [];
    for await (const objects of this.objects())
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

function itemOf(key: string, { uid, resourceVersion }: Member, bytes: Buffer): Item {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1), uid, resourceVersion, bytes };
}
