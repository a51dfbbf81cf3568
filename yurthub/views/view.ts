// One collection as the API server would list it: its objects, its version, its recent events, and those who watch it.
// All changes go through one queue, so that store, members, log and watchers move together; a change is told to
// watchers after it is written, so that no restart of the hub goes back behind what a client has seen.
import { compareResourceVersions } from '../../kube/resource-version.ts';
import type { Item, ListHead, TypeMeta, WatchFrame, Wire } from '../../kube/wire.ts';
import { wireFor } from '../../kube/wires.ts';
import { StoreReadError, StoreWriteError } from '../errors.ts';
import type { Durability, Store, StoreOp, ViewKey } from '../types.ts';
import { differenceEvents } from './difference.ts';
import { EventLog } from './event-log.ts';
import { LateWatcher } from './late-watcher.ts';
import { FirstListLoad, RelistLoad, type ListLoad, type Member } from './list-load.ts';
import type { Presenter } from './presenter.ts';
import { encodeViewRecord, memberChecksum, objectPrefix, viewRecordKey, type ViewRecord } from './records.ts';
import { memberKey } from './view-key.ts';

/** One local client that watches. None of these may throw. */
export interface Watcher {
  readonly allowBookmarks: boolean;
  deliver(frame: Buffer): void;
  /** The watch cannot go on (the view was dropped): the client has to list again. */
  end(): void;
}

/** Which members of a view a local change is about. */
export type Concerns = (key: string, bytes: Buffer, wire: Wire, typeMeta: TypeMeta) => boolean;

export interface ViewParts {
  readonly store: Store;
  /** Hides bytes at rest: seals the records of Secrets, leaves all others as they are. */
  readonly cipher: RecordCipher;
  readonly presenter: Presenter;
}

export interface RecordCipher {
  protect(of: { group: string; resource: string }, recordKey: string, record: Buffer): Buffer;
  reveal(of: { group: string; resource: string }, recordKey: string, record: Buffer): Buffer;
}

export interface ViewSettings {
  /** Objects of views up to this size stay in memory; those of larger views are read from the store. */
  readonly residentBytes: number;
  readonly logMaxCount: number;
  readonly logMaxBytes: number;
}

export interface Snapshot {
  readonly resourceVersion: string;
  /** In the API server's order, as local clients see them. */
  readonly items: readonly Buffer[];
}

export class View {
  readonly key: ViewKey;
  readonly #parts: ViewParts;
  readonly #settings: ViewSettings;
  readonly #durability: Durability;

  #wire: Wire;
  #typeMeta: TypeMeta = { apiVersion: '', kind: '' };
  #listKind = '';
  #resourceVersion = '';
  #localChangeAt: string | undefined;
  #members = new Map<string, Member>();
  #bytes = 0;
  #checksum = 0;
  #log: EventLog;
  readonly #watchers = new Set<Watcher>();
  #tail: Promise<unknown> = Promise.resolve();
  #queue: WatchFrame[] = [];
  #queuedBytes = 0;
  #pump: Promise<void> | undefined;
  #failure: unknown;

  constructor(key: ViewKey, parts: ViewParts, settings: ViewSettings) {
    this.key = key;
    this.#parts = parts;
    this.#settings = settings;
    this.#wire = wireFor(key.encoding);
    this.#log = new EventLog('', { maxCount: settings.logMaxCount, maxBytes: settings.logMaxBytes });
    // A pod that was deleted must not come back after a power cut: the kubelet would start it again.
    this.#durability = key.group === '' && key.resource === 'pods' ? 'synced' : 'written';
  }

