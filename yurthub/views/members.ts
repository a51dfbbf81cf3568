// The index of a view: the version of every object, a checksum over all of them, and the objects themselves as long as
// they are small enough together to be held in memory.
import { memberChecksum } from './records.ts';

/** What a view keeps in memory of one object. */
export interface Member {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly length: number;
  /** Undefined when the view is too large to be held in memory. */
  readonly bytes: Buffer | undefined;
}

export class Members implements Iterable<[string, Member]> {
  readonly #residentBytes: number;
  readonly #byKey = new Map<string, Member>();
  #bytes = 0;
  #checksum = 0;
  #resident = true;

  /** Beyond `residentBytes` all objects live on disk, from then on. */
  constructor(residentBytes: number) {
    this.#residentBytes = residentBytes;
  }

  get size(): number {
    return this.#byKey.size;
  }
  /** Of all objects, wherever they are. */
  get bytes(): number {
    return this.#bytes;
  }
  get checksum(): number {
    return this.#checksum;
  }
  /** True while the bytes of every member are in memory. */
  get resident(): boolean {
    return this.#resident;
  }

  get(key: string): Member | undefined {
    return this.#byKey.get(key);
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  keys(): IterableIterator<string> {
    return this.#byKey.keys();
  }

  [Symbol.iterator](): IterableIterator<[string, Member]> {
    return this.#byKey[Symbol.iterator]();
  }

  /** In the API server's order. */
  sorted(): [string, Member][] {
    return [...this.#byKey].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  set(key: string, uid: string, resourceVersion: string, bytes: Buffer): void {
    const before = this.#byKey.get(key);
    this.#bytes += bytes.length - (before?.length ?? 0);
    this.#checksum = (this.#checksum + share(key, resourceVersion) - share(key, before?.resourceVersion)) >>> 0;
    if (this.#resident && this.#bytes > this.#residentBytes) this.#leaveMemory();
    this.#byKey.set(key, { uid, resourceVersion, length: bytes.length, bytes: this.#resident ? bytes : undefined });
  }

  delete(key: string): void {
    const before = this.#byKey.get(key);
    if (before === undefined) return;
    this.#bytes -= before.length;
    this.#checksum = (this.#checksum - share(key, before.resourceVersion)) >>> 0;
    this.#byKey.delete(key);
  }

  /** The checksum once these members have these versions; undefined stands for a deletion. The last of a key counts. */
  checksumAfter(versions: Iterable<readonly [string, string | undefined]>): number {
    let sum = this.#checksum;
    for (const [key, version] of new Map(versions))
      sum += share(key, version) - share(key, this.#byKey.get(key)?.resourceVersion);
    return sum >>> 0;
  }

  #leaveMemory(): void {
    this.#resident = false;
    for (const [key, member] of this.#byKey) this.#byKey.set(key, { ...member, bytes: undefined });
  }
}

function share(key: string, resourceVersion: string | undefined): number {
  return resourceVersion === undefined ? 0 : memberChecksum(key, resourceVersion);
}
