// Cuts a JSON list into items while it arrives. Keys may come in any order: custom resources are written with sorted
// keys, items before metadata.
import { WireError } from '../errors.ts';
import { HeldBytes, tooLarge } from '../held-bytes.ts';
import type { Item, ListHead, ListScanner } from '../wire.ts';
import { readItemMeta } from './object-meta.ts';
import { ObjectReader, parseJson, readString } from './object-reader.ts';
import {
  closeBrace,
  closeBracket,
  colon,
  comma,
  isWhitespace,
  malformed,
  openBrace,
  openBracket,
  quote,
  ValueScanner,
} from './value-scanner.ts';

/** What the next byte that is no white space has to be. */
type Expecting =
  'list' | 'first-key' | 'key' | 'colon' | 'value' | 'comma' | 'first-item' | 'item' | 'item-comma' | 'nothing';

/** What becomes of the value that is being scanned. */
type Purpose = 'key' | 'kind' | 'apiVersion' | 'metadata' | 'items' | 'item' | 'other';

const purposes: ReadonlyMap<string, Purpose> = new Map(
  (['kind', 'apiVersion', 'metadata', 'items'] as const).map((key) => [key, key]),
);

export class JsonListScanner implements ListScanner {
  readonly #maxItemBytes: number;
  readonly #held: HeldBytes;
  readonly #values = new ValueScanner();
  #expecting: Expecting = 'list';
  /** Of the value that is being scanned; undefined between values. */
  #scanning: Purpose | undefined;
  /** Of the value after the key that came last. */
  #upcoming: Purpose = 'other';
  readonly #seen = new Set<Purpose>();

  #kind = '';
  #apiVersion = '';
  #metadata: Pick<ListHead, 'resourceVersion' | 'continue' | 'remainingItemCount'> | undefined;

  constructor(limits: { maxItemBytes: number }) {
    this.#maxItemBytes = limits.maxItemBytes;
    this.#held = new HeldBytes(limits.maxItemBytes);
  }

  push(chunk: Buffer): Item[] {
    const items: Item[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#scanning !== undefined) {
        at = this.#scan(this.#scanning, chunk, at, items);
        continue;
      }
      const byte = chunk[at] ?? 0;
      if (isWhitespace(byte) || this.#step(byte)) at++;
    }
    return items;
  }

  end(): ListHead {
    if (this.#expecting !== 'nothing' || this.#scanning !== undefined)
      throw new WireError('ERR_WIRE_TRUNCATED', 'json: list ended early');
    if (this.#kind === '' || this.#apiVersion === '' || this.#metadata === undefined || !this.#seen.has('items'))
      throw malformed('list without kind, apiVersion, metadata or items');
    return { apiVersion: this.#apiVersion, kind: this.#kind, ...this.#metadata };
  }

  /** Takes one byte between values. False when the byte belongs to a value whose scan begins with it. */
  #step(byte: number): boolean {
    switch (this.#expecting) {
      case 'list':
        return this.#expect(byte, openBrace, 'first-key');
      case 'first-key':
        if (byte === closeBrace) return this.#expect(byte, closeBrace, 'nothing');
        return this.#beginKey(byte);
      case 'key':
        return this.#beginKey(byte);
      case 'colon':
        return this.#expect(byte, colon, 'value');
      case 'value':
        if (this.#upcoming === 'items' && byte === openBracket) return this.#expect(byte, openBracket, 'first-item');
        return this.#begin(this.#upcoming);
      case 'comma':
        if (byte === closeBrace) return this.#expect(byte, closeBrace, 'nothing');
        return this.#expect(byte, comma, 'key');
      case 'first-item':
        if (byte === closeBracket) return this.#expect(byte, closeBracket, 'comma');
        return this.#beginItem(byte);
      case 'item':
        return this.#beginItem(byte);
      case 'item-comma':
        if (byte === closeBracket) return this.#expect(byte, closeBracket, 'comma');
        return this.#expect(byte, comma, 'item');
      case 'nothing':
        throw malformed('bytes after the list');
    }
  }

  #expect(byte: number, expected: number, next: Expecting): true {
    if (byte !== expected) throw malformed(`no '${String.fromCharCode(expected)}' where one is due`);
    this.#expecting = next;
    return true;
  }

  #beginKey(byte: number): false {
    if (byte !== quote) throw malformed('no key where one is due');
    return this.#begin('key');
  }

  #beginItem(byte: number): false {
    if (byte !== openBrace) throw malformed('a list item is no object');
    return this.#begin('item');
  }

  #begin(purpose: Purpose): false {
    this.#scanning = purpose;
    this.#values.begin();
    return false;
  }

  /** Goes on with a value; returns the position after what was taken of it. */
  #scan(purpose: Purpose, chunk: Buffer, at: number, items: Item[]): number {
    const end = this.#values.scan(chunk, at, chunk.length);
    const stop = end < 0 ? chunk.length : end;
    if (end < 0) {
      if (purpose !== 'other') this.#held.append(chunk, at, stop);
      return stop;
    }
    this.#scanning = undefined;
    if (purpose === 'other') {
      this.#expecting = 'comma';
    } else if (this.#held.length > 0) {
      this.#held.append(chunk, at, stop);
      this.#finish(purpose, this.#held.take(), items);
    } else {
      if (stop - at > this.#maxItemBytes) throw tooLarge(stop - at, this.#maxItemBytes);
      this.#finish(purpose, chunk.subarray(at, stop), items);
    }
    return stop;
  }

  #finish(purpose: Exclude<Purpose, 'other'>, bytes: Buffer, items: Item[]): void {
    this.#expecting = purpose === 'key' ? 'colon' : purpose === 'item' ? 'item-comma' : 'comma';
    switch (purpose) {
      case 'key':
        this.#upcoming = purposes.get(readString(bytes, 0, bytes.length)) ?? 'other';
        if (this.#upcoming !== 'other' && this.#seen.has(this.#upcoming))
          throw malformed('a key of the list came twice');
        this.#seen.add(this.#upcoming);
        break;
      case 'kind':
        this.#kind = readString(bytes, 0, bytes.length);
        break;
      case 'apiVersion':
        this.#apiVersion = readString(bytes, 0, bytes.length);
        break;
      case 'metadata':
        this.#metadata = readListMeta(bytes);
        break;
      case 'items':
        // Go writes null for a slice that was never made.
        if (bytes.toString('latin1') !== 'null') throw malformed('items are no array');
        break;
      case 'item':
        items.push(readItem(bytes));
        break;
    }
  }
}

function readListMeta(bytes: Buffer): Pick<ListHead, 'resourceVersion' | 'continue' | 'remainingItemCount'> {
  const fields = new ObjectReader(bytes, 0, bytes.length);
  let resourceVersion = '';
  let continueToken = '';
  let remainingItemCount: number | undefined;
  while (fields.next()) {
    if (fields.key === 'resourceVersion') resourceVersion = fields.string();
    else if (fields.key === 'continue') continueToken = fields.string();
    else if (fields.key === 'remainingItemCount') {
      const count = parseJson(bytes.toString('utf8', fields.valueStart, fields.valueEnd));
      if (typeof count === 'number') remainingItemCount = count;
      else if (count !== null) throw malformed('remainingItemCount is no number');
    }
  }
  return { resourceVersion, continue: continueToken, remainingItemCount };
}

function readItem(bytes: Buffer): Item {
  const { namespace, name, uid, resourceVersion } = readItemMeta(bytes);
  if (name === '') throw malformed('list item without a name');
  return { namespace, name, uid, resourceVersion, bytes };
}
