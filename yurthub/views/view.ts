// One collection as the API server would list it: its objects and its version, and those who watch it. All changes go
// through one queue, so that store, members and audience move together; a change is told after it is written, so that
// no restart of the hub goes back behind what a client has seen.
import { compareResourceVersions } from '../../kube/resource-version.ts';
import type { Item, ListHead, TypeMeta, WatchFrame, Wire } from '../../kube/wire.ts';
import { wireFor } from '../../kube/wires.ts';
import type { Store, StoreOp, ViewKey } from '../types.ts';
import { Appearances } from './appearances.ts';
import { Audience, type Watcher } from './audience.ts';
import { differenceEvents } from './difference.ts';
import { LateWatcher } from './late-watcher.ts';
import { FirstListLoad, RelistLoad, type ListLoad } from './list-load.ts';
import { Members } from './members.ts';
import type { Presenter } from './presenter.ts';
import type { ViewRecord } from './records.ts';
import { storedList, type StoredList } from './stored-list.ts';
import { memberKey } from './view-key.ts';
import { ViewStorage, type RecordCipher } from './view-storage.ts';

/** Which members of a view a local change may be about: a cheap look that may say yes too often. */
export type Concerns = (key: string, bytes: Buffer) => boolean;

export interface ViewParts {
  readonly store: Store;
  readonly cipher: RecordCipher;
  readonly presenter: Presenter;
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

export interface PageWanted {
  /** Of the member keys that count. */
  readonly prefix: string;
  /** Member keys before this one are left out. */
  readonly from: string;
  readonly limit: number;
  readonly selects: (bytes: Buffer) => boolean;
}

export interface Page extends Snapshot {
  /** What is left beyond a full page: the key of its last object, and how many members follow it. */
  readonly next: { readonly after: string; readonly count: number } | undefined;
}

export class View {
  readonly key: ViewKey;
  readonly #presenter: Presenter;
  readonly #settings: ViewSettings;
  readonly #storage: ViewStorage;
  readonly #audience: Audience;

  #wire: Wire;
  #typeMeta: TypeMeta = { apiVersion: '', kind: '' };
  #listKind = '';
  #resourceVersion = '';
  #localChangeAt: string | undefined;
  #members: Members;
  #appearances = new Appearances();
  #tail: Promise<unknown> = Promise.resolve();
  #queue: WatchFrame[] = [];
  #queuedBytes = 0;
  #pump: Promise<void> | undefined;
  #failure: unknown;

