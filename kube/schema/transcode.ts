// Objects between protobuf and plain JSON values, by the schema table: what Go's generated Unmarshal with encoding/json, and
// encoding/json with the generated Marshal, would give. Used where an object is changed, selected by a field, or asked for in
// the other encoding; everything else stays bytes.
import { WireError } from '../errors.ts';
import type { KubeObject, TypeMeta } from '../wire.ts';
import { BackwardWriter, ProtobufReader, wireType } from './protobuf-bytes.ts';
import * as scalars from './scalars.ts';
import { type FieldSchema, schemaOfKind, schemaOfType, type TypeSchema } from './table.ts';

/**
 * `bytes` is the bare message, without envelope. `kind` and `apiVersion` come first, then the fields in the order of the Go
 * struct. Throws UnknownKindError, and WireError on bytes that are no such message.
 */
export function decodeObject(typeMeta: TypeMeta, bytes: Buffer): KubeObject {
  const out: KubeObject = { kind: typeMeta.kind, apiVersion: typeMeta.apiVersion };
  decodeInto(out, schemaOfKind(typeMeta), new ProtobufReader(bytes));
  return out;
}

/**
 * The bare message, byte by byte as Go writes it. Fields that the type does not have are left out, as Go's decoder does.
 * Throws UnknownKindError, and WireError on a value of the wrong type.
 */
export function encodeObject(typeMeta: TypeMeta, object: KubeObject): Buffer {
  const writer = new BackwardWriter();
  encodeMessage(writer, schemaOfKind(typeMeta), object);
  return writer.finish();
}

// Decoding

function decodeInto(out: KubeObject, schema: TypeSchema, reader: ProtobufReader): void {
  const values: unknown[] = [];
  while (reader.more) {
    const tag = reader.unsigned();
    const field = schema.byNumber.get(Math.floor(tag / 8));
    if (field === undefined) reader.skip(tag & 7);
    else decodeField(values, field, tag & 7, reader);
  }
  for (const field of schema.fields) {
    const value = values[field.index];
    if (field.name === '') {
      if (value !== undefined) Object.assign(out, value);
      else if (!field.pointer) Object.assign(out, zeroOf(field));
    } else if (!isOmitted(field, value)) out[field.name] = value === undefined ? zeroOf(field) : value;
  }
}

function decodeField(values: unknown[], field: FieldSchema, type: number, reader: ProtobufReader): void {
  if (field.map) {
    const entries = (values[field.index] ??= {}) as KubeObject;
    decodeMapEntry(entries, field, reader);
  } else if (field.repeated) {
    const items = (values[field.index] ??= []) as unknown[];
    if (type === wireType.bytes && (field.letter === 'i' || field.letter === 'l')) {
      nested(reader, (packed) => {
        while (packed.more) items.push(decodeValue(field, wireType.varint, packed));
      });
    } else items.push(decodeValue(field, type, reader));
  } else values[field.index] = decodeValue(field, type, reader);
}

function decodeMapEntry(entries: KubeObject, field: FieldSchema, reader: ProtobufReader): void {
  let key = '';
  let value: unknown;
  nested(reader, (entry) => {
    while (entry.more) {
      const tag = entry.unsigned();
      if (tag === 10) key = entry.string();
      else if (Math.floor(tag / 8) === 2) value = decodeValue(field, tag & 7, entry);
      else entry.skip(tag & 7);
    }
  });
  value ??= field.letter === 'L' ? [] : field.letter === 'b' ? '' : zeroValue(field);
  // A plain assignment to this key would set the prototype and lose the entry.
  if (key === '__proto__')
    Object.defineProperty(entries, key, { value, enumerable: true, writable: true, configurable: true });
  else entries[key] = value;
}

