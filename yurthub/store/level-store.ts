// The hub's store on LevelDB. It stays usable through the three things that LevelDB does not survive by itself: a damaged
// file (repair and reopen), a full disk (the handle takes no more writes, even after space is freed: accepted writes wait
// in memory until a reopened handle takes them), and a second owner in one process (which would drop the file lock).
import { realpathSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import { StoreOpenError, StoreReadError, StoreWriteError } from '../errors.ts';
import type { Durability, Store, StoreOp, StoreRow } from '../types.ts';
import { classifyFailure, errorText } from './failure-class.ts';
import { GroupCommit, type WriteCall } from './group-commit.ts';
import {
  folderBytes,
  hasRoom,
  openLevelFolder,
  segmentsName,
  type LevelHandle,
  type LevelTuning,
  type Recovery,
} from './level-folder.ts';
import { createStoreMetrics, type StoreMetrics } from './metrics.ts';
import { PendingWrites } from './pending-writes.ts';
import { SegmentFiles } from './segment-files.ts';

export interface StoreParts {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

export interface StoreSettings {
  readonly directory: string;
  /** Size of the folder, bytes, from which on puts are refused (deletes are not) until it has shrunk. */
  readonly maxBytes: number;
  /** Accepted writes kept in memory while the disk takes none, bytes. Default 8 MiB. */
  readonly maxPendingBytes?: number;
  /** First and longest wait before the disk is tried again, milliseconds. Defaults 1,000 and 30,000. */
  readonly retryMs?: number;
  readonly maxRetryMs?: number;
  /** LevelDB's write buffer, bytes; up to two exist. Default 2 MiB. */
  readonly writeBufferBytes?: number;
}

export interface StoreState {
  /** The disk takes no writes: 'written' calls wait in memory, 'synced' calls are refused. */
  readonly degraded: boolean;
  /** The worst that was done to the data since it was opened. After 'repaired' single keys may be missing or old. */
  readonly recovery: Recovery;
}

export interface OpenedStore extends Store, StoreState {
  /**
   * Changes records where they stand, with no other write in between: those under `prefix` from the key `from` on, until `maxBytes`
   * of values have been looked at. `change` gives the new value or undefined. `next` is where to go on; undefined at the end.
   */
  rewrite(
    prefix: string,
    from: string,
    maxBytes: number,
    change: (key: string, value: Buffer) => Buffer | undefined,
  ): Promise<{ readonly next: string | undefined }>;
  /** Rewrites the files of a prefix, so that values that were replaced or deleted are no longer in them. */
  compact(prefix: string): Promise<void>;
  usage(): { readonly bytes: number };
  /** Calls back when `degraded` or `recovery` changes, and after every further repair; gives the way to stop that. */
  onStateChange(listener: (state: StoreState) => void): () => void;
  /** Writes what waits, closes, gives the folder up. Nothing of the store may be used afterwards. */
  close(): Promise<void>;
}

/**
 * The folders that this process owns. Module state on purpose: LevelDB's lock is fcntl's, which belongs to the process,
 * and a failed second open of the same folder would give up the lock that the first one relies on.
 */
const ownedFolders = new Set<string>();

/** How long a reopening waits for readers that are in the middle of a scan. */
const scanGraceMs = 5_000;
const iteratorBytes = 256 * 1024;
const iteratorRows = 256;
const measureEveryBytes = 4 * 1024 * 1024;
/** A full store is compacted at most this often: it rewrites everything. */
const compactEveryMs = 60_000;

/**
 * Opens the folder in whatever state it is. Throws StoreOpenError (ERR_STORE_LOCKED, ERR_STORE_ACCESS). With a full disk
 * it opens degraded and without a handle: reads reject with StoreReadError until there is room.
 */
export async function openStore(parts: StoreParts, settings: StoreSettings): Promise<OpenedStore> {
  const folder = await canonicalFolder(settings.directory);
  if (ownedFolders.has(folder)) {
    throw new StoreOpenError(
      'ERR_STORE_LOCKED',
      `the store folder ${folder} is already open in this process; close the first store before opening it again`,
      undefined,
    );
  }
  ownedFolders.add(folder);
  const store = new LevelStore(parts, { ...settings, directory: folder });
  try {
    await store.open();
    return store;
  } catch (error) {
    ownedFolders.delete(folder);
    throw error;
  }
}

/** Symbolic links resolved, so that two names of one folder are one owner. */
async function canonicalFolder(directory: string): Promise<string> {
  const parent = path.dirname(path.resolve(directory));
  try {
    await mkdir(parent, { recursive: true, mode: 0o700 });
  } catch {
    return path.resolve(directory); // opening says why, with the folder's name
  }
  try {
    return realpathSync(directory);
  } catch {
    return path.join(realpathSync(parent), path.basename(directory)); // it does not exist yet
  }
}

class LevelStore implements OpenedStore {
  readonly segments: SegmentFiles;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #metrics: StoreMetrics;
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #tuning: LevelTuning;
  readonly #retry: { firstMs: number; maxMs: number };
  readonly #pending: PendingWrites;
  readonly #commits = new GroupCommit((calls) => this.#commit(calls));
  readonly #listeners = new Set<(state: StoreState) => void>();

  #handle: LevelHandle | undefined;
  /** Set while the handle is being exchanged: readers wait for it. */
  #exchange: Promise<void> | undefined;
  #repairing: Promise<void> | undefined;
  #scans = 0;
  #scansEnded: (() => void) | undefined;
  #degraded = false;
  #recovery: Recovery = 'none';
  #retryMs: number;
  #retryTimer: Timer | undefined;
  #retrying: Promise<void> | undefined;
  #bytes = 0;
  #unmeasuredBytes = 0;
  #compactedAtMs = -Infinity;
  #closed = false;

  constructor(parts: StoreParts, settings: StoreSettings) {
    this.#log = parts.log;
    this.#clock = parts.clock;
    this.#metrics = createStoreMetrics(parts.metrics);
    this.#directory = settings.directory;
    this.#maxBytes = settings.maxBytes;
    this.#tuning = {
      writeBufferBytes: settings.writeBufferBytes ?? 2 * 1024 * 1024,
      cacheBytes: 2 * 1024 * 1024,
      maxOpenFiles: 100,
    };
    this.segments = new SegmentFiles({
      directory: path.join(settings.directory, segmentsName),
      admit: () => {
        if (this.#degraded) throw new StoreWriteError('the disk takes no writes at present', undefined);
        if (this.#overFull()) throw this.#full();
      },
      wrote: (bytes) => void (this.#unmeasuredBytes += bytes),
    });
    this.#retry = { firstMs: settings.retryMs ?? 1_000, maxMs: settings.maxRetryMs ?? 30_000 };
    this.#retryMs = this.#retry.firstMs;
    this.#pending = new PendingWrites(settings.maxPendingBytes ?? 8 * 1024 * 1024);
  }

  get degraded(): boolean {
    return this.#degraded;
  }

  get recovery(): Recovery {
    return this.#recovery;
  }

  usage(): { readonly bytes: number } {
    return { bytes: this.#bytes + this.#unmeasuredBytes };
  }

  onStateChange(listener: (state: StoreState) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async open(): Promise<void> {
    try {
      await this.#openHandle(false);
    } catch (error) {
      if (classifyFailure(error) !== 'full') throw error;
      this.#degrade(error);
    }
    await this.#measure();
  }

  async get(key: string): Promise<Buffer | undefined> {
    for (let attempt = 1; ; attempt += 1) {
      const waiting = this.#pending.get(key);
      if (waiting !== undefined) return waiting ?? undefined;
      const handle = await this.#readable();
      try {
        return await handle.get(key);
      } catch (error) {
        if (attempt === 2 || !(await this.#mend(error, handle)))
          throw new StoreReadError('the store cannot be read', error);
      }
    }
  }

  async *entries(prefix: string, from = prefix): AsyncIterable<StoreRow> {
    for await (const rows of this.#scan(prefix, from, true)) yield* rows;
  }

  batches(prefix: string): AsyncIterable<readonly StoreRow[]> {
    return this.#scan(prefix, prefix, true);
  }

  async *keys(prefix: string, from = prefix): AsyncIterable<string> {
    for await (const rows of this.#scan(prefix, from, false)) for (const [key] of rows) yield key;
  }

  /** Without `values` they are empty: LevelDB need not hand them over. */
  async *#scan(prefix: string, from: string, values: boolean): AsyncGenerator<readonly StoreRow[]> {
    for (let attempt = 1; ; attempt += 1) {
      const handle = await this.#readable();
      // No await between the two: together they are one moment's content.
      let waiting = this.#pending.range(prefix).filter(([key]) => key >= from);
      const iterator = handle.iterator({
        gte: from,
        lt: `${prefix}\x7f`,
        highWaterMarkBytes: iteratorBytes,
        values,
      });
      this.#scans += 1;
      let yielded = false;
      try {
        for (;;) {
          const rows = await iterator.nextv(iteratorRows);
          const last = rows.at(-1)?.[0];
          const merged = waiting.length === 0 ? rows : mergedRows(rows, waiting, last);
          if (last !== undefined) waiting = waiting.filter(([key]) => key > last);
          if (merged.length > 0) {
            yielded = true;
            yield merged;
          }
          if (last === undefined) return;
        }
      } catch (error) {
        const mended = await this.#mend(error, handle);
        if (!mended || yielded || attempt === 2)
          throw new StoreReadError('the store changed its files during a scan; scan again', error);
      } finally {
        this.#scans -= 1;
        if (this.#scans === 0) this.#scansEnded?.();
        await iterator.close();
      }
    }
  }

  write(ops: readonly StoreOp[], durability: Durability): Promise<void> {
    this.#assertOpen();
    for (const { key } of ops) if (!isStoreKey(key)) throw new TypeError(`not a store key: ${JSON.stringify(key)}`);
    if (ops.length === 0 && durability === 'written') return Promise.resolve();
    return this.#commits.write(ops, durability);
  }

  /** One batch: after a crash either all of them are there or none. */
  deletePrefix(prefix: string): Promise<void> {
    this.#assertOpen();
    return this.#commits.exclusive(async () => {
      const ops: StoreOp[] = [];
      for await (const key of this.keys(prefix)) ops.push({ type: 'del', key });
      await this.#commitNow(ops);
    });
  }

  /** Within a turn of the queue. */
  async #commitNow(ops: readonly StoreOp[]): Promise<void> {
    if (ops.length === 0) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    await Promise.all([promise, this.#commit([{ ops, durability: 'written', resolve, reject }])]);
  }

  rewrite(
    prefix: string,
    from: string,
    maxBytes: number,
    change: (key: string, value: Buffer) => Buffer | undefined,
  ): Promise<{ readonly next: string | undefined }> {
    this.#assertOpen();
    return this.#commits.exclusive(async () => {
      const ops: StoreOp[] = [];
      let next: string | undefined;
      let bytes = 0;
      for await (const [key, value] of this.entries(prefix, from)) {
        const changed = change(key, value);
        if (changed !== undefined) ops.push({ type: 'put', key, value: changed });
        bytes += key.length + value.length;
        if (bytes < maxBytes) continue;
        next = `${key}\x00`;
        break;
      }
      await this.#commitNow(ops);
      return { next };
    });
  }

  async compact(prefix: string): Promise<void> {
    const handle = await this.#readable();
    try {
      await handle.compactRange(prefix, `${prefix}\x7f`, { keyEncoding: 'utf8' });
    } catch (error) {
      throw new StoreWriteError('the store could not be compacted', error);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#retryTimer?.cancel();
    await this.#retrying;
    await this.#commits.idle();
    if (this.#degraded) await this.#tryDisk();
    this.#retryTimer?.cancel();
    if (this.#pending.size > 0)
      this.#log.error('closing with writes that the disk never took', { keys: this.#pending.size });
    try {
      await this.segments.close();
      await this.#handle?.close();
    } finally {
      this.#handle = undefined;
      ownedFolders.delete(this.#directory);
    }
  }

  // Writing -----------------------------------------------------------------------------------------------------

  async #commit(calls: readonly WriteCall[]): Promise<void> {
    while (this.#exchange !== undefined) await this.#exchange; // a repair on behalf of a reader
    if (this.#unmeasuredBytes > measureEveryBytes || this.#overFull()) await this.#measure();
    const admitted = this.#admit(calls);
    if (admitted.length === 0) return;
    const handle = this.#handle;
    if (this.#degraded || handle === undefined) {
      this.#keepInMemory(admitted);
      return;
    }
    const ops = admitted.flatMap((call) => call.ops);
    try {
      await this.#writeBatch(
        handle,
        ops,
        admitted.some((call) => call.durability === 'synced'),
      );
    } catch (error) {
      this.#metrics.writeFailures.inc({ reason: 'io' });
      this.#degrade(error);
      this.#keepInMemory(admitted);
      return;
    }
    for (const call of admitted) call.resolve();
  }

  async #writeBatch(handle: LevelHandle, ops: readonly StoreOp[], sync: boolean): Promise<void> {
    // Values of LevelDB's 'buffer' encoding are Buffers: a view on the same memory, not a copy.
    const batch = ops.map((op) => (op.type === 'put' ? { type: op.type, key: op.key, value: asBuffer(op.value) } : op));
    await handle.batch(batch, { sync });
    this.#metrics.batches.inc();
    for (const op of ops) this.#unmeasuredBytes += op.key.length + (op.type === 'put' ? op.value.byteLength : 0);
  }

  /** The calls that the store's size allows; the others are rejected. */
  #admit(calls: readonly WriteCall[]): readonly WriteCall[] {
    if (!this.#overFull()) return calls;
    return calls.filter((call) => {
      if (call.ops.every((op) => op.type === 'del')) return true;
      this.#metrics.writeFailures.inc({ reason: 'store_full' });
      call.reject(this.#full());
      return false;
    });
  }

  #full(): StoreWriteError {
    return new StoreWriteError(`the store holds its limit of ${this.#maxBytes} bytes`, undefined);
  }

  #overFull(): boolean {
    return this.#bytes + this.#unmeasuredBytes > this.#maxBytes;
  }

  /** 'written' calls wait for the disk in memory. A 'synced' call promises a disk, so it cannot be kept. */
  #keepInMemory(calls: readonly WriteCall[]): void {
    for (const call of calls) {
      if (call.durability === 'synced') {
        this.#metrics.writeFailures.inc({ reason: 'not_durable' });
        call.reject(new StoreWriteError('the disk takes no writes at present', undefined));
      } else if (this.#pending.add(call.ops)) {
        call.resolve();
      } else {
        this.#metrics.writeFailures.inc({ reason: 'pending_full' });
        call.reject(
          new StoreWriteError('the disk takes no writes, and the memory kept for them is used up', undefined),
        );
      }
    }
    this.#metrics.pendingBytes.set(this.#pending.bytes);
  }

  // Full disk and back ------------------------------------------------------------------------------------------

  #degrade(error: unknown): void {
    if (!this.#degraded) {
      this.#degraded = true;
      this.#metrics.degraded.set(1);
      this.#log.error('the store cannot be written; writes are kept in memory', {
        directory: this.#directory,
        error: errorText(error),
      });
      this.#announce();
    }
    this.#scheduleRetry();
  }

  #scheduleRetry(): void {
    if (this.#closed) return;
    this.#retryTimer?.cancel();
    const waitMs = this.#retryMs * (0.5 + Math.random() / 2);
    this.#retryMs = Math.min(this.#retryMs * 2, this.#retry.maxMs);
    this.#retryTimer = this.#clock.after(waitMs, () => {
      this.#retrying = this.#tryDisk().finally(() => {
        this.#retrying = undefined;
      });
    });
  }

  /** One attempt to make the disk take writes again. Never rejects. */
  async #tryDisk(): Promise<void> {
    // LevelDB needs room to open (it turns its log into a table). Without it, closing would cost the reads as well.
    const neededBytes = this.#pending.bytes + 2 * this.#tuning.writeBufferBytes;
    if (!(await hasRoom(this.#directory, neededBytes))) {
      this.#scheduleRetry();
      return;
    }
    await this.#scansEndedOrOverdue();
    try {
      await this.#commits.exclusive(() => this.#reopenAndFlush(), { first: true });
    } catch (error) {
      this.#log.warn('the store still cannot be written', { error: errorText(error) });
      this.#scheduleRetry();
    }
  }

  async #reopenAndFlush(): Promise<void> {
    await this.#exchangeHandle(false);
    if (this.#handle === undefined) return;
    if (this.#pending.size > 0) await this.#writeBatch(this.#handle, this.#pending.ops(), true);
    this.#log.info('the store can be written again', { pendingKeys: this.#pending.size });
    this.#pending.clear();
    this.#metrics.pendingBytes.set(0);
    this.#degraded = false;
    this.#retryMs = this.#retry.firstMs;
    this.#metrics.degraded.set(0);
    await this.#measure();
    this.#announce();
  }

  /** A scan holds a snapshot of the old handle: give it time to end before the handle goes. */
  async #scansEndedOrOverdue(): Promise<void> {
    if (this.#scans === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(scanGraceMs, resolve);
      this.#scansEnded = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#scansEnded = undefined;
  }

  // Damage ------------------------------------------------------------------------------------------------------

  /** True when what failed is mended and the read may be tried once more. */
  async #mend(error: unknown, handle: LevelHandle): Promise<boolean> {
    if (this.#closed) return false;
    const failure = classifyFailure(error);
    if (failure === 'closed') return true; // the handle was exchanged under this reader
    if (failure !== 'damaged') return false;
    if (this.#handle !== handle) return true; // another reader has had it repaired
    this.#repairing ??= this.#repair(error).finally(() => {
      this.#repairing = undefined;
    });
    try {
      await this.#repairing;
      return true;
    } catch (repairError) {
      this.#degrade(repairError);
      return false;
    }
  }

  #repair(error: unknown): Promise<void> {
    this.#log.error('the store has damaged files; repairing it', {
      directory: this.#directory,
      error: errorText(error),
    });
    // Not through the queue when a turn of the queue is what reads (deletePrefix): it would wait for itself.
    return this.#exchangeHandle(true);
  }

  // The handle --------------------------------------------------------------------------------------------------

  async #readable(): Promise<LevelHandle> {
    while (this.#exchange !== undefined) await this.#exchange;
    this.#assertOpen();
    if (this.#handle === undefined) throw new StoreReadError('the store is not open: its disk is full', undefined);
    return this.#handle;
  }

  /** Closes the handle and opens a new one, repaired if `damaged`. Readers wait meanwhile. */
  async #exchangeHandle(damaged: boolean): Promise<void> {
    while (this.#exchange !== undefined) await this.#exchange;
    const exchange = (async (): Promise<void> => {
      const old = this.#handle;
      this.#handle = undefined;
      await old?.close();
      await this.#openHandle(damaged);
    })();
    // Whoever waits wants to know when it is over; the outcome goes to the caller.
    this.#exchange = exchange.catch(() => undefined);
    try {
      await exchange;
    } finally {
      this.#exchange = undefined;
    }
  }

  async #openHandle(damaged: boolean): Promise<void> {
    const { handle, recovery } = await openLevelFolder(this.#log, this.#directory, this.#tuning, damaged);
    this.#handle = handle;
    if (recovery === 'none') return;
    this.#metrics.recoveries.inc({ kind: recovery });
    this.#log.warn('the store was recovered', { recovery });
    if (this.#recovery !== 'set_aside') this.#recovery = recovery;
    this.#announce();
  }

  async #measure(): Promise<void> {
    let bytes = await this.#sizeOnDisk().catch(() => this.#bytes); // an unreadable folder keeps its last size
    const sinceCompactionMs = this.#clock.monotonicMs() - this.#compactedAtMs;
    if (bytes > this.#maxBytes && this.#handle !== undefined && sinceCompactionMs >= compactEveryMs) {
      // Deleted keys take room until a compaction: only what is left after one is really too much.
      this.#compactedAtMs = this.#clock.monotonicMs();
      await this.#handle.compactRange('', '\x7f', { keyEncoding: 'utf8' }).catch((error: unknown) => {
        this.#log.warn('the store could not be compacted', { error: errorText(error) });
      });
      bytes = await this.#sizeOnDisk().catch(() => bytes);
    }
    this.#bytes = bytes;
    this.#unmeasuredBytes = 0;
    this.#metrics.bytes.set(bytes);
  }

  async #sizeOnDisk(): Promise<number> {
    return (await folderBytes(this.#directory)) + (await this.segments.bytes());
  }

  #announce(): void {
    for (const listener of this.#listeners) listener({ degraded: this.#degraded, recovery: this.#recovery });
  }

  #assertOpen(): void {
    if (this.#closed) throw new TypeError('the store is closed');
  }
}

/** Rows up to `last` (all, without one) with what waits for the disk put over them; null stands for a deletion. */
function mergedRows(
  rows: readonly StoreRow[],
  waiting: readonly (readonly [key: string, value: Buffer | null])[],
  last: string | undefined,
): StoreRow[] {
  const byKey = new Map<string, Buffer | null>(rows);
  for (const [key, value] of waiting) if (last === undefined || key <= last) byKey.set(key, value);
  const merged: StoreRow[] = [];
  for (const [key, value] of byKey) if (value !== null) merged.push([key, value]);
  return merged.sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Printable ASCII: sorts the same in JavaScript and in LevelDB, and leaves 0x7f free as the end of a prefix. */
function isStoreKey(key: string): boolean {
  return /^[\x20-\x7e]+$/.test(key);
}

function asBuffer(value: Uint8Array): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
