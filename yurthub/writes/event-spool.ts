// Events that were accepted while the cloud was out of reach, in order, on disk, within bounds.
import type { Store } from '../types.ts';
import type { WriteMetrics } from './metrics.ts';
import { Serial } from './serial.ts';

const prefix = 'event/';

/** One write to be sent as it is: its headers are the content type alone. */
export interface SpooledWrite {
  readonly method: 'POST' | 'PATCH';
  readonly target: string;
  readonly contentType: string;
  /** Group, namespace and name of the event. */
  readonly id: string;
  readonly body: Buffer;
}

interface Place {
  readonly id: string;
  readonly bytes: number;
}

export interface EventSpoolSettings {
  readonly maxCount: number;
  readonly maxBytes: number;
}

export class EventSpool {
  readonly #store: Store;
  readonly #metrics: WriteMetrics;
  readonly #settings: EventSpoolSettings;
  /** Store key to what stands there, oldest first. */
  readonly #places = new Map<string, Place>();
  readonly #serial = new Serial();
  readonly #listeners = new Set<() => void>();
  #bytes = 0;
  #next = 0;
  #inFlight: string | undefined;

  constructor(parts: { store: Store; metrics: WriteMetrics }, settings: EventSpoolSettings) {
    this.#store = parts.store;
    this.#metrics = parts.metrics;
    this.#settings = settings;
  }

  async load(): Promise<void> {
    for await (const [key, value] of this.#store.entries(prefix)) {
      const write = decode(value);
      if (write === undefined) {
        this.#metrics.eventsDropped.inc({ reason: 'unreadable' });
        await this.#store.write([{ type: 'del', key }], 'written');
        continue;
      }
      if (!this.#places.has(key)) this.#bytes += value.length; // a store that could only be read later
      this.#places.set(key, { id: write.id, bytes: value.length });
      this.#next = Math.max(this.#next, Number(key.slice(prefix.length)) + 1);
    }
    this.#measure();
  }

  get size(): number {
    return this.#places.size;
  }

  get isEmpty(): boolean {
    return this.#places.size === 0;
  }

  /** Calls back whenever something was added; returns the way to stop that. */
  onAdd(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  holds(id: string): boolean {
    return this.#find(id) !== undefined;
  }

  /** False when the spool is full. On disk when it resolves; rejects with StoreWriteError. */
  add(write: SpooledWrite): Promise<boolean> {
    return this.#serial.run(() => this.#add(write));
  }

  /**
   * Exchanges the newest write for `id` by what `change` makes of it; `change` gets undefined when there is none that may
   * still be changed, and what it gives is then added. False when the spool is full.
   */
  change(id: string, change: (present: SpooledWrite | undefined) => SpooledWrite): Promise<boolean> {
    return this.#serial.run(async () => {
      const key = this.#find(id);
      const value = key === undefined ? undefined : await this.#store.get(key);
      if (key === undefined || value === undefined) return await this.#add(change(undefined));
      return await this.#set(key, change(decode(value)));
    });
  }

  /** The oldest write, which is not changed from here on; undefined when there is none. */
  take(): Promise<{ key: string; write: SpooledWrite } | undefined> {
    return this.#serial.run(async () => {
      for (const key of this.#places.keys()) {
        this.#inFlight = key;
        const value = await this.#store.get(key);
        const write = value === undefined ? undefined : decode(value);
        if (write !== undefined) return { key, write };
        // The store was set aside and refilled beneath us.
        this.#metrics.eventsDropped.inc({ reason: 'unreadable' });
        this.#forget(key);
      }
      return undefined;
    });
  }

  /** The taken write may be changed again: it was not sent. */
  giveBack(): void {
    this.#inFlight = undefined;
  }

  /** The taken write was answered for good. */
  remove(key: string): Promise<void> {
    return this.#serial.run(async () => {
      // Sent again after a crash it is answered with 409, so this need not be synced.
      await this.#store.write([{ type: 'del', key }], 'written');
      this.#forget(key);
    });
  }

  #find(id: string): string | undefined {
    let found: string | undefined;
    for (const [key, place] of this.#places) if (place.id === id && key !== this.#inFlight) found = key;
    return found;
  }

  async #add(write: SpooledWrite): Promise<boolean> {
    if (this.#places.size >= this.#settings.maxCount) return false;
    const key = `${prefix}${String(this.#next).padStart(16, '0')}`;
    this.#next += 1;
    return await this.#set(key, write);
  }

  async #set(key: string, write: SpooledWrite): Promise<boolean> {
    const value = encode(write);
    const before = this.#places.get(key)?.bytes ?? 0;
    if (this.#bytes - before + value.length > this.#settings.maxBytes) return false;
    await this.#store.write([{ type: 'put', key, value }], 'synced');
    this.#places.set(key, { id: write.id, bytes: value.length });
    this.#bytes += value.length - before;
    this.#measure();
    for (const listener of this.#listeners) listener();
    return true;
  }

  #forget(key: string): void {
    this.#bytes -= this.#places.get(key)?.bytes ?? 0;
    this.#places.delete(key);
    if (this.#inFlight === key) this.#inFlight = undefined;
    this.#measure();
  }

  #measure(): void {
    this.#metrics.spoolEvents.set(this.#places.size);
    this.#metrics.spoolBytes.set(this.#bytes);
  }
}

/** Record: what is known of the write as one line of JSON, then its body. */
function encode({ body, ...head }: SpooledWrite): Buffer {
  return Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), body]);
}

/** Undefined for a record that was damaged. */
function decode(value: Buffer): SpooledWrite | undefined {
  const end = value.indexOf(10);
  try {
    const head = JSON.parse(value.toString('utf8', 0, end)) as Omit<SpooledWrite, 'body'>;
    return { ...head, body: value.subarray(end + 1) };
  } catch {
    return undefined;
  }
}