/** One value of the field's letter; `type` is the wire type that its tag gave. */
function decodeValue(field: FieldSchema, type: number, reader: ProtobufReader): unknown {
  const expected = wireTypeOf(field);
  if (type !== expected) throw new WireError('ERR_WIRE_MALFORMED', `field ${field.name} has wire type ${type}`);
  switch (field.letter) {
    case 'B':
      return reader.int64() !== 0;
    case 'i':
      return scalars.int32(reader.int64());
    case 'l':
      return scalars.int64ToJson(reader.int64());
    case 'd':
      return reader.double();
    case 's':
      return reader.string();
    case 'b': {
      const start = reader.span();
      return reader.bytes.toString('base64', start, reader.at);
    }
    case 'M':
      return nested(reader, (message) => {
        const out: KubeObject = {};
        decodeInto(out, schemaOfType(field.typeName), message);
        return out;
      });
    case 'L':
      return nested(reader, decodeStrings);
    case 'T':
      return nested(reader, scalars.decodeTime);
    case 'U':
      return nested(reader, scalars.decodeMicroTime);
    case 'D':
      return nested(reader, scalars.decodeDuration);
    case 'Q':
      return nested(reader, scalars.decodeQuantity);
    case 'I':
      return nested(reader, scalars.decodeIntOrString);
    case 'V':
    case 'R':
      return nested(reader, scalars.decodeRawJson);
  }
}

function decodeStrings(reader: ProtobufReader): string[] {
  const items: string[] = [];
  while (reader.more) {
    const tag = reader.unsigned();
    if (tag === 10) items.push(reader.string());
    else reader.skip(tag & 7);
  }
  return items;
}

/** Reads a length-delimited part with the same reader, narrowed to it. */
function nested<T>(reader: ProtobufReader, read: (part: ProtobufReader) => T): T {
  const start = reader.span();
  const { at: behind, end } = reader;
  reader.at = start;
  reader.end = behind;
  const value = read(reader);
  reader.at = behind;
  reader.end = end;
  return value;
}

function wireTypeOf(field: FieldSchema): number {
  switch (field.letter) {
    case 'B':
    case 'i':
    case 'l':
      return wireType.varint;
    case 'd':
      return wireType.fixed64;
    case 's':
    case 'b':
    case 'M':
    case 'L':
    case 'T':
    case 'U':
    case 'D':
    case 'V':
    case 'Q':
    case 'I':
    case 'R':
      return wireType.bytes;
  }
}

/** Whether encoding/json leaves the field out: omitempty knows no empty structs, omitzero does. */
function isOmitted(field: FieldSchema, value: unknown): boolean {
  if (value === undefined && (field.pointer || field.repeated || field.map)) return field.omitEmpty;
  if (field.omitZero && (value === undefined || value === null)) return true;
  if (!field.omitEmpty || field.pointer || field.repeated || field.map) return false;
  switch (field.letter) {
    case 's':
    case 'b':
    case 'i':
    case 'l':
    case 'd':
    case 'B':
      return value === undefined || value === '' || value === 0 || value === false;
    case 'L':
      return value === undefined || (value as unknown[]).length === 0;
    case 'M':
    case 'T':
    case 'U':
    case 'D':
    case 'V':
    case 'Q':
    case 'I':
    case 'R':
      return false;
  }
}

/** What encoding/json writes for a field that was not on the wire. */
function zeroOf(field: FieldSchema): unknown {
  return field.pointer || field.repeated || field.map ? null : zeroValue(field);
}

function zeroValue(field: FieldSchema): unknown {
  switch (field.letter) {
    case 's':
      return '';
    case 'B':
      return false;
    case 'i':
    case 'l':
    case 'd':
    case 'I':
      return 0;
    case 'Q':
      return '0';
    case 'D':
      return '0s';
    case 'M': {
      const out: KubeObject = {};
      decodeInto(out, schemaOfType(field.typeName), new ProtobufReader(Buffer.alloc(0)));
      return out;
    }
    case 'b':
    case 'L':
    case 'T':
    case 'U':
    case 'V':
    case 'R':
      return null;
  }
}

// Encoding: from the last field to the first, each value before its tag.

function encodeMessage(writer: BackwardWriter, schema: TypeSchema, object: Readonly<KubeObject>): void {
  for (const field of schema.descending) {
    const value = field.name === '' ? object : object[field.name];
    if (field.map) {
      if (isPresent(value)) encodeMap(writer, field, asObject(field, value));
    } else if (field.repeated) {
      if (!isPresent(value)) continue;
      if (!Array.isArray(value)) throw mismatch(field, 'an array', value);
      for (let at = value.length - 1; at >= 0; at -= 1) encodeValue(writer, field, field.number, value[at]);
    } else if (isPresent(value) || isAlwaysWritten(field)) encodeValue(writer, field, field.number, value);
  }
}

