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
  /** Where its bytes are in the view's segment; undefined when it has a record of its own. */
  readonly at: number | undefined;
}

export class Members implements Iterable<[string, Member]> {
  readonly #residentBytes: number;
  readonly #byKey = new Map<string, Member>();
  #bytes = 0;
  #checksum = 0;
  #resident = true;
  /** Keys of the segment whose objects have changed or are gone since. */
  readonly #outdated = new Set<string>();
  #withRecord = 0;
  #lastKey = '';
  #inOrder = true;

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

  /** Whether the segment has an object of this name, be it outdated. */
  inSegment(key: string): boolean {
    return this.#byKey.get(key)?.at !== undefined || this.#outdated.has(key);
  }
  /** Keys of the segment that stand for nothing any more. */
  get outdated(): ReadonlySet<string> {
    return this.#outdated;
  }
  /** True when every member is in the segment. */
  get allInSegment(): boolean {
    return this.#withRecord === 0;
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
    const members = [...this.#byKey];
    return this.#inOrder ? members : members.sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** `at`: where a segment has it; one that has none has a record of its own. */
  set(key: string, uid: string, resourceVersion: string, bytes: Buffer, at?: number): void {
    const before = this.#byKey.get(key);
    if (before === undefined) this.#noteOrder(key);
    this.#bytes += bytes.length - (before?.length ?? 0);
    this.#checksum = (this.#checksum + share(key, resourceVersion) - share(key, before?.resourceVersion)) >>> 0;
    if (this.#resident && this.#bytes > this.#residentBytes) this.#leaveMemory();
    this.#forgetPlace(key, before);
    if (at === undefined) this.#withRecord += 1;
    const kept = this.#resident ? bytes : undefined;
    this.#byKey.set(key, { uid, resourceVersion, length: bytes.length, bytes: kept, at });
  }

  delete(key: string): void {
    const before = this.#byKey.get(key);
    if (before === undefined) return;
    this.#bytes -= before.length;
    this.#checksum = (this.#checksum - share(key, before.resourceVersion)) >>> 0;
    this.#forgetPlace(key, before);
    this.#byKey.delete(key);
  }

  /** The checksum once these members have these versions; undefined stands for a deletion. The last of a key counts. */
  checksumAfter(versions: Iterable<readonly [string, string | undefined]>): number {
    let sum = this.#checksum;
    for (const [key, version] of new Map(versions))
      sum += share(key, version) - share(key, this.#byKey.get(key)?.resourceVersion);
    return sum >>> 0;
  }

  #noteOrder(key: string): void {
    if (key < this.#lastKey) this.#inOrder = false;
    else this.#lastKey = key;
  }

  #forgetPlace(key: string, before: Member | undefined): void {
    if (before === undefined) return;
    if (before.at === undefined) this.#withRecord -= 1;
    else this.#outdated.add(key);
  }

  #leaveMemory(): void {
    this.#resident = false;
    for (const [key, member] of this.#byKey) this.#byKey.set(key, { ...member, bytes: undefined });
  }
}

function share(key: string, resourceVersion: string | undefined): number {
  return resourceVersion === undefined ? 0 : memberChecksum(key, resourceVersion);
}
