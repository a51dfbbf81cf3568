// What views need of a JSON object, found by walking keys: its own metadata and TypeMeta, never those of an owner
// reference or of something in its spec.
import type { ItemMeta, TypeMeta } from '../wire.ts';
import { ObjectReader, parseJson } from './object-reader.ts';
import { closeBrace, malformed, openBrace } from './value-scanner.ts';

/** Reads a whole object. Without metadata (or with null) all is ''. */
export function readItemMeta(bytes: Buffer): ItemMeta {
  const meta = { namespace: '', name: '', uid: '', resourceVersion: '' };
  const seen = new Set<string>();
  const fields = metadataOf(bytes);
  while (fields?.next() === true) {
    const { key } = fields;
    if (key !== 'name' && key !== 'namespace' && key !== 'uid' && key !== 'resourceVersion') continue;
    if (seen.has(key)) throw malformed(`metadata.${key} came twice`);
    seen.add(key);
    meta[key] = fields.string();
  }
  return meta;
}

export function readLabels(bytes: Buffer): Record<string, string> {
  const fields = metadataOf(bytes);
  while (fields?.next() === true) {
    if (fields.key !== 'labels') continue;
    const labels = parseJson(bytes.toString('utf8', fields.valueStart, fields.valueEnd));
    if (labels === null) return {};
    if (typeof labels !== 'object' || Array.isArray(labels)) throw malformed('labels are no object');
    return labels as Record<string, string>;
  }
  return {};
}

/** The same object with another metadata.resourceVersion. Throws WireError if it has no metadata. */
export function replaceResourceVersion(bytes: Buffer, resourceVersion: string): Buffer {
  const fields = metadataOf(bytes);
  if (fields === undefined) throw malformed('object without metadata');
  const text = JSON.stringify(resourceVersion);
  let firstKey: string | undefined;
  let insertAt = -1;
  while (fields.next()) {
    firstKey ??= fields.key;
    if (fields.key === 'resourceVersion')
      return Buffer.concat([bytes.subarray(0, fields.valueStart), Buffer.from(text), bytes.subarray(fields.valueEnd)]);
  }
  insertAt = metadataStart(bytes) + 1;
  const entry = Buffer.from(`"resourceVersion":${text}${firstKey === undefined ? '' : ','}`);
  return Buffer.concat([bytes.subarray(0, insertAt), entry, bytes.subarray(insertAt)]);
}

/** The same object with this annotation, or without it for undefined; `bytes` itself when nothing changes. Throws WireError without metadata. */
export function replaceAnnotation(bytes: Buffer, key: string, value: string | undefined): Buffer {
  const fields = metadataOf(bytes);
  if (fields === undefined) throw malformed('object without metadata');
  let isEmpty = true;
  while (fields.next()) {
    isEmpty = false;
    if (fields.key !== 'annotations') continue;
    const { valueStart, valueEnd } = fields;
    const present = parseJson(bytes.toString('utf8', valueStart, valueEnd)) ?? {};
    if (typeof present !== 'object' || Array.isArray(present)) throw malformed('annotations are no object');
    const { [key]: before, ...others } = present as Record<string, unknown>;
    if (before === value) return bytes;
    const text = JSON.stringify(value === undefined ? others : { ...others, [key]: value });
    return Buffer.concat([bytes.subarray(0, valueStart), Buffer.from(text), bytes.subarray(valueEnd)]);
  }
  if (value === undefined) return bytes;
  const insertAt = metadataStart(bytes) + 1;
  const entry = Buffer.from(`"annotations":${JSON.stringify({ [key]: value })}${isEmpty ? '' : ','}`);
  return Buffer.concat([bytes.subarray(0, insertAt), entry, bytes.subarray(insertAt)]);
}

/** apiVersion and kind as they stand in the object; undefined if it does not carry both. */
export function readTypeMeta(bytes: Buffer, start: number, end: number): TypeMeta | undefined {
  const fields = new ObjectReader(bytes, start, end);
  let apiVersion = '';
  let kind = '';
  while ((apiVersion === '' || kind === '') && fields.next()) {
    if (fields.key === 'apiVersion') apiVersion = fields.string();
    else if (fields.key === 'kind') kind = fields.string();
  }
  return apiVersion === '' || kind === '' ? undefined : { apiVersion, kind };
}

/**
 * The object at `[start, end)` as it would stand in a list (owned copy). Built-in kinds lose `"kind":…,"apiVersion":…,`
 * at their start, which the API server writes for single objects and events only. What comes in another shape stays
 * as it is: custom resources (keys sorted, so apiVersion first) and PartialObjectMetadata carry theirs in lists too.
 */
export function asListItem(bytes: Buffer, start: number, end: number): { typeMeta: TypeMeta; bytes: Buffer } {
  const typeMeta = readTypeMeta(bytes, start, end);
  if (typeMeta === undefined) throw malformed('object without apiVersion and kind');
  const rest = typeMeta.apiVersion.startsWith('meta.k8s.io/') ? -1 : afterPrefix(bytes, start, end);
  if (rest < 0) return { typeMeta, bytes: Buffer.from(bytes.subarray(start, end)) };
  const item = Buffer.allocUnsafe(end - rest + 1);
  item[0] = openBrace;
  bytes.copy(item, 1, rest, end);
  return { typeMeta, bytes: item };
}

/** A whole object text from an item: the TypeMeta is put in front unless the item carries its own. */
export function asObject(typeMeta: TypeMeta, bytes: Buffer): Buffer[] {
  if (readTypeMeta(bytes, 0, bytes.length) !== undefined) return [bytes];
  const separator = bytes[1] === closeBrace ? '' : ',';
  const { kind, apiVersion } = typeMeta;
  const prefix = `{"kind":${JSON.stringify(kind)},"apiVersion":${JSON.stringify(apiVersion)}${separator}`;
  return [Buffer.from(prefix), bytes.subarray(1)];
}

/** Where the text after `{"kind":…,"apiVersion":…,` begins, -1 if the object does not start so. */
function afterPrefix(bytes: Buffer, start: number, end: number): number {
  const fields = new ObjectReader(bytes, start, end);
  const nextIs = (key: string): boolean => fields.next() && fields.key === key;
  if (!nextIs('kind') || !nextIs('apiVersion')) return -1;
  const afterApiVersion = fields.valueEnd;
  return fields.next() ? bytes.indexOf(',', afterApiVersion) + 1 : bytes.indexOf('}', afterApiVersion);
}

function metadataOf(bytes: Buffer): ObjectReader | undefined {
  const start = metadataStart(bytes);
  return start < 0 ? undefined : new ObjectReader(bytes, start, bytes.length);
}

/** Where the object's own metadata begins, -1 without it. */
function metadataStart(bytes: Buffer): number {
  const fields = new ObjectReader(bytes, 0, bytes.length);
  while (fields.next()) {
    if (fields.key !== 'metadata') continue;
    return bytes[fields.valueStart] === openBrace || fields.string() !== '' ? fields.valueStart : -1;
  }
  return -1;
}
