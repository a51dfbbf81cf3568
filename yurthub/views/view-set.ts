// All views of the hub: found by key, restored from the store when first asked for, kept up to date by one reflector
// each, dropped when nobody has used them for long. Decides when a view may answer.
import { delay, type Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { untilAborted } from '../../runtime/until-aborted.ts';
import type { ResourceRequest } from '../../kube/request-info.ts';
import { compareResourceVersions } from '../../kube/resource-version.ts';
import { fieldRefusal } from '../../kube/selectors/selectable-fields.ts';
import { failure, type StatusError } from '../../kube/status.ts';
import { isBuiltIn } from '../../kube/type-meta.ts';
import type { TypeMeta, Wire } from '../../kube/wire.ts';
import { StoreReadError } from '../errors.ts';
import type { ReturnTurns } from '../return-pace.ts';
import type { Store, StoredObject, UpstreamReply, Uplink, ViewKey, ViewReader } from '../types.ts';
import { beyondBounds, type ViewBounds } from './bounds.ts';
import { nodeCredential, type AccountCredentials } from './credential.ts';
import { CloudVersions } from './cloud-versions.ts';
import type { FirstListClient } from './first-list.ts';
import type { ViewMetrics } from './metrics.ts';
import type { Presenter } from './presenter.ts';
import { decodeViewRecord, objectPrefix, viewRecordKey, viewRecordPrefix, type ViewRecord } from './records.ts';
import { isDenial, Reflector, ViewTooLargeError } from './reflector.ts';
import { remainder, selectedBy, selects, type Selected } from './selection.ts';
import { View, type Concerns, type ViewSettings } from './view.ts';
import type { RecordCipher } from './view-storage.ts';
import { memberKey, viewId } from './view-key.ts';

export interface ViewSetParts {
  readonly store: Store;
  readonly cipher: RecordCipher;
  readonly presenter: Presenter;
  readonly uplink: Uplink;
  readonly cloudReady: (signal: AbortSignal) => Promise<void>;
  readonly accounts: AccountCredentials;
  /** Of what is kept for service accounts; they may change at run time. */
  readonly accountBounds: () => ViewBounds;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: ViewMetrics;
  readonly turns: ReturnTurns;
}

export interface ViewSetSettings extends ViewSettings {
  readonly maxObjectBytes: number;
  readonly maxViews: number;
  /** A view that nobody has used for so long, counted only while the node is connected and working, is dropped. */
  readonly idleMs: number;
  readonly userAgent: string;
}

/**
 * What can be said to a request for a view. `unknown`: never seen, and the cloud is out of reach. `unkept`: no view can
 * be had for it (bounds, store trouble), so it is a matter between the client and the API server. `invalid`: the API
 * server would refuse the selectors.
 */
export type Acquired =
  | {
      readonly kind: 'view';
      readonly view: View;
      readonly live: boolean;
      /** Of a view that holds more than was asked for: what has to be checked of its objects. */
      readonly rest?: Selected;
    }
  | { readonly kind: 'invalid'; readonly refusal: StatusError }
  | { readonly kind: 'refused'; readonly reply: UpstreamReply }
  | { readonly kind: 'unknown' | 'unkept' | 'answered' };

interface Entry {
  readonly view: View;
  readonly restored: Promise<void>;
  reflector: Reflector | undefined;
  stop: AbortController | undefined;
  done: Promise<void>;
  idleMs: number;
  /** When it was asked for last; monotonic, milliseconds. */
  usedMs: number;
}

/** The views as far as one reader may see them. */
export type ReadableViews = Pick<ViewSet, 'acquire' | 'cloudReachable'> & {
  lastKnown(key: ViewKey): Promise<Acquired>;
  shown(request: ObjectName): Promise<ShownObject | undefined>;
  absentAt(request: ObjectName): Promise<string | undefined>;
  speaksFor(request: ObjectName): boolean;
  wouldHold(request: ObjectName, object: StoredObject): boolean;
};

export type ObjectName = Pick<ResourceRequest, 'group' | 'version' | 'resource' | 'namespace' | 'name'>;

/** Says of a view whether it may be shown to whoever asks. */
export type MayRead = (key: ViewKey) => boolean;

const nodeMayRead: MayRead = (key) => key.forAccounts !== true;

/** An object as local clients see it; `bytes` undefined when a filter hides it. `live`: changes arrive as they happen. */
export interface ShownObject {
  readonly wire: Wire;
  readonly typeMeta: TypeMeta;
  readonly bytes: Buffer | undefined;
  readonly live: boolean;
  /** The view's version: the object is as it was then. */
  readonly resourceVersion: string;
}

export interface ViewSetStatus {
  readonly views: number;
  readonly objects: number;
  readonly watchers: number;
  /** True while every view in use receives changes as they happen. */
  readonly allLive: boolean;
}

/** Denials in a row after which the data of a view is purged: fewer can be the Node authorizer's graph lagging. */
const purgeAfterRefusals = 20;
const tickMs = 60_000;
const unkeptMs = 30_000;
/** A collection beyond the bounds is as large a while later. */
const tooLargeMs = 600_000;

export class ViewSet implements ViewReader {
  readonly #parts: ViewSetParts;
  readonly #settings: ViewSetSettings;
  readonly #entries = new Map<string, Entry>();
  /** Records of the store that nobody has asked for yet. */
  readonly #stored = new Map<string, ViewRecord>();
  readonly #unkeptUntil = new Map<string, number>();
  readonly #cloudVersions = new CloudVersions();
  /** Selectors are read once: each GET of an object asks for those of all views of its resource. */
  readonly #selected = new WeakMap<ViewKey, Selected>();
  /** Views that the hub itself needs: nobody's use, and never idle. */
  readonly #own = new Set<string>();
  /** A new view must not write where the records of an old one are being removed. */
  readonly #dropping = new Set<string>();
  #running: AbortSignal | undefined;
  #wakeup = Promise.withResolvers<void>();

  constructor(parts: ViewSetParts, settings: ViewSetSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** Reads which views the store holds; removes objects of views that were never complete. Rejects with StoreReadError. */
  async load(): Promise<void> {
    const { store, log } = this.#parts;
    for await (const [key, value] of store.entries(viewRecordPrefix)) {
      try {
        const record = decodeViewRecord(value);
        const id = viewId(record.key);
        // A store that could only be read later finds views that have been begun without it.
        if (!this.#entries.has(id)) this.#stored.set(id, record);
      } catch (error) {
        log.error('the record of a view cannot be read; the view is filled again', { key, error: String(error) });
        await store.write([{ type: 'del', key }], 'written');
      }
    }
    const incomplete = new Set<string>();
    for (let key = await firstKey(store, 'object/'); key !== undefined;) {
      const id = key.slice('object/'.length, key.indexOf('/', 'object/'.length));
      if (!this.#stored.has(id) && !this.#entries.has(id)) incomplete.add(id);
      // A look at each view, not at each of its objects.
      key = await firstKey(store, `object/${id}/\x7f`);
    }
    for (const id of incomplete) await store.deletePrefix(`object/${id}/`);
    await store.segments.retain([...this.#stored].flatMap(([id, { segment }]) => (segment === true ? [id] : [])));
  }

  /** Runs reflectors and drops what is idle; ends when all reflectors have ended. */
  async run(signal: AbortSignal): Promise<void> {
    this.#running = signal;
    const stopListening = this.#parts.uplink.onCloudChange(() => this.#wake());
    const stopHearing = this.#parts.accounts.onChange(() => this.#credentialsChanged());
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    while (!signal.aborted) {
      await delay(this.#parts.clock, tickMs, signal);
      if (!signal.aborted) await this.#dropIdle();
    }
    stopListening();
    stopHearing();
    await Promise.all(
      [...this.#entries.values()].map(async (entry) => {
        entry.stop?.abort();
        await entry.done;
        entry.view.endWatches();
      }),
    );
  }

  get cloudReachable(): boolean {
    return this.#parts.uplink.cloud.reachable;
  }

  /** Marks a view as one that the hub itself needs, for good. */
  own(key: ViewKey): void {
    this.#own.add(viewId(key));
  }

  /** The hub needs it no longer: it is dropped like any view that nobody uses. */
  disown(key: ViewKey): void {
    this.#own.delete(viewId(key));
  }

  /** True when a view is kept for this key, whether or not it is complete. */
  has(key: ViewKey): boolean {
    const id = viewId(key);
    return this.#entries.has(id) || this.#stored.has(id);
  }

  /**
   * The view for a key, once it may answer: it has caught up with the cloud since the hub started, or the cloud is out
   * of reach. `startAt` is the version that a watching client has seen. A list's client may be given along: if the view
   * has to be made, and shows objects as they are, it gets the first list as it comes (`answered`).
   */
  async acquire(
    key: ViewKey,
    startAt: string,
    signal: AbortSignal,
    firstListClient?: FirstListClient,
    mayRead: MayRead = nodeMayRead,
  ): Promise<Acquired> {
    const id = viewId(key);
    if (this.#dropping.has(id)) return { kind: 'unkept' };
    const unkeptUntil = this.#unkeptUntil.get(id);
    if (unkeptUntil !== undefined) {
      if (this.#parts.clock.monotonicMs() < unkeptUntil) return { kind: 'unkept' };
      this.#unkeptUntil.delete(id);
    }
    const entry = this.#entries.get(id) ?? this.#add(key);
    if (entry === undefined) return { kind: 'unkept' };
    entry.idleMs = 0;
    entry.usedMs = this.#parts.clock.monotonicMs();
    await entry.restored;
    if (this.#entries.get(id) !== entry) return await this.#withoutEntry(key, mayRead);
    const plain = !entry.view.synced && this.#parts.presenter.leavesAlone(key);
    this.#startReflector(id, entry, startAt, plain ? firstListClient : undefined);
    const left = untilAborted(signal);
    while (!signal.aborted) {
      if (firstListClient?.answered === true) return { kind: 'answered' };
      if (this.#entries.get(id) !== entry) return await this.#withoutEntry(key, mayRead);
      const { view, reflector } = entry;
      const refusal = reflector?.refusal;
      const caughtUp = reflector?.caughtUp === true;
      // "Not now" (429, 5xx) is no reason to withhold what is known; "you may not" is.
      if (refusal !== undefined && (isDenial(refusal) || !isForNow(refusal) || !caughtUp)) {
        // With a 429 the reflector goes on by itself, when it was told to; others are asked for again by the next client.
        if (!view.synced && refusal.statusCode !== 429) this.#forget(id, entry);
        return { kind: 'refused', reply: refusal };
      }
      if (view.synced && (caughtUp || !this.cloudReachable))
        return { kind: 'view', view, live: reflector?.state === 'live' && this.cloudReachable };
      if (!this.cloudReachable && reflector?.completing !== true) {
        if (!view.synced) this.#forget(id, entry);
        return await this.wider(key, mayRead);
      }
      if (reflector?.failing === true || reflector?.withoutCredential === true) return { kind: 'unkept' };
      await Promise.race([reflector?.nextChange(), this.#wakeup.promise, left]);
    }
    return firstListClient?.answered === true ? { kind: 'answered' } : { kind: 'unkept' };
  }

  /** What there is to say of a key when the cloud has just not been reached, whether or not that counts as its loss yet. */
  async lastKnown(key: ViewKey, mayRead: MayRead = nodeMayRead): Promise<Acquired> {
    const id = viewId(key);
    const entry = this.#entries.get(id) ?? (this.#stored.has(id) ? this.#add(key) : undefined);
    await entry?.restored;
    if (entry?.view.synced !== true || this.#entries.get(id) !== entry) return await this.wider(key, mayRead);
    entry.idleMs = 0;
    entry.usedMs = this.#parts.clock.monotonicMs();
    // Whoever watches it must hear what comes when the cloud is back.
    this.#startReflector(id, entry, '', undefined);
    const refusal = entry.reflector?.refusal;
    if (refusal !== undefined && isDenial(refusal)) return { kind: 'refused', reply: refusal };
    return { kind: 'view', view: entry.view, live: false };
  }

  /** The newest complete view that holds all that a key means, in whatever encoding; `unknown` when there is none. */
  async wider(key: ViewKey, mayRead: MayRead): Promise<Acquired> {
    const asked = selectedBy(key);
    let best: { view: View; rest: Selected } | undefined;
    for (const { view } of await this.#answering(key, mayRead)) {
      const rest = remainder(asked, this.#selectedBy(view.key), view.typeMeta.kind);
      if (rest === undefined) continue;
      // Nothing lies in a namespace of a resource that has none: the API server has no such path.
      if (key.namespace !== '' && view.key.namespace === '' && view.isNamespaced !== true) continue;
      const order = compareResourceVersions(view.resourceVersion, best?.view.resourceVersion ?? '');
      if (order > 0 || (order === 0 && view.key.encoding === key.encoding)) best = { view, rest };
    }
    if (best === undefined) return { kind: 'unknown' };
    const { view, rest } = best;
    for (const { field } of asked.fields) {
      const refusal = isBuiltIn(view.typeMeta) ? fieldRefusal(view.typeMeta.kind, field) : undefined;
      if (refusal !== undefined) return { kind: 'invalid', refusal: failure('BadRequest', refusal) };
    }
    // Whether a custom resource can be selected by a field is known of the fields by which one was.
    if (!isBuiltIn(view.typeMeta) && !(await this.#knowsFields(key, rest, mayRead))) return { kind: 'unknown' };
    return { kind: 'view', view, live: false, rest };
  }

  /** The view as it was kept, without waiting for the cloud; undefined when nothing is kept of it. */
  async kept(key: ViewKey): Promise<View | undefined> {
    const id = viewId(key);
    const entry = this.#entries.get(id) ?? (this.#stored.has(id) ? this.#add(key) : undefined);
    await entry?.restored;
    return entry?.view.synced === true && this.#entries.get(id) === entry ? entry.view : undefined;
  }

  // -------------------------------------------------------------------------------------------------------------
  // ViewReader: for the offline write path, and for GETs of single objects

  async stored(request: ObjectName): Promise<StoredObject | undefined> {
    const found = await this.#find(request);
    return found === undefined ? undefined : { wire: found.view.wire, typeMeta: found.view.typeMeta, item: found.item };
  }

  /** The same as local clients see it, with whether the view is live; without bytes when a filter hides it. */
  async shown(request: ObjectName, mayRead: MayRead = nodeMayRead): Promise<ShownObject | undefined> {
    const found = await this.#find(request, mayRead);
    if (found === undefined) return undefined;
    const { view, item, entry } = found;
    // Asked for by name, whatever the view holds besides.
    const collection = { ...view.key, fieldSelector: `metadata.name=${request.name}` };
    const bytes = this.#parts.presenter.present(collection, view.wire, item);
    const live = entry.reflector?.state === 'live' && this.cloudReachable;
    return { wire: view.wire, typeMeta: view.typeMeta, bytes, live, resourceVersion: view.resourceVersion };
  }

  /**
   * The version at which no object of this name was there, as a complete view shows; undefined when none does. What a view
   * selects by name, it knows to be absent as well.
   */
  async absentAt(request: ObjectName, mayRead: MayRead = nodeMayRead): Promise<string | undefined> {
    const { namespace, name } = placeOf(request);
    let newest: string | undefined;
    for (const { view } of await this.#answering(request, mayRead)) {
      if (!holdsAllOf(this.#selectedBy(view.key), request) || view.has(namespace, name)) continue;
      if (compareResourceVersions(view.resourceVersion, newest ?? '') > 0) newest = view.resourceVersion;
    }
    return newest;
  }

  /**
   * True when a view says all about the object of this name that is to be known: it holds it, or would if there were one.
   * What is read by name need not be kept besides.
   */
  speaksFor(request: ObjectName, mayRead: MayRead = nodeMayRead): boolean {
    const { namespace, name } = placeOf(request);
    for (const { view } of this.#entries.values()) {
      if (!view.synced || !isOf(view.key, request) || !mayRead(view.key)) continue;
      if (view.has(namespace, name) || holdsAllOf(this.#selectedBy(view.key), request)) return true;
    }
    for (const { key } of this.#stored.values())
      if (isOf(key, request) && mayRead(key) && holdsAllOf(this.#selectedBy(key), request)) return true;
    return false;
  }

  /** True when a view selects this object, as it was read by name: it would hold it if nothing had changed since. */
  wouldHold(request: ObjectName, { wire, typeMeta, item }: StoredObject, mayRead: MayRead = nodeMayRead): boolean {
    const keys = [...this.#entries.values()].flatMap(({ view }) => (view.synced ? [view.key] : []));
    for (const { key } of this.#stored.values()) keys.push(key);
    return keys.some(
      (key) => isOf(key, request) && mayRead(key) && selects(this.#selectedBy(key), wire, typeMeta, item.bytes),
    );
  }

  /** What a complete view knows of one name: the object's uid or its absence; `unknown` when there is no such view. */
  async uidIn(key: ViewKey, namespace: string, name: string): Promise<{ uid: string } | 'absent' | 'unknown'> {
    const id = viewId(key);
    if (!this.has(key)) return 'unknown';
    const entry = this.#entries.get(id) ?? this.#add(key);
    await entry?.restored;
    if (entry?.view.synced !== true) return 'unknown';
    const item = await entry.view.stored(namespace, name);
    return item === undefined ? 'absent' : { uid: item.uid };
  }

  async localChange(request: ObjectName): Promise<void> {
    const wanted = memberKey(request.namespace, request.name);
    await this.refresh(request, (key) => key === wanted);
  }

  /** Tells watchers of all views of a resource that some objects look different now. */
  async refresh(resource: Pick<ResourceRequest, 'group' | 'resource'>, concerns: Concerns): Promise<void> {
    for (const { view } of this.#entries.values())
      if (view.key.group === resource.group && view.key.resource === resource.resource)
        await view.localChange(concerns);
  }

  /** To be called when the store can be written again: views that it would not keep are kept from the next request on. */
  keepAgain(): void {
    this.#unkeptUntil.clear();
  }

  /** To be called after the store was repaired. Views that lost objects answer no more; they are filled again when used. */
  async verify(): Promise<void> {
    // Views that clients ask for meanwhile are of the repaired store, and need no look.
    const before = [...this.#entries];
    for (const [id, entry] of before) {
      await entry.restored;
      const { key } = entry.view;
      const whole = await entry.view.verify().catch((error: unknown) => {
        this.#parts.log.error('a view could not be compared with the store', { error: String(error) });
        return false;
      });
      if (whole) continue;
      this.#parts.log.error('a view lost objects when the store was repaired; it is filled again', {
        resource: key.resource,
      });
      this.#parts.metrics.dropped.inc({ reason: 'store' });
      this.#forget(id, entry);
      await entry.done;
    }
  }

  status(): ViewSetStatus {
    let objects = 0;
    let watchers = 0;
    let allLive = true;
    for (const [id, { view, reflector }] of this.#entries) {
      if (this.#own.has(id)) continue;
      objects += view.size;
      watchers += view.watcherCount;
      if (reflector !== undefined && reflector.state !== 'live') allLive = false;
    }
    const ids = new Set([...this.#entries.keys(), ...this.#stored.keys()]);
    for (const id of this.#own) ids.delete(id);
    const views = ids.size;
    this.#parts.metrics.views.set(views);
    this.#parts.metrics.objects.set(objects);
    this.#parts.metrics.watchers.set(watchers);
    return { views, objects, watchers, allLive };
  }

  // -------------------------------------------------------------------------------------------------------------

  async #find(
    request: ObjectName,
    mayRead: MayRead = nodeMayRead,
  ): Promise<{ view: View; entry: Entry; item: StoredObject['item'] } | undefined> {
    for (const [id, record] of this.#stored)
      if (isOf(record.key, request) && mayRead(record.key) && !this.#entries.has(id)) this.#add(record.key);
    const { namespace, name } = placeOf(request);
    let best: { view: View; entry: Entry; item: StoredObject['item'] } | undefined;
    for (const entry of this.#entries.values()) {
      const { view } = entry;
      if (!isOf(view.key, request) || !mayRead(view.key)) continue;
      if (view.key.namespace !== '' && view.key.namespace !== namespace) continue;
      await entry.restored;
      const item = await view.stored(namespace, name);
      if (item === undefined) continue;
      if (best === undefined || compareResourceVersions(item.resourceVersion, best.item.resourceVersion) > 0)
        best = { view, entry, item };
    }
    return best;
  }

  async #knowsFields(key: ViewKey, { fields }: Selected, mayRead: MayRead): Promise<boolean> {
    const known = new Set(['metadata.name', 'metadata.namespace']);
    for (const { view } of await this.#answering(key, mayRead))
      for (const { field } of this.#selectedBy(view.key).fields) known.add(field);
    return fields.every(({ field }) => known.has(field));
  }

  /** The views of a resource that may answer from what they hold, those of the store included. */
  async #answering(
    resource: Pick<ResourceRequest, 'group' | 'version' | 'resource'>,
    mayRead: MayRead,
  ): Promise<Entry[]> {
    for (const [id, { key }] of this.#stored)
      if (isOf(key, resource) && mayRead(key) && !this.#entries.has(id)) this.#add(key);
    const entries = [...this.#entries.values()].filter(({ view }) => isOf(view.key, resource) && mayRead(view.key));
    for (const entry of entries) await entry.restored;
    return entries.filter(({ view, reflector }) => {
      const refusal = reflector?.refusal;
      return view.synced && (refusal === undefined || !isDenial(refusal));
    });
  }

  /** For a request whose view was taken out of service while it waited: without the cloud, by another one for the same view. */
  async #withoutEntry(key: ViewKey, mayRead: MayRead): Promise<Acquired> {
    return this.cloudReachable ? { kind: 'unkept' } : await this.wider(key, mayRead);
  }

  #selectedBy(key: ViewKey): Selected {
    let selected = this.#selected.get(key);
    if (selected === undefined) {
      selected = selectedBy(key);
      this.#selected.set(key, selected);
    }
    return selected;
  }

  #add(key: ViewKey): Entry | undefined {
    const id = viewId(key);
    if (this.#entries.size >= this.#settings.maxViews && !this.#stored.has(id)) return undefined;
    const view = new View(key, this.#parts, this.#settings);
    const record = this.#stored.get(id);
    this.#stored.delete(id);
    const entry: Entry = {
      view,
      restored: record === undefined ? Promise.resolve() : this.#restore(view, record),
      reflector: undefined,
      stop: undefined,
      done: Promise.resolve(),
      idleMs: 0,
      usedMs: this.#parts.clock.monotonicMs(),
    };
    this.#entries.set(id, entry);
    if (key.forAccounts === true) this.#keepBounds();
    return this.#entries.get(id) === entry ? entry : undefined;
  }

  async #restore(view: View, record: ViewRecord): Promise<void> {
    try {
      await view.restore(record);
    } catch (error) {
      view.drop();
      if (error instanceof StoreReadError) {
        // Nothing is wrong with the records: the next request tries again.
        if (this.#entries.get(viewId(record.key))?.view === view) this.#entries.delete(viewId(record.key));
        this.#stored.set(viewId(record.key), record);
        return;
      }
      // Unreadable records are worth nothing and stand in nobody's way: the view is filled again from the cloud.
      this.#parts.log.error('a stored view could not be read and is set aside', {
        resource: record.key.resource,
        error: error instanceof Error ? error.message : String(error),
      });
      this.#parts.metrics.dropped.inc({ reason: 'store' });
      await this.#deleteRecords(record.key).catch((failure: unknown) => {
        // The next start finds them, and finds them unreadable, again.
        this.#parts.log.warn('the records of a view could not be removed', { error: String(failure) });
      });
    }
  }

  #startReflector(id: string, entry: Entry, startAt: string, firstListClient: FirstListClient | undefined): void {
    const signal = this.#running;
    if (entry.reflector !== undefined || signal === undefined || signal.aborted) return;
    const { maxObjectBytes, userAgent } = this.#settings;
    const { key } = entry.view;
    const { accounts, accountBounds } = this.#parts;
    const forAccounts = key.forAccounts === true;
    const credential = forAccounts ? () => accounts.credentialFor(key) : () => nodeCredential;
    const maxListBytes = forAccounts ? accountBounds().maxBytes : Number.POSITIVE_INFINITY;
    entry.reflector = new Reflector(
      entry.view,
      { ...this.#parts, credential, cloudVersions: this.#cloudVersions },
      { maxObjectBytes, userAgent, startAt, firstListClient, maxListBytes },
    );
    entry.stop = new AbortController();
    entry.done = this.#keep(id, entry, entry.reflector, entry.stop.signal);
  }

  async #keep(id: string, entry: Entry, reflector: Reflector, signal: AbortSignal): Promise<void> {
    try {
      await reflector.run(signal);
    } catch (error) {
      if (error instanceof ViewTooLargeError) {
        this.#parts.log.warn('a collection is too large to be kept for service accounts; its requests pass through', {
          resource: entry.view.key.resource,
          error: error.message,
        });
        await this.#drop(id, entry, tooLargeMs, undefined);
        return;
      }
      this.#parts.log.error('a view can no longer be kept; its requests pass through', {
        resource: entry.view.key.resource,
        error: error instanceof Error ? error.message : String(error),
      });
      this.#parts.metrics.dropped.inc({ reason: 'store' });
      this.#unkeptUntil.set(id, this.#parts.clock.monotonicMs() + unkeptMs);
      this.#forget(id, entry);
    }
  }

  /** Takes a view out of service; what the store holds of it stays. */
  #forget(id: string, entry: Entry): void {
    if (this.#entries.get(id) !== entry) return;
    this.#entries.delete(id);
    entry.stop?.abort();
    entry.view.drop();
    this.#wake();
  }

  async #dropIdle(): Promise<void> {
    this.status();
    this.#keepBounds();
    if (!this.cloudReachable) return;
    // A kubelet that is down uses no view, and needs all of them when it comes up.
    const nodes = [...this.#entries].filter(([id, { view }]) => nodeMayRead(view.key) && !this.#own.has(id));
    if (!nodes.some(([, { view }]) => view.watcherCount > 0)) return;
    for (const record of this.#stored.values()) this.#add(record.key);
    for (const [id, entry] of this.#entries) {
      entry.idleMs = entry.view.watcherCount > 0 || entry.view.followed ? 0 : entry.idleMs + tickMs;
      const denied = (entry.reflector?.refusals ?? 0) >= purgeAfterRefusals;
      if ((entry.idleMs < this.#settings.idleMs || this.#own.has(id)) && !denied) continue;
      this.#parts.metrics.dropped.inc({ reason: denied ? 'denied' : 'idle' });
      this.#forget(id, entry);
      await entry.done;
      await this.#deleteRecords(entry.view.key);
    }
  }

  #credentialsChanged(): void {
    for (const { view, reflector } of this.#entries.values())
      if (view.key.forAccounts === true) reflector?.credentialsChanged();
    this.#keepBounds();
    this.#wake();
  }

  /** Drops views of service accounts until those that stay are within bounds. */
  #keepBounds(): void {
    // Nothing can be filled then, and what is dropped cannot be had again.
    if (!this.cloudReachable) return;
    const kept = [...this.#entries].flatMap(([id, entry]) => {
      const { view, usedMs } = entry;
      const { bytes, watcherCount } = view;
      return view.key.forAccounts === true ? [{ id, entry, bytes, usedMs, watched: watcherCount > 0 }] : [];
    });
    for (const { id, entry } of beyondBounds(kept, this.#parts.accountBounds())) {
      this.#parts.log.info('a view of service accounts is dropped: there is too much of them', {
        resource: entry.view.key.resource,
      });
      this.#drop(id, entry, unkeptMs, entry.done).catch((error: unknown) =>
        // The next start finds the records, and with them a view to drop again.
        this.#parts.log.warn('the records of a view could not be removed', { error: String(error) }),
      );
    }
  }

  /** Takes a view out of service, and out of the store once its reflector has `ended`; its requests pass through for a while. */
  async #drop(id: string, entry: Entry, unkeptForMs: number, ended: Promise<void> | undefined): Promise<void> {
    this.#parts.metrics.dropped.inc({ reason: 'bounds' });
    this.#unkeptUntil.set(id, this.#parts.clock.monotonicMs() + unkeptForMs);
    this.#dropping.add(id);
    this.#forget(id, entry);
    try {
      await ended;
      await this.#deleteRecords(entry.view.key);
    } finally {
      this.#dropping.delete(id);
    }
  }

  async #deleteRecords(key: ViewKey): Promise<void> {
    await this.#parts.store.write([{ type: 'del', key: viewRecordKey(key) }], 'written');
    await this.#parts.store.deletePrefix(objectPrefix(key));
    await this.#parts.store.segments.remove(viewId(key));
  }

  #wake(): void {
    const wakeup = this.#wakeup;
    this.#wakeup = Promise.withResolvers<void>();
    wakeup.resolve();
  }
}

/** The first object's key that is not below `from`. */
async function firstKey(store: Store, from: string): Promise<string | undefined> {
  for await (const key of store.keys('object/', from)) return key;
  return undefined;
}

function isForNow({ statusCode }: UpstreamReply): boolean {
  return statusCode === 429 || statusCode >= 500;
}

/** Where an object is in its views: a namespace lies in none, although its path names one. */
function placeOf({ group, resource, namespace, name }: ObjectName): { namespace: string; name: string } {
  return { namespace: group === '' && resource === 'namespaces' ? '' : namespace, name };
}

/** True for a view that holds whatever object there is of this name. */
function holdsAllOf(held: Selected, request: ObjectName): boolean {
  const { namespace, name } = placeOf(request);
  const named = { field: 'metadata.name', isNegated: false, value: name };
  return remainder({ namespace, labels: [], fields: [named] }, held, '') !== undefined;
}

function isOf(key: ViewKey, request: Pick<ResourceRequest, 'group' | 'version' | 'resource'>): boolean {
  return key.group === request.group && key.version === request.version && key.resource === request.resource;
}