  get wire(): Wire {
    return this.#wire;
  }
  get typeMeta(): TypeMeta {
    return this.#typeMeta;
  }
  get listKind(): string {
    return this.#listKind;
  }
  /** '' until the first list is complete: such a view answers nobody. */
  get resourceVersion(): string {
    return this.#resourceVersion;
  }
  get synced(): boolean {
    return this.#resourceVersion !== '';
  }
  get size(): number {
    return this.#members.size;
  }
  get bytes(): number {
    return this.#bytes;
  }
  get watcherCount(): number {
    return this.#watchers.size;
  }
  /** Bytes of events that have come and are not written yet. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  // -------------------------------------------------------------------------------------------------------------
  // From the store

  /** Takes up what an earlier process kept. Throws SealError on records that cannot be read, Error if some are missing. */
  async restore(record: ViewRecord): Promise<void> {
    this.#wire = wireFor(record.encoding);
    this.#typeMeta = record.typeMeta;
    this.#listKind = record.listKind;
    this.#localChangeAt = record.localChangeAt;
    const prefix = objectPrefix(this.key);
    for await (const [key, value] of this.#parts.store.entries(prefix)) {
      const bytes = this.#parts.cipher.reveal(this.key, key, value);
      const { uid, resourceVersion } = this.#wire.meta(bytes);
      this.#setMember(key.slice(prefix.length), uid, resourceVersion, bytes);
    }
    this.#checksum = this.#checksumAfter(
      [...this.#members].map(([key, member]) => [key, member.resourceVersion]),
      true,
    );
    if (this.#checksum !== record.checksum) throw new Error('objects of the view are missing from the store, or old');
    this.#resourceVersion = record.resourceVersion;
    this.#log = this.#newLog(record.localChangeAt === record.resourceVersion);
  }

  // -------------------------------------------------------------------------------------------------------------
  // From the cloud

  /**
   * Before a first list: removes the records of one that broke off, or of an earlier view, which among new ones would make
   * the checksum wrong. Rejects with StoreReadError and StoreWriteError.
   */
  async prepareList(): Promise<void> {
    if (this.synced) return;
    const { store } = this.#parts;
    for await (const _key of store.keys(objectPrefix(this.key))) {
      await store.write([{ type: 'del', key: viewRecordKey(this.key) }], 'written');
      await store.deletePrefix(objectPrefix(this.key));
      return;
    }
  }

  /** Takes a list as it arrives. The view keeps its old state until `finish`; `finish` never runs for a broken list. */
  beginList(wire: Wire): ListLoad {
    if (this.synced) return new RelistLoad(wire, this.#members);
    return new FirstListLoad(wire, (items) => this.#writeAhead(items), this.#settings);
  }

  async finishList(load: ListLoad, head: ListHead): Promise<void> {
    await this.#serial(async () => {
      if (load instanceof FirstListLoad) await this.#applyFirstList(load, head);
      else if (load instanceof RelistLoad) await this.#applyDifference(load, head);
      else throw new TypeError('not a list of this view');
    });
  }

  /** Queues watch events; resolves when all that was queued is written and told. Rejects with StoreWriteError. */
  async apply(frames: readonly WatchFrame[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    for (const frame of frames) {
      this.#queue.push(frame);
      this.#queuedBytes += frame.frame.length;
    }
    this.#pump ??= this.#serial(() => this.#applyAllQueued());
    await this.#pump;
  }

  async #applyAllQueued(): Promise<void> {
    try {
      while (this.#queue.length > 0) await this.#applyQueued();
    } catch (error) {
      this.#failure = error;
      throw error;
    } finally {
      this.#pump = undefined;
    }
  }

  /**
   * Compares the store with the index after the store was repaired: false when objects are lost that nothing here can
   * replace, and the view must not answer any more. What is in memory is written again.
   */
  async verify(): Promise<boolean> {
    return await this.#serial(async () => {
      if (!this.synced) return true;
      const prefix = objectPrefix(this.key);
      const lost = new Map(this.#members);
      const ops: StoreOp[] = [];
      for await (const [recordKey, value] of this.#parts.store.entries(prefix)) {
        const key = recordKey.slice(prefix.length);
        const member = this.#members.get(key);
        if (member === undefined) ops.push({ type: 'del', key: recordKey });
        else if (this.#versionIn(recordKey, value) === member.resourceVersion) lost.delete(key);
      }
      for (const [key, member] of lost) {
        if (member.bytes === undefined) return false;
        ops.push(this.#putOp(this.#itemOf(key, member, member.bytes)));
      }
      await this.#write([...ops, this.#recordOp(this.#resourceVersion, this.#checksum)]);
      return true;
    });
  }

  // -------------------------------------------------------------------------------------------------------------
  // Changes of our own

  /** Tells watchers that members look different now although the cloud's version did not change. */
  async localChange(concerns: Concerns): Promise<void> {
    await this.#serial(async () => {
      if (!this.synced) return;
      const frames: Buffer[] = [];
      for (const [key, member] of this.#sortedMembers()) {
        const bytes = await this.#bytesOf(key, member);
        if (!concerns(key, bytes, this.#wire, this.#typeMeta)) continue;
        const item = this.#itemOf(key, member, bytes);
        frames.push(this.#wire.frame('MODIFIED', this.#typeMeta, this.#present(item)));
      }
      if (frames.length === 0) return;
      this.#localChangeAt = this.#resourceVersion;
      await this.#parts.store.write([this.#recordOp(this.#resourceVersion, this.#checksum)], 'written');
      for (const frame of frames) this.#tell({ resourceVersion: this.#resourceVersion, local: true, frame });
      this.#tellBookmark();
    });
  }

  // -------------------------------------------------------------------------------------------------------------
  // For local clients

  /** All objects as local clients see them, at one version. */
  async snapshot(): Promise<Snapshot> {
    return await this.#serial(async () => ({
      resourceVersion: this.#resourceVersion,
      items: await this.#presentedItems(),
    }));
  }

  /** The object as the cloud gave it, or undefined when the view has none of this name. */
  async stored(namespace: string, name: string): Promise<Item | undefined> {
    const key = memberKey(namespace, name);
    if (!this.#members.has(key)) return undefined;
    return await this.#serial(async () => {
      const member = this.#members.get(key);
      if (member === undefined) return undefined;
      return this.#itemOf(key, member, await this.#bytesOf(key, member));
    });
  }

