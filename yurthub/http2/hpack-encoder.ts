// Header blocks that we send where bytes are paid for (RFC 7541): what is said again is sent as a number. No Huffman code: on an
// uplink that is idle nearly everything is said again.
import { staticFields } from './static-table.ts';

/** The most that we remember, whatever the peer would let us. */
const maxTableBytes = 4_096;
/** A line break or control character has no place in a field (RFC 9113 8.2.1). */
const notInValue = /[^\t\x20-\x7e\x80-\xff]/;
const fieldName = /^:?[!#$%&'*+.^_`|~0-9a-z-]+$/;

const staticIndex = new Map<string, number>();
const staticNameIndex = new Map<string, number>();
for (const [at, [name, value]] of staticFields.entries()) {
  if (value !== '') staticIndex.set(keyOf(name, value), at + 1);
  if (!staticNameIndex.has(name)) staticNameIndex.set(name, at + 1);
}

/** How a field is sent: remembered by both ends, or written out each time, and then perhaps for nobody on the way to remember. */
export type FieldKind = 'remembered' | 'once' | 'secret';

export type OutgoingField = readonly [name: string, value: string, kind: FieldKind];

export class HpackEncoder {
  /** Oldest first. */
  readonly #table: { readonly key: string; readonly bytes: number }[] = [];
  /** By key, the how many-eth field that was ever added it is. */
  readonly #added = new Map<string, number>();
  #count = 0;
  #bytes = 0;
  #limit = maxTableBytes;
  #tellsLimit = false;

  /** The peer remembers no more than this. */
  limit(bytes: number): void {
    const limit = Math.min(bytes, maxTableBytes);
    if (limit === this.#limit) return;
    this.#limit = limit;
    this.#tellsLimit = true;
    this.#evict(0);
  }

  /** A whole block, one character per byte. Throws TypeError for what cannot be written, before anything has changed. */
  encode(fields: readonly OutgoingField[]): string {
    for (const [name, value] of fields)
      if (!fieldName.test(name) || notInValue.test(value)) throw new TypeError(`header ${name} cannot be written`);
    let block = this.#tellsLimit ? integer(0x20, 5, this.#limit) : '';
    this.#tellsLimit = false;
    for (const field of fields) block += this.#field(field);
    return block;
  }

  #field([name, value, kind]: OutgoingField): string {
    const key = keyOf(name, value);
    const index = staticIndex.get(key) ?? this.#indexOf(key);
    if (index !== undefined) return integer(0x80, 7, index);
    const bytes = name.length + value.length + 32;
    const remembered = kind === 'remembered' && bytes <= this.#limit;
    const nameIndex = staticNameIndex.get(name) ?? 0;
    const head = remembered ? integer(0x40, 6, nameIndex) : integer(kind === 'secret' ? 0x10 : 0, 4, nameIndex);
    if (remembered) this.#add(key, bytes);
    return head + (nameIndex === 0 ? string(name) : '') + string(value);
  }

  #indexOf(key: string): number | undefined {
    const added = this.#added.get(key);
    return added === undefined ? undefined : staticFields.length + this.#count - added + 1;
  }

  #add(key: string, bytes: number): void {
    this.#evict(bytes);
    this.#count += 1;
    this.#table.push({ key, bytes });
    this.#added.set(key, this.#count);
    this.#bytes += bytes;
  }

  /** Makes room for so many bytes. */
  #evict(bytes: number): void {
    while (this.#bytes + bytes > this.#limit) {
      const oldest = this.#table.shift();
      if (oldest === undefined) return;
      this.#bytes -= oldest.bytes;
      this.#added.delete(oldest.key);
    }
  }
}

function keyOf(name: string, value: string): string {
  return `${name}\n${value}`;
}

/** An integer behind a prefix of so many bits (RFC 7541 5.1). */
function integer(first: number, bits: number, value: number): string {
  const most = (1 << bits) - 1;
  if (value < most) return String.fromCharCode(first | value);
  let rest = value - most;
  let text = String.fromCharCode(first | most);
  while (rest >= 0x80) {
    text += String.fromCharCode((rest & 0x7f) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return text + String.fromCharCode(rest);
}

function string(text: string): string {
  return integer(0, 7, text.length) + text;
}