  constructor(key: ViewKey, parts: ViewParts, settings: ViewSettings) {
    this.key = key;
    this.#presenter = parts.presenter;
    this.#settings = settings;
    this.#storage = new ViewStorage(key, parts.store, parts.cipher);
    this.#audience = new Audience(settings);
    this.#members = new Members(settings.residentBytes);
    this.#wire = wireFor(key.encoding);
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
  /** Whether objects of this collection lie in namespaces; undefined while it is empty. */
  get isNamespaced(): boolean | undefined {
    for (const key of this.#members.keys()) return !key.startsWith('/');
    return undefined;
  }
  get bytes(): number {
    return this.#members.bytes;
  }
  /** Of clients. */
  get watcherCount(): number {
    return this.#audience.size;
  }
  /** Whether a part of the hub itself needs the view. */
  get followed(): boolean {
    return this.#audience.followed;
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
    await this.#storage.restore(this.#members, this.#wire, record.segment === true);
    if (this.#members.checksum !== record.checksum)
      throw new Error('objects of the view are missing from the store, or old');
    await this.#lookAtAll();
    this.#resourceVersion = record.resourceVersion;
    // A filter may have changed its mind while nobody was here to tell.
    if ((record.appearance ?? 0) !== this.#appearances.checksum) this.#localChangeAt = record.resourceVersion;
    this.#audience.restart(this.#resourceVersion, this.#localChangeAt === record.resourceVersion);
  }

  // -------------------------------------------------------------------------------------------------------------
  // From the cloud

  /**
   * Before a first list: removes the records of one that broke off, or of an earlier view, which among new ones would make
   * the checksum wrong. Rejects with StoreReadError and StoreWriteError.
   */
  async prepareList(): Promise<void> {
    if (!this.synced) await this.#storage.clear();
  }

  /** Takes a list as it arrives. The view keeps its old state until `finish`; `finish` never runs for a broken list. */
  beginList(wire: Wire): ListLoad {
    if (this.synced) return new RelistLoad(wire, this.#members);
    return new FirstListLoad(wire, this.#storage.sink, this.#settings);
  }

  async finishList(load: ListLoad, head: ListHead): Promise<void> {
    await this.#serial(async () => {
      if (load instanceof FirstListLoad) await this.#applyFirstList(load, head);
      else if (load instanceof RelistLoad) await this.#applyDifference(load, head);
      else throw new TypeError('not a list of this view');
      await this.#repayReplays();
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
      await this.#repayReplays();
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
      const ops = await this.#storage.mending(this.#members, this.#wire);
      if (ops === undefined) return false;
      await this.#storage.write(ops, this.#record(this.#resourceVersion, this.#members.checksum));
      return true;
    });
  }

  // -------------------------------------------------------------------------------------------------------------
  // Changes of our own

  /**
   * Tells watchers which members look different now although the cloud's version did not change: those that a filter hides
   * now as DELETED, those that it shows again as ADDED.
   */
  async localChange(concerns: Concerns): Promise<void> {
    await this.#serial(async () => {
      if (!this.synced) return;
      const frames: Buffer[] = [];
      for (const item of await this.#storage.items(this.#members)) {
        const key = memberKey(item.namespace, item.name);
        if (!concerns(key, item.bytes)) continue;
        const shown = this.#present(item);
        const { wasHidden, changed } = this.#appearances.note(key, item.bytes, shown);
        if (!changed) continue;
        const type = shown === undefined ? 'DELETED' : wasHidden ? 'ADDED' : 'MODIFIED';
        frames.push(this.#wire.frame(type, this.#typeMeta, shown ?? item.bytes));
      }
      if (frames.length === 0) return;
      this.#localChangeAt = this.#resourceVersion;
      await this.#storage.writeRecord(this.#record(this.#resourceVersion, this.#members.checksum));
      for (const frame of frames) this.#audience.tell({ resourceVersion: this.#resourceVersion, local: true, frame });
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

  /** The same as a body that is read from the store as it is written; undefined for views that `snapshot` is meant for. */
  async storedList(): Promise<StoredList | undefined> {
    return await this.#serial(async () => {
      if (this.#members.resident || !this.#leftAlone) return undefined;
      const { apiVersion } = this.#typeMeta;
      const version = { resourceVersion: this.#resourceVersion, continue: '', remainingItemCount: undefined };
      const head = { apiVersion, kind: this.#listKind, ...version };
      return await storedList(this.#storage.objects(this.#members, { passing: true }), this.#members, this.#wire, head);
    });
  }

  /**
   * Objects as local clients see them, from a key on, in the API server's order: at most `limit` of those that `selects`
   * takes. Only what the page needs is read, so a list in pages holds no copy of the view between them.
   */
  async page(wanted: PageWanted): Promise<Page> {
    return await this.#serial(async () => {
      const { prefix, from, limit, selects } = wanted;
      const keys = this.#members.sorted().flatMap(([key]) => (key >= from && key.startsWith(prefix) ? [key] : []));
      // Many at a time where all are wanted; one by one they would take many times as long from the store.
      const all = limit === Infinity ? byKey(await this.#storage.items(this.#members)) : undefined;
      const items: Buffer[] = [];
      let last = '';
      for (const [index, key] of keys.entries()) {
        if (items.length >= limit)
          return { resourceVersion: this.#resourceVersion, items, next: { after: last, count: keys.length - index } };
        const item = all?.get(key) ?? (await this.#storage.item(this.#members, key));
        const bytes = item && this.#present(item);
        if (bytes === undefined || !selects(bytes)) continue;
        items.push(bytes);
        last = key;
      }
      return { resourceVersion: this.#resourceVersion, items, next: undefined };
    });
  }

  /** Whether there is an object of this name, hidden or not. */
  has(namespace: string, name: string): boolean {
    return this.#members.has(memberKey(namespace, name));
  }

  /** The object as the cloud gave it, or undefined when the view has none of this name. */
  async stored(namespace: string, name: string): Promise<Item | undefined> {
    const key = memberKey(namespace, name);
    if (!this.#members.has(key)) return undefined;
    return await this.#serial(() => this.#storage.item(this.#members, key));
  }

  /**
   * Starts a watch at a version that the client has seen; what it missed is delivered at once. False when that is not
   * known any more (410). A version that the view has not reached yet is waited for.
   */
  async watchFrom(resourceVersion: string, watcher: Watcher): Promise<boolean> {
    return await this.#serial(async () => {
      const resume = this.#audience.missedSince(resourceVersion);
      if (resume.kind === 'gone') return false;
      if (resume.kind === 'entries') {
        for (const entry of resume.entries) watcher.deliver(entry.frame, entry.local);
      } else {
        await this.#replay(watcher);
      }
      const seen = compareResourceVersions(resourceVersion, this.#resourceVersion) > 0;
      this.#audience.add(seen ? this.#notBefore(resourceVersion, watcher) : watcher);
      return true;
    });
  }

  /** Starts a watch with all objects as ADDED; `endMark` adds the bookmark that ends a watch-list's first part. */
  async watchAll(watcher: Watcher, options: { endMark: boolean }): Promise<void> {
    await this.#serial(async () => {
      await this.#deliverAll(watcher);
      if (options.endMark) watcher.deliver(this.#bookmarkFrame(true));
      this.#audience.add(watcher);
    });
  }

  /** The same for a part of the hub itself, with the bookmark: it keeps the view, and is no sign of a client. */
  async follow(watcher: Watcher): Promise<void> {
    await this.#serial(async () => {
      await this.#deliverAll(watcher);
      watcher.deliver(this.#bookmarkFrame(true));
      this.#audience.addFollower(watcher);
    });
  }

  stopWatching(watcher: Watcher): void {
    this.#audience.remove(watcher);
  }

  /** Ends all watches cleanly: clients watch again from where they are. */
  endWatches(): void {
    this.#audience.end();
  }

  /** Ends all watches and forgets the objects; the store's records are the caller's to remove. */
  drop(): void {
    this.endWatches();
    this.#storage.release();
    this.#members = new Members(this.#settings.residentBytes);
    this.#appearances = new Appearances();
    this.#resourceVersion = '';
  }

  // -------------------------------------------------------------------------------------------------------------

  async #applyFirstList(load: FirstListLoad, head: ListHead): Promise<void> {
    this.#adopt(load.wire, head);
    this.#members = load.members;
    this.#storage.adopt(await load.finish());
    // How its objects look is read from the store, where they have to be for that.
    if (!this.#leftAlone && !this.#members.resident) await this.#storage.writeAhead(load.rest());
    await this.#lookAtAll();
    const ops = load.rest().map((item) => this.#putOp(item));
    await this.#storage.write(ops, this.#record(head.resourceVersion, this.#members.checksum));
    this.#resourceVersion = head.resourceVersion;
    this.#audience.restart(this.#resourceVersion, false);
  }

  async #applyDifference(load: RelistLoad, head: ListHead): Promise<void> {
    this.#adopt(load.wire, head);
    const removed = [...this.#members.keys()].filter((key) => !load.seen.has(key));
    const changes = differenceEvents(this.#members, load.changed, removed, head.resourceVersion);
    const ops: StoreOp[] = [];
    const entries: { resourceVersion: string; frame: Buffer }[] = [];
    for (const change of changes) {
      if (change.type !== 'DELETED') {
        this.#presenter.cloudSaw(this.key, change.item);
        ops.push(this.#putOp(change.item));
        const frame = this.#told(change.type, change.item, undefined);
        if (frame !== undefined) entries.push({ resourceVersion: change.resourceVersion, frame });
        continue;
      }
      const last = await this.#storage.item(this.#members, change.key);
      if (last === undefined) continue;
      ops.push(this.#storage.delete(change.key, this.#members));
      const stamped = this.#wire.withResourceVersion(last.bytes, change.resourceVersion);
      const frame = this.#told('DELETED', { ...last, bytes: stamped }, undefined);
      if (frame !== undefined) entries.push({ resourceVersion: change.resourceVersion, frame });
    }
    const checksum = this.#members.checksumAfter([
      ...load.changed.map(versionOf),
      ...removed.map((key) => [key, undefined] as const),
    ]);
    await this.#storage.write(ops, this.#record(head.resourceVersion, checksum));
    for (const key of removed) this.#members.delete(key);
    for (const item of load.changed) this.#setMember(item);
    const before = this.#resourceVersion;
    this.#resourceVersion = head.resourceVersion;
    if (compareResourceVersions(head.resourceVersion, before) < 0) {
      // The cloud was restored from a backup: no version that a client holds means anything any more.
      this.endWatches();
      this.#audience.restart(this.#resourceVersion, false);
      return;
    }
    if (entries.length > 0) this.#audience.gap(before, head.resourceVersion);
    for (const entry of entries) this.#audience.tell({ ...entry, local: false });
    this.#tellBookmark();
  }

  async #applyQueued(): Promise<void> {
    const frames = this.#queue;
    const bytes = this.#queuedBytes;
    this.#queue = [];
    const ops: StoreOp[] = [];
    const versions: [string, string | undefined][] = [];
    const told: (Buffer | undefined)[] = [];
    let version = this.#resourceVersion;
    for (const frame of frames) {
      const { item, type } = frame;
      told.push(type === 'BOOKMARK' || type === 'ERROR' ? undefined : this.#told(type, item, frame.frame));
      if (compareResourceVersions(item.resourceVersion, version) > 0) version = item.resourceVersion;
      if (frame.type === 'BOOKMARK') continue;
      const deleted = frame.type === 'DELETED';
      const key = memberKey(item.namespace, item.name);
      versions.push([key, deleted ? undefined : item.resourceVersion]);
      ops.push(deleted ? this.#storage.delete(key, this.#members) : this.#storage.put(key, item.bytes));
    }
    const record = this.#record(version, this.#members.checksumAfter(versions));
    if (ops.length === 0) await this.#storage.writeRecord(record);
    else await this.#storage.write(ops, record);
    this.#queuedBytes -= bytes;
    for (const [index, frame] of frames.entries()) this.#applyWritten(frame, told[index]);
  }

  #applyWritten({ item, type }: WatchFrame, told: Buffer | undefined): void {
    if (compareResourceVersions(item.resourceVersion, this.#resourceVersion) > 0)
      this.#resourceVersion = item.resourceVersion;
    if (type === 'BOOKMARK') {
      this.#tellBookmark();
      return;
    }
    this.#presenter.cloudSaw(this.key, item);
    if (type === 'DELETED') this.#members.delete(memberKey(item.namespace, item.name));
    else this.#setMember(item);
    if (told !== undefined) this.#audience.tell({ resourceVersion: this.#resourceVersion, local: false, frame: told });
  }

  /**
   * The frame that tells watchers of a change in the cloud, and a note of what it shows; undefined for what they do not see.
   * `frame` as it came, if there is one.
   */
  #told(type: 'ADDED' | 'MODIFIED' | 'DELETED', item: Item, frame: Buffer | undefined): Buffer | undefined {
    if (this.#leftAlone) return frame ?? this.#wire.frame(type, this.#typeMeta, item.bytes);
    const key = memberKey(item.namespace, item.name);
    const shown = this.#present(item);
    if (type === 'DELETED') {
      this.#presenter.gone(this.key, item.namespace, item.name);
      if (this.#appearances.forget(key)) return undefined;
      if (shown === undefined || shown === item.bytes)
        return frame ?? this.#wire.frame(type, this.#typeMeta, item.bytes);
      return this.#wire.frame(type, this.#typeMeta, shown);
    }
    const { wasHidden } = this.#appearances.note(key, item.bytes, shown);
    if (shown === undefined) {
      if (type === 'ADDED' || wasHidden) return undefined;
      // As the API server does for an object that leaves a selector: its last state, at the version in which it left.
      const last = this.#members.get(key)?.bytes ?? item.bytes;
      return this.#wire.frame('DELETED', this.#typeMeta, this.#wire.withResourceVersion(last, item.resourceVersion));
    }
    if (shown === item.bytes && !wasHidden && frame !== undefined) return frame;
    return this.#wire.frame(wasHidden ? 'ADDED' : type, this.#typeMeta, shown);
  }

  async #lookAtAll(): Promise<void> {
    this.#appearances = new Appearances();
    if (this.#leftAlone) return;
    const items = await this.#storage.items(this.#members);
    // Twice: how the first is shown may depend on the last.
    for (const item of items) this.#present(item);
    for (const item of items)
      this.#appearances.note(memberKey(item.namespace, item.name), item.bytes, this.#present(item));
  }

  #adopt(wire: Wire, head: ListHead): void {
    this.#wire = wire;
    this.#listKind = head.kind;
    this.#typeMeta = { apiVersion: head.apiVersion, kind: head.kind.replace(/List$/, '') };
  }

  #tellBookmark(): void {
    this.#audience.tellBookmark(() => this.#bookmarkFrame(false));
  }

  #bookmarkFrame(initialEventsEnd: boolean): Buffer {
    return this.#wire.bookmark(this.#typeMeta, this.#resourceVersion, initialEventsEnd);
  }

  #notBefore(resourceVersion: string, inner: Watcher): Watcher {
    return new LateWatcher(inner, () => compareResourceVersions(this.#resourceVersion, resourceVersion) > 0);
  }

  /** Everything as it looks now, for a client of which it is not known what it was shown; then a bookmark. */
  async #replay(watcher: Watcher): Promise<void> {
    for (const item of await this.#storage.items(this.#members)) {
      const shown = this.#present(item);
      const type = shown === undefined ? 'DELETED' : 'MODIFIED';
      watcher.deliver(this.#wire.frame(type, this.#typeMeta, shown ?? item.bytes), true);
    }
    if (watcher.allowBookmarks) watcher.deliver(this.#bookmarkFrame(false));
  }

  async #repayReplays(): Promise<void> {
    for (const watcher of this.#audience.owedReplay()) await this.#replay(watcher);
  }

  async #deliverAll(watcher: Watcher): Promise<void> {
    for (const bytes of await this.#presentedItems()) watcher.deliver(this.#wire.frame('ADDED', this.#typeMeta, bytes));
  }

  get #leftAlone(): boolean {
    return this.#presenter.leavesAlone(this.key);
  }

  #present(item: Item): Buffer | undefined {
    return this.#presenter.present(this.key, this.#wire, item);
  }

  /** Of those that local clients see. */
  async #presentedItems(): Promise<Buffer[]> {
    const items = await this.#storage.items(this.#members);
    return items.map((item) => this.#present(item)).filter((shown) => shown !== undefined);
  }

  #setMember({ namespace, name, uid, resourceVersion, bytes }: Item): void {
    this.#members.set(memberKey(namespace, name), uid, resourceVersion, bytes);
  }

  #putOp(item: Item): StoreOp {
    return this.#storage.put(memberKey(item.namespace, item.name), item.bytes);
  }

  #record(resourceVersion: string, checksum: number): ViewRecord {
    if (this.#localChangeAt !== resourceVersion) this.#localChangeAt = undefined;
    return {
      key: this.key,
      encoding: this.#wire.encoding,
      resourceVersion,
      typeMeta: this.#typeMeta,
      listKind: this.#listKind,
      checksum,
      ...(this.#storage.hasSegment ? { segment: true } : {}),
      ...(this.#appearances.checksum === 0 ? {} : { appearance: this.#appearances.checksum }),
      ...(this.#localChangeAt === undefined ? {} : { localChangeAt: this.#localChangeAt }),
    };
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

function byKey(items: readonly Item[]): Map<string, Item> {
  return new Map(items.map((item) => [memberKey(item.namespace, item.name), item]));
}
