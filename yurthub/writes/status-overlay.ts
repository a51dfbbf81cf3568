// What the kubelet wrote to the status of its node and pods while the cloud was out of reach. Local readers see it in place
// of what the cloud last said; it is on disk before the kubelet hears that it was accepted.
//
// Only the written part is kept and laid over the object as the cloud has it, so that whatever else the cloud changes (a
// deletion above all) is seen at once.
import { compareResourceVersions } from '../../kube/resource-version.ts';
import type { Encoding, Item, KubeObject, TypeMeta } from '../../kube/wire.ts';
import { wireFor } from '../../kube/wires.ts';
import type { Log } from '../../runtime/log.ts';
import type { Overlay, Store } from '../types.ts';
import type { WriteMetrics } from './metrics.ts';
import { type LocalStatus, withLocalStatus } from './status-patch.ts';

const prefix = 'overlay/';

/** An object that may have an overlay: core group, version v1. `namespace` is '' for nodes. */
export interface OverlaidObject {
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
}

export interface OverlayEntry extends OverlaidObject {
  readonly uid: string;
  readonly written: LocalStatus;
  /** The cloud has what was written, in this version: the overlay ends where a view has caught up with it. */
  readonly arrivedAs?: string;
}

interface Rendered {
  readonly resourceVersion: string;
  readonly bytes: Buffer;
}

export interface StatusOverlayParts {
  readonly store: Store;
  readonly log: Log;
  readonly metrics: WriteMetrics;
}

export class StatusOverlay implements Overlay {
  readonly #parts: StatusOverlayParts;
  readonly #entries = new Map<string, OverlayEntry>();
  /** The last answer of `lookup` for each entry: a view asks again for every list. */
  readonly #rendered = new WeakMap<OverlayEntry, Map<Encoding, Rendered>>();
  /** Records of overlays that have ended; removed with the next write. Until then `arrivedAs` keeps them from showing. */
  #ended: string[] = [];

  constructor(parts: StatusOverlayParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#entries.size;
  }

  async load(): Promise<void> {
    for await (const [key, value] of this.#parts.store.entries(prefix)) {
      try {
        const entry = JSON.parse(value.toString()) as OverlayEntry;
        this.#entries.set(keyOf(entry), entry);
      } catch (error) {
        this.#parts.log.error('a stored status write cannot be read and is left out', { key, error: String(error) });
      }
    }
    this.#measure();
  }

  entries(): OverlayEntry[] {
    return [...this.#entries.values()];
  }

  /** What is shown over `item`: nothing that was written to an object of the same name before it, or that has arrived. */
  entryFor(resource: string, item: Item): OverlayEntry | undefined {
    const entry = this.#entries.get(keyOf({ resource, namespace: item.namespace, name: item.name }));
    return entry === undefined || entry.uid !== item.uid || hasArrived(entry, item.resourceVersion) ? undefined : entry;
  }

  /** On disk when it resolves. Rejects with StoreWriteError, and then nothing has changed. */
  async put(entry: OverlayEntry): Promise<void> {
    const ended = this.#ended.splice(0).filter((key) => key !== keyOf(entry));
    const value = Buffer.from(JSON.stringify(entry));
    await this.#parts.store.write(
      [...ended.map((key) => ({ type: 'del', key }) as const), { type: 'put', key: keyOf(entry), value }],
      'synced',
    );
    this.#entries.set(keyOf(entry), entry);
    this.#measure();
  }

  /** Ends these overlays; never rejects. */
  async drop(entries: readonly OverlayEntry[]): Promise<void> {
    const keys = [...this.#ended.splice(0), ...entries.map(keyOf)];
    if (keys.length === 0) return;
    try {
      await this.#parts.store.write(
        keys.map((key) => ({ type: 'del', key }) as const),
        'written',
      );
    } catch (error) {
      // A kubelet that goes on seeing its own writes would never report itself again: that is worse than records that
      // come back after a restart and are dropped then.
      this.#ended.push(...keys);
      this.#parts.log.error('ended status writes could not be removed from the store', { error: String(error) });
    }
    for (const entry of entries) if (this.#entries.get(keyOf(entry)) === entry) this.#entries.delete(keyOf(entry));
    this.#measure();
  }

  /** A view has this object in this version, from the cloud. */
  cloudSaw(group: string, resource: string, namespace: string, name: string, resourceVersion: string): void {
    if (group !== '' || this.#entries.size === 0) return;
    const key = keyOf({ resource, namespace, name });
    const entry = this.#entries.get(key);
    if (entry === undefined || !hasArrived(entry, resourceVersion)) return;
    this.#entries.delete(key);
    // Not removed from the store yet: the view has not written this version either, and a crash now must not show the
    // kubelet a pod as running that it had finished.
    this.#ended.push(key);
    this.#measure();
  }

  concerns(group: string, resource: string): boolean {
    return group === '' && (resource === 'pods' || resource === 'nodes');
  }

  lookup(group: string, resource: string, item: Item, encoding: Encoding): Buffer | undefined {
    if (group !== '' || this.#entries.size === 0) return undefined;
    const entry = this.entryFor(resource, item);
    if (entry === undefined) return undefined;
    const rendered = this.#rendered.get(entry)?.get(encoding);
    if (rendered?.resourceVersion === item.resourceVersion) return rendered.bytes;
    try {
      const bytes = render(entry, item, encoding);
      const byEncoding = this.#rendered.get(entry) ?? new Map<Encoding, Rendered>();
      this.#rendered.set(entry, byEncoding.set(encoding, { resourceVersion: item.resourceVersion, bytes }));
      return bytes;
    } catch (error) {
      // The cloud's own object is the next best thing to show; a fault here must not take the whole view down.
      this.#parts.log.error('a status write cannot be shown', { resource, name: item.name, error: String(error) });
      return undefined;
    }
  }

  #measure(): void {
    this.#parts.metrics.overlayObjects.set(this.#entries.size);
  }
}

export function typeMetaOf(resource: string): TypeMeta {
  return { apiVersion: 'v1', kind: resource === 'nodes' ? 'Node' : 'Pod' };
}

function render(entry: OverlayEntry, item: Item, encoding: Encoding): Buffer {
  const wire = wireFor(encoding);
  const typeMeta = typeMetaOf(entry.resource);
  const object: KubeObject = wire.decode(typeMeta, item.bytes);
  return wire.encode(typeMeta, withLocalStatus(object, entry.written));
}

function hasArrived(entry: OverlayEntry, resourceVersion: string): boolean {
  return entry.arrivedAs !== undefined && compareResourceVersions(resourceVersion, entry.arrivedAs) >= 0;
}

function keyOf({ resource, namespace, name }: OverlaidObject): string {
  return `${prefix}${resource}/${namespace}/${name}`;
}
