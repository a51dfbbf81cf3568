// Large collections beside LevelDB: all objects of a first list in one file, which is written once, in order, and never
// changed. LevelDB would write each of them twice (log and table) with a checksum of its own each time, which is most of what
// keeping a large list costs. Crash consistency stays LevelDB's: a segment is on disk before the record that names it is
// written, and one that no record names is removed.
//
// A file is a magic, then blocks: length and CRC-32 of what follows, then entries: length and bytes.
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, stat, unlink, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { syncFolder } from '../../runtime/durable-file.ts';
import { StoreReadError, StoreWriteError } from '../errors.ts';
import type { Segment, SegmentEntry, Segments, SegmentWriter } from '../types.ts';

const magic = Buffer.from('holdfast-seg-1\n\0');
const blockHeadBytes = 8;
const entryHeadBytes = 4;
/** What is checked, written and read as one piece; entries that are larger have a block of their own. */
const blockBytes = 512 << 10;

export interface SegmentFilesParts {
  readonly directory: string;
  /** Throws StoreWriteError when the store holds its limit. */
  readonly admit: () => void;
  /** Bytes have been added. */
  readonly wrote: (bytes: number) => void;
}

export class SegmentFiles implements Segments {
  readonly #parts: SegmentFilesParts;
  /** Files that this process has made or opened. */
  readonly #inUse = new Set<string>();
  readonly #open = new Set<FileHandle>();

  constructor(parts: SegmentFilesParts) {
    this.#parts = parts;
  }

  async create(name: string): Promise<SegmentWriter> {
    const { directory, admit } = this.#parts;
    admit();
    const file = this.#fileOf(name);
    this.#inUse.add(file);
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      // Not over an earlier one, which somebody may still read.
      await remove(file);
      const handle = this.#opened(await open(file, 'wx+', 0o600));
      return new SegmentFileWriter(file, handle, this.#parts);
    } catch (error) {
      throw writeError(error);
    }
  }

