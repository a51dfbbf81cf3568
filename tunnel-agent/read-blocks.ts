// Memory for what targets send. Node.js would take 64 KiB for each read, which the settings of malloc on a node make a mapping of its
// own: half of the processor time of a large copy. Here all sockets read into one block, and what goes on is copied into one that is
// used again.

/** With the heads of its frames and a word of malloc's less than the 64 KiB from which malloc maps: TLS copies both into one piece. */
export const blockBytes = 60 * 1024;
/** Below that a copy takes its size from a slab that Node.js keeps for small ones. */
const smallBytes = 4 * 1024;
/** What lies about when nothing is on the way: 1 MiB. */
const keptBlocks = 16;

export class ReadBlocks {
  readonly #kept: ArrayBuffer[] = [];
  /** Not told by size: a slab of Node.js, which others' bytes lie in too, may be as large. */
  readonly #lent = new WeakSet<ArrayBufferLike>();
  #into: Uint8Array | undefined;

  /** Where sockets read to. Good until the next of them reads. */
  get into(): Uint8Array {
    this.#into ??= new Uint8Array(blockBytes);
    return this.#into;
  }

  /** What `into` begins with; the caller's until it gives it back, or for good. */
  copy(bytes: number): Buffer {
    const read = this.into.subarray(0, bytes);
    if (bytes <= smallBytes) return Buffer.from(read);
    const block = this.#kept.pop() ?? new ArrayBuffer(blockBytes);
    this.#lent.add(block);
    const chunk = Buffer.from(block, 0, bytes);
    chunk.set(read);
    return chunk;
  }

  /** Nobody reads the copy any more. What is no block, or was given back before, is left to itself. */
  giveBack({ buffer }: Buffer): void {
    if (this.#lent.delete(buffer) && this.#kept.length < keptBlocks) this.#kept.push(buffer as ArrayBuffer);
  }
}
