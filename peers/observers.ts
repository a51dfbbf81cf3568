// Who watches whom in a pool. Rendezvous (highest random weight) hashing: every pair of names has a weight, and a member is
// watched by those with the highest weights for it. A member that joins or leaves changes only the rows in which it stands,
// and every node and the guard compute the same rows from the same names.
import { createHash } from 'node:crypto';

/** The members of one pool by name, hashed once. */
export class Observation {
  readonly #members: readonly Hashed[];
  readonly #byName: ReadonlyMap<string, Hashed>;
  readonly #count: number;
  /** Rows that were asked for: a site that is silent asks for all of them every second. */
  readonly #rows = new Map<string, readonly string[]>();

  /** `count`: observers of each member; fewer where the pool has fewer other members. Names may come in any order. */
  constructor(names: Iterable<string>, count: number) {
    this.#members = [...new Set(names)].map(hashed);
    this.#byName = new Map(this.#members.map((member) => [member.name, member]));
    this.#count = count;
  }

  /** Names of those that watch `subject`, heaviest first; empty for a name that is no member. */
  observersOf(subject: string): readonly string[] {
    let row = this.#rows.get(subject);
    if (row === undefined) {
      row = this.#rowOf(subject);
      if (this.#byName.has(subject)) this.#rows.set(subject, row);
    }
    return row;
  }

  #rowOf(subject: string): string[] {
    const watched = this.#byName.get(subject);
    if (watched === undefined) return [];
    const heaviest: { member: Hashed; weight: number }[] = [];
    for (const member of this.#members) {
      if (member === watched) continue;
      const entry = { member, weight: weightOf(watched, member) };
      const last = heaviest.at(-1);
      if (heaviest.length === this.#count && last !== undefined && !outranks(entry, last)) continue;
      const place = heaviest.findIndex((other) => outranks(entry, other));
      heaviest.splice(place === -1 ? heaviest.length : place, 0, entry);
      if (heaviest.length > this.#count) heaviest.pop();
    }
    return heaviest.map(({ member }) => member.name);
  }

  /** Names of those that `observer` watches, in the order of the names; empty for a name that is no member. */
  observedBy(observer: string): string[] {
    const watcher = this.#byName.get(observer);
    if (watcher === undefined) return [];
    return this.#members
      .filter((subject) => subject !== watcher && this.#watches(watcher, subject))
      .map(({ name }) => name)
      .sort();
  }

  // Ends at the first `count` that are heavier: most members are ruled out after a few of them, whatever the size of the pool.
  #watches(watcher: Hashed, subject: Hashed): boolean {
    const entry = { member: watcher, weight: weightOf(subject, watcher) };
    let heavier = 0;
    for (const member of this.#members) {
      if (member === subject || member === watcher) continue;
      if (outranks({ member, weight: weightOf(subject, member) }, entry)) heavier += 1;
      if (heavier >= this.#count) return false;
    }
    return heavier < this.#count;
  }
}

interface Hashed {
  readonly name: string;
  readonly high: number;
  readonly low: number;
}

function hashed(name: string): Hashed {
  const digest = createHash('sha256').update(name).digest();
  return { name, high: digest.readUInt32BE(0), low: digest.readUInt32BE(4) };
}

interface Weighted {
  readonly member: Hashed;
  readonly weight: number;
}

/** Equal weights (one pair in four thousand million) are decided by name, so that the order is total. */
function outranks(one: Weighted, other: Weighted): boolean {
  return one.weight === other.weight ? one.member.name < other.member.name : one.weight > other.weight;
}

/** The order of the two matters: who watches me need not be whom I watch. */
function weightOf(subject: Hashed, observer: Hashed): number {
  return mix(mix(mix(subject.high ^ observer.low) ^ subject.low) ^ observer.high) >>> 0;
}

/** Spreads every bit of a 32-bit number over all of them (the finalizer of MurmurHash3, which is in the public domain). */
function mix(value: number): number {
  let bits = value;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85eb_ca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35);
  return bits ^ (bits >>> 16);
}