/** Go writes the zero value of everything that is neither a pointer nor a slice. */
function isAlwaysWritten(field: FieldSchema): boolean {
  return !field.pointer && field.letter !== 'b' && field.letter !== 'L';
}

function encodeMap(writer: BackwardWriter, field: FieldSchema, entries: Readonly<KubeObject>): void {
  const keys = Object.keys(entries).toSorted(compareUtf8);
  for (const key of keys.toReversed()) {
    const value = entries[key];
    const before = writer.length;
    if (isPresent(value) || field.letter !== 'b') encodeValue(writer, field, 2, value);
    writer.string(key);
    writer.tag(1, wireType.bytes);
    closeMessage(writer, field.number, before);
  }
}

function encodeValue(writer: BackwardWriter, field: FieldSchema, number: number, value: unknown): void {
  const before = writer.length;
  switch (field.letter) {
    case 'B':
      if (isPresent(value) && typeof value !== 'boolean') throw mismatch(field, 'a boolean', value);
      writer.byte(value === true ? 1 : 0);
      writer.tag(number, wireType.varint);
      return;
    case 'i':
    case 'l':
      writer.int64(scalars.int64FromJson(value));
      writer.tag(number, wireType.varint);
      return;
    case 'd':
      if (isPresent(value) && typeof value !== 'number') throw mismatch(field, 'a number', value);
      writer.double(value ?? 0);
      writer.tag(number, wireType.fixed64);
      return;
    case 's':
      if (isPresent(value) && typeof value !== 'string') throw mismatch(field, 'a string', value);
      writer.string(value ?? '');
      writer.tag(number, wireType.bytes);
      return;
    case 'b':
      if (isPresent(value) && typeof value !== 'string') throw mismatch(field, 'base64', value);
      writer.bytes(Buffer.from(value ?? '', 'base64'));
      writer.tag(number, wireType.bytes);
      return;
    case 'M':
      encodeMessage(writer, schemaOfType(field.typeName), isPresent(value) ? asObject(field, value) : {});
      break;
    case 'L':
      if (isPresent(value)) encodeStrings(writer, field, value);
      break;
    case 'T':
      scalars.encodeTime(writer, value, false);
      break;
    case 'U':
      scalars.encodeTime(writer, value, true);
      break;
    case 'D':
      scalars.encodeDuration(writer, value);
      break;
    case 'Q':
      scalars.encodeQuantity(writer, value);
      break;
    case 'I':
      scalars.encodeIntOrString(writer, value);
      break;
    case 'V':
    case 'R':
      scalars.encodeRawJson(writer, value);
      break;
  }
  closeMessage(writer, number, before);
}

/** Puts length and tag before the message that began when the writer held `before` bytes. */
function closeMessage(writer: BackwardWriter, number: number, before: number): void {
  writer.unsigned(writer.length - before);
  writer.tag(number, wireType.bytes);
}

function encodeStrings(writer: BackwardWriter, field: FieldSchema, value: unknown): void {
  if (!Array.isArray(value)) throw mismatch(field, 'an array', value);
  for (const item of value.toReversed() as unknown[]) {
    if (typeof item !== 'string') throw mismatch(field, 'a string', item);
    writer.string(item);
    writer.tag(1, wireType.bytes);
  }
}

function isPresent<T>(value: T): value is NonNullable<T> {
  return value !== undefined && value !== null;
}

function asObject(field: FieldSchema, value: unknown): KubeObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw mismatch(field, 'an object', value);
  return value as KubeObject;
}

function mismatch(field: FieldSchema, expected: string, value: unknown): WireError {
  return new WireError('ERR_WIRE_MALFORMED', `field ${field.name}: ${expected} expected, not ${typeof value}`);
}

/** Go sorts map keys by their UTF-8 bytes, which is code point order; JavaScript compares UTF-16 units. */
function compareUtf8(a: string, b: string): number {
  for (let at = 0; at < a.length && at < b.length; at += 1) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left === right) continue;
    const leftSurrogate = left >= 0xd800 && left <= 0xdfff;
    const rightSurrogate = right >= 0xd800 && right <= 0xdfff;
    return leftSurrogate === rightSurrogate ? left - right : leftSurrogate ? 1 : -1;
  }
  return a.length - b.length;
}
