// Cuts a protobuf list into items while it arrives. One state machine over bytes, so that any chunking gives the same
// result; the content of a field is taken in one piece where it lies whole in a chunk, and gathered otherwise.
import { WireError } from '../errors.ts';
import { tooLarge } from '../held-bytes.ts';
import type { Item, ListHead, ListScanner, TypeMeta } from '../wire.ts';
import { magic, readTypeMeta, unknownRaw, unknownTypeMeta } from './envelope.ts';
import {
  FieldReader,
  fieldOfTag,
  malformed,
  maxVarintBytes,
  wireBytes,
  wireFixed32,
  wireFixed64,
  wireVarint,
} from './fields.ts';
import { readItemMeta } from './object-meta.ts';

const listMetadata = 1;
const listItems = 2;

/** What the next byte is: of the magic, of a tag, of a length, of a number to skip, or of a field's content. */
type Expecting = 'magic' | 'tag' | 'length' | 'number' | 'content';

export class ProtobufListScanner implements ListScanner {
  readonly #maxItemBytes: number;
  #expecting: Expecting = 'magic';
  /** Bytes consumed so far, of the whole body. */
  #offset = 0;
  /** Where Unknown.raw ends, -1 before it began; inside it fields are the list's, else the envelope's. */
  #rawEnd = -1;
  #inRaw = false;

  #varint = 0;
  #varintScale = 1;
  #varintBytes = 0;

  #field = 0;
  /** Bytes of the current field's content still to come. */
  #remaining = 0;
  /** The current field's content if it has to be gathered over chunks; undefined while it is skipped. */
  #content: Buffer | undefined;
  #keep = false;

  #typeMeta: TypeMeta | undefined;
  #listMeta: Omit<ListHead, keyof TypeMeta> | undefined;

  constructor(limits: { maxItemBytes: number }) {
    this.#maxItemBytes = limits.maxItemBytes;
  }

  push(chunk: Buffer): Item[] {
    const items: Item[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#expecting === 'content') {
        const taken = Math.min(this.#remaining, chunk.length - at);
        this.#takeContent(chunk, at, taken, items);
        at += taken;
      } else {
        this.#takeByte(chunk[at] ?? 0, items);
        at++;
      }
    }
    return items;
  }