  /**
   * Starts a watch at a version that the client has seen; what it missed is delivered at once. False when that is not
   * known any more (410). A version that the view has not reached yet is waited for.
   */
  async watchFrom(resourceVersion: string, watcher: Watcher): Promise<boolean> {
    return await this.#serial(async () => {
      const resume = this.#log.resume(resourceVersion);
      if (resume.kind === 'gone') return false;
      if (resume.kind === 'entries') {
        for (const entry of resume.entries) watcher.deliver(entry.frame);
      } else {
        for (const bytes of await this.#presentedItems())
          watcher.deliver(this.#wire.frame('MODIFIED', this.#typeMeta, bytes));
        if (watcher.allowBookmarks) watcher.deliver(this.#bookmarkFrame(false));
      }
      const seen = compareResourceVersions(resourceVersion, this.#resourceVersion) > 0;
      this.#watchers.add(seen ? this.#notBefore(resourceVersion, watcher) : watcher);
      return true;
    });
  }

  /** Starts a watch with all objects as ADDED; `endMark` adds the bookmark that ends a watch-list's first part. */
  async watchAll(watcher: Watcher, options: { endMark: boolean }): Promise<void> {
    await this.#serial(async () => {
      for (const bytes of await this.#presentedItems())
        watcher.deliver(this.#wire.frame('ADDED', this.#typeMeta, bytes));
      if (options.endMark) watcher.deliver(this.#bookmarkFrame(true));
      this.#watchers.add(watcher);
    });
  }

  stopWatching(watcher: Watcher): void {
    if (this.#watchers.delete(watcher)) return;
    for (const wrapped of this.#watchers)
      if (wrapped instanceof LateWatcher && wrapped.inner === watcher) this.#watchers.delete(wrapped);
  }

  /** Ends all watches cleanly: clients watch again from where they are. */
  endWatches(): void {
    for (const watcher of this.#watchers) watcher.end();
    this.#watchers.clear();
  }

  /** Ends all watches and forgets the objects; the store's records are the caller's to remove. */
  drop(): void {
    this.endWatches();
    this.#members.clear();
    this.#bytes = 0;
    this.#resourceVersion = '';
  }

  // -------------------------------------------------------------------------------------------------------------

  async #applyFirstList(load: FirstListLoad, head: ListHead): Promise<void> {
    this.#adopt(load.wire, head);
    this.#members = load.members;
    this.#bytes = load.bytes;
    this.#trimResident();
    await load.written();
    const checksum = this.#checksumAfter(
      [...this.#members].map(([key, { resourceVersion }]) => [key, resourceVersion]),
      true,
    );
    const ops = load.rest().map((item) => this.#putOp(item));
    await this.#write([...ops, this.#recordOp(head.resourceVersion, checksum)]);
    this.#checksum = checksum;
    this.#resourceVersion = head.resourceVersion;
    this.#log = this.#newLog(false);
  }

  async #applyDifference(load: RelistLoad, head: ListHead): Promise<void> {
    this.#adopt(load.wire, head);
    const removed = [...this.#members.keys()].filter((key) => !load.seen.has(key));
    const changes = differenceEvents(this.#members, load.changed, removed, head.resourceVersion);
    const ops: StoreOp[] = [];
    const entries: { resourceVersion: string; frame: Buffer }[] = [];
    for (const change of changes) {
      if (change.type !== 'DELETED') {
        this.#parts.presenter.cloudSaw(this.key, change.item);
        ops.push(this.#putOp(change.item));
        const frame = this.#wire.frame(change.type, this.#typeMeta, this.#present(change.item));
        entries.push({ resourceVersion: change.resourceVersion, frame });
        continue;
      }
      const member = this.#members.get(change.key);
      if (member === undefined) continue;
      const last = await this.#bytesOf(change.key, member);
      ops.push({ type: 'del', key: `${objectPrefix(this.key)}${change.key}` });
      const stamped = this.#wire.withResourceVersion(last, change.resourceVersion);
      entries.push({
        resourceVersion: change.resourceVersion,
        frame: this.#wire.frame('DELETED', this.#typeMeta, stamped),
      });
    }
    const checksum = this.#checksumAfter([
      ...load.changed.map(versionOf),
      ...removed.map((key) => [key, undefined] as const),
    ]);
    await this.#write([...ops, this.#recordOp(head.resourceVersion, checksum)]);
    this.#checksum = checksum;
    for (const key of removed) this.#deleteMember(key);
    for (const item of load.changed)
      this.#setMember(memberKey(item.namespace, item.name), item.uid, item.resourceVersion, item.bytes);
    const before = this.#resourceVersion;
    this.#resourceVersion = head.resourceVersion;
    if (compareResourceVersions(head.resourceVersion, before) < 0) {
      // The cloud was restored from a backup: no version that a client holds means anything any more.
      this.endWatches();
      this.#log = this.#newLog(false);
      return;
    }
    if (entries.length > 0) this.#log.appendGap(before, head.resourceVersion);
    for (const entry of entries) this.#tell({ ...entry, local: false });
    this.#tellBookmark();
  }

  async #applyQueued(): Promise<void> {
    const frames = this.#queue;
    const bytes = this.#queuedBytes;
    this.#queue = [];
    const ops: StoreOp[] = [];
    const versions: [string, string | undefined][] = [];
    let version = this.#resourceVersion;
    for (const frame of frames) {
      const { item } = frame;
      if (compareResourceVersions(item.resourceVersion, version) > 0) version = item.resourceVersion;
      if (frame.type === 'BOOKMARK') continue;
      const deleted = frame.type === 'DELETED';
      versions.push([memberKey(item.namespace, item.name), deleted ? undefined : item.resourceVersion]);
      ops.push(deleted ? { type: 'del', key: this.#objectKey(item) } : this.#putOp(item));
    }
    const checksum = this.#checksumAfter(versions);
    await this.#write([...ops, this.#recordOp(version, checksum)], ops.length === 0 ? 'written' : this.#durability);
    this.#checksum = checksum;
    this.#queuedBytes -= bytes;
    for (const frame of frames) this.#applyWritten(frame);
  }

  #applyWritten(frame: WatchFrame): void {
    const { item } = frame;
    if (compareResourceVersions(item.resourceVersion, this.#resourceVersion) > 0)
      this.#resourceVersion = item.resourceVersion;
    if (frame.type === 'BOOKMARK') {
      this.#tellBookmark();
      return;
    }
    const key = memberKey(item.namespace, item.name);
    this.#parts.presenter.cloudSaw(this.key, item);
    if (frame.type === 'DELETED') {
      this.#deleteMember(key);
      this.#tell({ resourceVersion: this.#resourceVersion, local: false, frame: frame.frame });
      return;
    }
    this.#setMember(key, item.uid, item.resourceVersion, item.bytes);
    const shown = this.#present(item);
    const sent =
      shown === item.bytes
        ? frame.frame
        : this.#wire.frame(frame.type === 'ADDED' ? 'ADDED' : 'MODIFIED', this.#typeMeta, shown);
    this.#tell({ resourceVersion: this.#resourceVersion, local: false, frame: sent });
  }

  #adopt(wire: Wire, head: ListHead): void {
    this.#wire = wire;
    this.#listKind = head.kind;
    this.#typeMeta = { apiVersion: head.apiVersion, kind: head.kind.replace(/List$/, '') };
  }

  #newLog(localChangeAtFloor: boolean): EventLog {
    return new EventLog(
      this.#resourceVersion,
      { maxCount: this.#settings.logMaxCount, maxBytes: this.#settings.logMaxBytes },
      localChangeAtFloor,
    );
  }

  #tell(entry: { resourceVersion: string; local: boolean; frame: Buffer }): void {
    this.#log.append(entry);
    for (const watcher of this.#watchers) watcher.deliver(entry.frame);
  }

  #tellBookmark(): void {
    let frame: Buffer | undefined;
    for (const watcher of this.#watchers) {
      if (!watcher.allowBookmarks) continue;
      frame ??= this.#bookmarkFrame(false);
      watcher.deliver(frame);
    }
  }

  #bookmarkFrame(initialEventsEnd: boolean): Buffer {
    return this.#wire.bookmark(this.#typeMeta, this.#resourceVersion, initialEventsEnd);
  }

  #notBefore(resourceVersion: string, inner: Watcher): Watcher {
    return new LateWatcher(inner, () => compareResourceVersions(this.#resourceVersion, resourceVersion) > 0);
  }

  #present(item: Item): Buffer {
    return this.#parts.presenter.present(this.key, this.#wire, this.#typeMeta, item);
  }

  async #presentedItems(): Promise<Buffer[]> {
    if (this.#isResident()) {
      const items: Buffer[] = [];
      for (const [key, member] of this.#sortedMembers())
        items.push(this.#present(this.#itemOf(key, member, await this.#bytesOf(key, member))));
      return items;
    }
    try {
      return await this.#presentedFromStore();
    } catch (error) {
      if (!(error instanceof StoreReadError)) throw error;
      return await this.#presentedFromStore(); // the store changed its files under the scan
    }
  }

  /** Throws StoreReadError rather than to leave out what it does not find. */
  async #presentedFromStore(): Promise<Buffer[]> {
    const items: Buffer[] = [];
    const prefix = objectPrefix(this.key);
    for await (const [recordKey, value] of this.#parts.store.entries(prefix)) {
      const key = recordKey.slice(prefix.length);
      const member = this.#members.get(key);
      if (member === undefined) continue;
      const bytes = this.#parts.cipher.reveal(this.key, recordKey, value);
      items.push(this.#present(this.#itemOf(key, member, bytes)));
    }
    if (items.length !== this.#members.size) throw new StoreReadError(`${prefix}: objects are missing`, undefined);
    return items;
  }

  #sortedMembers(): [string, Member][] {
    return [...this.#members].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  async #bytesOf(key: string, member: Member): Promise<Buffer> {
    if (member.bytes !== undefined) return member.bytes;
    const recordKey = `${objectPrefix(this.key)}${key}`;
    const record = await this.#parts.store.get(recordKey);
    if (record === undefined) throw new StoreReadError(`${recordKey}: the object is missing`, undefined);
    return this.#parts.cipher.reveal(this.key, recordKey, record);
  }

  #itemOf(key: string, member: Member, bytes: Buffer): Item {
    const slash = key.indexOf('/');
    return {
      namespace: key.slice(0, slash),
      name: key.slice(slash + 1),
      uid: member.uid,
      resourceVersion: member.resourceVersion,
      bytes,
    };
  }

  #setMember(key: string, uid: string, resourceVersion: string, bytes: Buffer): void {
    this.#bytes += bytes.length - (this.#members.get(key)?.length ?? 0);
    const kept = this.#bytes <= this.#settings.residentBytes ? bytes : undefined;
    this.#members.set(key, { uid, resourceVersion, length: bytes.length, bytes: kept });
  }

  #deleteMember(key: string): void {
    this.#bytes -= this.#members.get(key)?.length ?? 0;
    this.#members.delete(key);
  }

  #isResident(): boolean {
    for (const member of this.#members.values()) if (member.bytes === undefined) return false;
    return true;
  }

  /** A view that turned out too large lives on disk as a whole. */
  #trimResident(): void {
    if (this.#bytes <= this.#settings.residentBytes) return;
    for (const [key, member] of this.#members)
      if (member.bytes !== undefined) this.#members.set(key, { ...member, bytes: undefined });
  }

  #objectKey(item: Pick<Item, 'namespace' | 'name'>): string {
    return `${objectPrefix(this.key)}${memberKey(item.namespace, item.name)}`;
  }

  #putOp(item: Item): StoreOp {
    const key = this.#objectKey(item);
    return { type: 'put', key, value: this.#parts.cipher.protect(this.key, key, item.bytes) };
  }

  /** The view's checksum once these members have these versions; undefined stands for a deletion. */
  #checksumAfter(versions: Iterable<readonly [string, string | undefined]>, fromNothing = false): number {
    let sum = fromNothing ? 0 : this.#checksum;
    for (const [key, version] of new Map(versions)) {
      const before = fromNothing ? undefined : this.#members.get(key);
      if (before !== undefined) sum -= memberChecksum(key, before.resourceVersion);
      if (version !== undefined) sum += memberChecksum(key, version);
    }
    return sum >>> 0;
  }

  #recordOp(resourceVersion: string, checksum: number): StoreOp {
    if (this.#localChangeAt !== resourceVersion) this.#localChangeAt = undefined;
    const record: ViewRecord = {
      key: this.key,
      encoding: this.#wire.encoding,
      resourceVersion,
      typeMeta: this.#typeMeta,
      listKind: this.#listKind,
      checksum,
      ...(this.#localChangeAt === undefined ? {} : { localChangeAt: this.#localChangeAt }),
    };
    return { type: 'put', key: viewRecordKey(this.key), value: encodeViewRecord(record) };
  }

  /** A disk that is full is no reason to stop: what cannot be synced waits in memory until it can be. */
  async #write(ops: readonly StoreOp[], durability = this.#durability): Promise<void> {
    const { store } = this.#parts;
    try {
      await store.write(ops, durability);
    } catch (error) {
      if (durability !== 'synced' || !(error instanceof StoreWriteError)) throw error;
      await store.write(ops, 'written');
    }
  }

  /** Undefined when the record cannot be read. */
  #versionIn(recordKey: string, record: Buffer): string | undefined {
    try {
      return this.#wire.meta(this.#parts.cipher.reveal(this.key, recordKey, record)).resourceVersion;
    } catch {
      return undefined; // as good as lost
    }
  }

  async #writeAhead(items: readonly Item[]): Promise<void> {
    await this.#parts.store.write(
      items.map((item) => this.#putOp(item)),
      'written',
    );
  }

  #serial<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(task);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}

function versionOf(item: Item): readonly [string, string] {
  return [memberKey(item.namespace, item.name), item.resourceVersion];
}