  async open(name: string): Promise<Segment> {
    const file = this.#fileOf(name);
    this.#inUse.add(file);
    try {
      return new SegmentFile(this.#opened(await open(file, 'r')));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new DamagedSegment('a segment is missing', error);
      throw readError(error);
    }
  }

  async remove(name: string): Promise<void> {
    const file = this.#fileOf(name);
    this.#inUse.delete(file);
    await remove(file);
  }

  async retain(names: Iterable<string>): Promise<void> {
    const { directory } = this.#parts;
    const kept = new Set([...names].map((name) => this.#fileOf(name)));
    for (const entry of await readdir(directory).catch(noFiles)) {
      const file = path.join(directory, entry);
      if (!kept.has(file) && !this.#inUse.has(file)) await remove(file);
    }
  }

  /** Closes what is still open. */
  async close(): Promise<void> {
    for (const handle of this.#open) await handle.close();
  }

  /** Of all segments. */
  async bytes(): Promise<number> {
    const { directory } = this.#parts;
    let bytes = 0;
    for (const entry of await readdir(directory).catch(noFiles))
      bytes += await stat(path.join(directory, entry)).then(
        ({ size }) => size,
        () => 0, // removed as we look
      );
    return bytes;
  }

  #opened(handle: FileHandle): FileHandle {
    for (const earlier of this.#open) if (earlier.fd === -1) this.#open.delete(earlier);
    this.#open.add(handle);
    return handle;
  }

  /** Names of views are longer than names of files may be. */
  #fileOf(name: string): string {
    return path.join(this.#parts.directory, createHash('sha256').update(name).digest('hex').slice(0, 32));
  }
}

/** What is in it cannot be had again by trying again. */
class DamagedSegment extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'DamagedSegment';
  }
}

class SegmentFileWriter implements SegmentWriter {
  readonly #file: string;
  readonly #handle: FileHandle;
  readonly #parts: SegmentFilesParts;
  /** One is filled while the other is being written. */
  #block = Buffer.allocUnsafeSlow(blockBytes);
  #otherBlock = Buffer.allocUnsafeSlow(blockBytes);
  #used = blockHeadBytes;
  /** Where the block begins in the file. */
  #position = magic.length;
  #writing: Promise<void> = Promise.resolve();

  constructor(file: string, handle: FileHandle, parts: SegmentFilesParts) {
    this.#file = file;
    this.#handle = handle;
    this.#parts = parts;
    this.#write(magic, 0);
  }

  room(bytes: number): Promise<void> | undefined {
    return this.#used + entryHeadBytes + bytes <= this.#block.length ? undefined : this.#makeRoom(bytes);
  }

  append(bytes: Buffer): number {
    const at = this.#used + entryHeadBytes;
    if (at + bytes.length > this.#block.length) throw new RangeError('there is no room in the block');
    this.#block.writeUInt32LE(bytes.length, this.#used);
    bytes.copy(this.#block, at);
    this.#used = at + bytes.length;
    return this.#position + at;
  }

  async finish(): Promise<Segment> {
    try {
      await this.#flush();
      await this.#writing;
      await this.#handle.datasync();
      await syncFolder(this.#parts.directory);
      return new SegmentFile(this.#handle);
    } catch (error) {
      throw writeError(error);
    }
  }

  async abandon(): Promise<void> {
    await this.#writing.catch(() => undefined); // nobody wants it any more
    await this.#handle.close();
    await remove(this.#file);
  }

  async #makeRoom(bytes: number): Promise<void> {
    this.#parts.admit();
    await this.#flush();
    const needed = blockHeadBytes + entryHeadBytes + bytes;
    if (this.#block.length < needed) this.#block = Buffer.allocUnsafeSlow(needed);
  }

  /** Rejects when an earlier block could not be written. */
  async #flush(): Promise<void> {
    await this.#writing;
    if (this.#used === blockHeadBytes) return;
    const block = this.#block.subarray(0, this.#used);
    block.writeUInt32LE(this.#used - blockHeadBytes, 0);
    block.writeUInt32LE(crc32(block.subarray(blockHeadBytes)), 4);
    this.#write(block, this.#position);
    this.#position += this.#used;
    this.#used = blockHeadBytes;
    [this.#block, this.#otherBlock] = [this.#otherBlock, this.#block];
  }

  #write(bytes: Buffer, position: number): void {
    this.#writing = this.#writeAll(bytes, position);
    // Whoever waits for it next is told.
    this.#writing.catch(() => undefined);
    this.#parts.wrote(bytes.length);
  }

  async #writeAll(bytes: Buffer, position: number): Promise<void> {
    try {
      for (let done = 0; done < bytes.length;)
        done += (await this.#handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
    } catch (error) {
      throw writeError(error);
    }
  }
}

class SegmentFile implements Segment {
  readonly #handle: FileHandle;
  #readers = 0;
  #closing: PromiseWithResolvers<void> | undefined;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async read(at: number, bytes: number, into?: Buffer): Promise<Buffer> {
    const release = this.hold();
    try {
      return await this.#read(into?.subarray(0, bytes) ?? Buffer.allocUnsafeSlow(bytes), at);
    } catch (error) {
      throw readError(error);
    } finally {
      release();
    }
  }

  async *entries(): AsyncGenerator<readonly SegmentEntry[]> {
    this.#readers += 1;
    try {
      const { size } = await this.#handle.stat();
      let buffer = Buffer.allocUnsafeSlow(blockBytes);
      const start = await this.#read(Buffer.alloc(magic.length), 0);
      if (!start.equals(magic)) throw new Error('it is of another version');
      for (let position = magic.length; position < size;) {
        const head = await this.#read(Buffer.alloc(blockHeadBytes), position);
        const length = head.readUInt32LE(0);
        position += blockHeadBytes;
        if (position + length > size) throw new Error('it ends too early');
        if (buffer.length < length) buffer = Buffer.allocUnsafeSlow(length);
        const block = await this.#read(buffer.subarray(0, length), position);
        if (crc32(block) !== head.readUInt32LE(4)) throw new Error('a checksum is wrong');
        yield entriesOf(block, position);
        position += length;
      }
    } catch (error) {
      throw new DamagedSegment('a segment is damaged', error);
    } finally {
      this.#left();
    }
  }

  hold(): () => void {
    this.#readers += 1;
    return () => this.#left();
  }

  async close(): Promise<void> {
    this.#closing ??= Promise.withResolvers();
    if (this.#readers === 0) this.#closing.resolve();
    await this.#closing.promise;
    await this.#handle.close();
  }

  #left(): void {
    this.#readers -= 1;
    if (this.#readers === 0) this.#closing?.resolve();
  }

  async #read(into: Buffer, position: number): Promise<Buffer> {
    for (let done = 0; done < into.length;) {
      const { bytesRead } = await this.#handle.read(into, done, into.length - done, position + done);
      if (bytesRead === 0) throw new Error('the segment ends too early');
      done += bytesRead;
    }
    return into;
  }
}

function entriesOf(block: Buffer, position: number): SegmentEntry[] {
  const entries: SegmentEntry[] = [];
  for (let at = 0; at < block.length;) {
    const start = at + entryHeadBytes;
    const end = start + block.readUInt32LE(at);
    entries.push({ at: position + start, bytes: block.subarray(start, end) });
    at = end;
  }
  return entries;
}

async function remove(file: string): Promise<void> {
  try {
    await unlink(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw writeError(error);
  }
}

function noFiles(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw readError(error);
}

function writeError(error: unknown): Error {
  return error instanceof StoreWriteError ? error : new StoreWriteError('a segment cannot be written', error);
}

function readError(error: unknown): Error {
  return error instanceof StoreReadError ? error : new StoreReadError('a segment cannot be read', error);
}