  end(): ListHead {
    if (this.#expecting !== 'tag' || this.#varintBytes > 0 || this.#inRaw || this.#rawEnd < 0)
      throw new WireError('ERR_WIRE_TRUNCATED', `protobuf: list ended after ${this.#offset} bytes`);
    if (this.#typeMeta === undefined || this.#listMeta === undefined) throw malformed('list without type or metadata');
    return { ...this.#typeMeta, ...this.#listMeta };
  }

  #takeByte(byte: number, items: Item[]): void {
    this.#offset++;
    if (this.#expecting === 'magic') {
      if (byte !== magic[this.#offset - 1]) throw malformed('no k8s\\0 at the start');
      if (this.#offset === magic.length) this.#expecting = 'tag';
      return;
    }
    const value = this.#feedVarint(byte);
    if (this.#inRaw && this.#offset >= this.#rawEnd && value === undefined)
      throw malformed('field reaches beyond the list');
    if (value === undefined) return;
    if (this.#expecting === 'tag') this.#startField(value, items);
    else if (this.#expecting === 'length') this.#startContent(value, items);
    else this.#endField();
  }

  /** The whole varint with its last byte, undefined before. */
  #feedVarint(byte: number): number | undefined {
    this.#varint += (byte & 0x7f) * this.#varintScale;
    this.#varintBytes++;
    if (byte >= 0x80) {
      if (this.#varintBytes >= maxVarintBytes) throw malformed('varint without end');
      this.#varintScale *= 128;
      return undefined;
    }
    const value = this.#varint;
    this.#varint = 0;
    this.#varintScale = 1;
    this.#varintBytes = 0;
    return value;
  }

  #startField(tag: number, items: Item[]): void {
    this.#field = fieldOfTag(tag);
    const wireType = tag % 8;
    const known = this.#inRaw
      ? this.#field === listMetadata || this.#field === listItems
      : this.#field === unknownTypeMeta || this.#field === unknownRaw;
    if (known && wireType !== wireBytes) throw malformed(`field ${this.#field} has wire type ${wireType}`);
    if (this.#inRaw && this.#offset >= this.#rawEnd) throw malformed('field reaches beyond the list');
    this.#keep = known;
    if (wireType === wireBytes) {
      this.#expecting = 'length';
    } else if (wireType === wireVarint) {
      this.#expecting = 'number';
    } else if (wireType === wireFixed64 || wireType === wireFixed32) {
      this.#startContent(wireType === wireFixed64 ? 8 : 4, items);
    } else {
      throw malformed(`wire type ${wireType}`);
    }
  }

  #startContent(length: number, items: Item[]): void {
    if (this.#inRaw && this.#offset + length > this.#rawEnd) throw malformed('field reaches beyond the list');
    if (!this.#inRaw && this.#field === unknownRaw) {
      if (this.#rawEnd >= 0) throw malformed('two objects in one envelope');
      if (this.#typeMeta !== undefined) expectList(this.#typeMeta);
      this.#rawEnd = this.#offset + length;
      this.#inRaw = true;
      this.#endField();
      return;
    }
    if (this.#keep && length > this.#maxItemBytes) throw tooLarge(length, this.#maxItemBytes);
    this.#remaining = length;
    this.#expecting = 'content';
    if (length === 0) this.#finish(Buffer.alloc(0), items);
  }

  #takeContent(chunk: Buffer, start: number, length: number, items: Item[]): void {
    const whole = this.#content === undefined && length === this.#remaining;
    if (this.#keep && !whole) {
      // The content's size is known, so it is gathered straight into the buffer that the item will own.
      this.#content ??= Buffer.allocUnsafeSlow(this.#remaining);
      chunk.copy(this.#content, this.#content.length - this.#remaining, start, start + length);
    }
    this.#offset += length;
    this.#remaining -= length;
    if (this.#remaining > 0) return;
    const content = this.#content ?? (this.#keep ? chunk.subarray(start, start + length) : undefined);
    this.#content = undefined;
    this.#finish(content, items);
  }

  #finish(content: Buffer | undefined, items: Item[]): void {
    if (this.#keep && content !== undefined) {
      if (!this.#inRaw) {
        this.#typeMeta = readTypeMeta(new FieldReader(content, 0, content.length));
        expectList(this.#typeMeta);
      } else if (this.#field === listMetadata) {
        this.#listMeta = readListMeta(content);
      } else {
        items.push(readItem(content));
      }
    }
    this.#endField();
  }

  #endField(): void {
    this.#expecting = 'tag';
    if (this.#inRaw && this.#offset === this.#rawEnd) this.#inRaw = false;
  }
}

/** An object that is no list would otherwise pass for one: field 2 of a Pod is its spec. */
function expectList(typeMeta: TypeMeta): void {
  if (!typeMeta.kind.endsWith('List')) throw malformed(`a ${typeMeta.kind} is no list`);
}

function readListMeta(content: Buffer): Omit<ListHead, keyof TypeMeta> {
  const fields = new FieldReader(content, 0, content.length);
  let resourceVersion = '';
  let continueToken = '';
  let remainingItemCount: number | undefined;
  while (fields.next()) {
    if (fields.field === 2) resourceVersion = fields.string();
    else if (fields.field === 3) continueToken = fields.string();
    else if (fields.field === 4) remainingItemCount = fields.number();
  }
  return { resourceVersion, continue: continueToken, remainingItemCount };
}

function readItem(bytes: Buffer): Item {
  const { namespace, name, uid, resourceVersion } = readItemMeta(bytes, 0, bytes.length);
  if (name === '') throw malformed('list item without a name');
  return { namespace, name, uid, resourceVersion, bytes };
}
