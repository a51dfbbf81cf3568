// The few fields of metav1.ObjectMeta that views need, read and replaced without decoding the object around them.
// In every Kubernetes object field 1 is its ObjectMeta (k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto).
import type { ItemMeta } from '../wire.ts';
import { bytesField, bytesFieldHead, FieldReader, malformed, varintField } from './fields.ts';

const objectMetadata = 1;
const metaName = 1;
const metaNamespace = 3;
const metaUid = 5;
const metaResourceVersion = 6;
const metaLabels = 11;
const metaAnnotations = 12;

const noBytes = Buffer.alloc(0);

/** Reads `[start, end)` of `buffer`, a bare object. An object without metadata (a Status) gives empty strings. */
export function readItemMeta(buffer: Buffer, start: number, end: number): ItemMeta {
  const meta = { namespace: '', name: '', uid: '', resourceVersion: '' };
  const fields = metadataOf(buffer, start, end);
  while (fields?.next() === true) {
    if (fields.field === metaName) meta.name = fields.string();
    else if (fields.field === metaNamespace) meta.namespace = fields.string();
    else if (fields.field === metaUid) meta.uid = fields.string();
    else if (fields.field === metaResourceVersion) meta.resourceVersion = fields.string();
  }
  return meta;
}

export function readLabels(bytes: Buffer): Record<string, string> {
  const labels: [string, string][] = [];
  const fields = metadataOf(bytes, 0, bytes.length);
  while (fields?.next() === true) {
    if (fields.field !== metaLabels) continue;
    const entry = fields.message();
    let key = '';
    let value = '';
    while (entry.next()) {
      if (entry.field === 1) key = entry.string();
      else if (entry.field === 2) value = entry.string();
    }
    labels.push([key, value]);
  }
  return Object.fromEntries(labels);
}

/** The same object with another metadata.resourceVersion. Throws WireError if it has no metadata. */
export function replaceResourceVersion(bytes: Buffer, resourceVersion: string): Buffer {
  const object = metadataField(bytes, 0, bytes.length);
  if (object === undefined) throw malformed('object without metadata');
  const meta = object.message();
  // Without a version the field goes where Go would write it: after all fields of smaller numbers.
  let cutStart = object.valueStart;
  let cutEnd = cutStart;
  let found = false;
  while (meta.next()) {
    if (meta.field === metaResourceVersion) {
      found = true;
      cutStart = meta.fieldStart;
      cutEnd = meta.valueEnd;
    } else if (!found && meta.field < metaResourceVersion) {
      cutStart = cutEnd = meta.valueEnd;
    }
  }
  const version = bytesField(metaResourceVersion, resourceVersion);
  const length = object.valueEnd - object.valueStart - (cutEnd - cutStart) + version.length;
  return Buffer.concat([
    bytes.subarray(0, object.fieldStart),
    bytesFieldHead(objectMetadata, length),
    bytes.subarray(object.valueStart, cutStart),
    version,
    bytes.subarray(cutEnd),
  ]);
}

/** The same object with this annotation, or without it for undefined; `bytes` itself when nothing changes. Throws WireError without metadata. */
export function replaceAnnotation(bytes: Buffer, key: string, value: string | undefined): Buffer {
  const object = metadataField(bytes, 0, bytes.length);
  if (object === undefined) throw malformed('object without metadata');
  const meta = object.message();
  const kept: Buffer[] = [];
  let removed = false;
  // Where Go would write it: after all fields of smaller numbers.
  let insertAt = 0;
  while (meta.next()) {
    if (meta.field === metaAnnotations && keyOf(meta.message()) === key) {
      removed = true;
      continue;
    }
    kept.push(bytes.subarray(meta.fieldStart, meta.valueEnd));
    if (meta.field <= metaAnnotations) insertAt = kept.length;
  }
  if (value === undefined && !removed) return bytes;
  if (value !== undefined) {
    const entry = Buffer.concat([bytesField(1, key), bytesField(2, value)]);
    kept.splice(insertAt, 0, bytesField(metaAnnotations, entry));
  }
  const length = kept.reduce((sum, field) => sum + field.length, 0);
  return Buffer.concat([
    bytes.subarray(0, object.fieldStart),
    bytesFieldHead(objectMetadata, length),
    ...kept,
    bytes.subarray(object.valueEnd),
  ]);
}

/** Of an entry of a map. */
function keyOf(entry: FieldReader): string {
  let key = '';
  while (entry.next()) if (entry.field === 1) key = entry.string();
  return key;
}

/** An object of any kind that has nothing but a version and perhaps annotations, as Go writes it. */
export function metadataOnlyObject(resourceVersion: string, annotations: Readonly<Record<string, string>>): Buffer {
  const creationTimestamp = 8;
  const meta = [metaName, 2, metaNamespace, 4, metaUid].map((field) => bytesField(field, noBytes));
  meta.push(
    bytesField(metaResourceVersion, resourceVersion),
    varintField(7, 0),
    bytesField(creationTimestamp, noBytes),
  );
  for (const [key, value] of Object.entries(annotations))
    meta.push(bytesField(metaAnnotations, Buffer.concat([bytesField(1, key), bytesField(2, value)])));
  return bytesField(objectMetadata, Buffer.concat(meta));
}

function metadataOf(buffer: Buffer, start: number, end: number): FieldReader | undefined {
  return metadataField(buffer, start, end)?.message();
}

/** A reader that stands on the metadata field. All fields are walked, so that broken framing after it is found too. */
function metadataField(buffer: Buffer, start: number, end: number): FieldReader | undefined {
  const fields = new FieldReader(buffer, start, end);
  let found = -1;
  while (fields.next()) {
    if (fields.field !== objectMetadata) continue;
    fields.expectBytes();
    if (found >= 0) throw malformed('object with two metadata');
    found = fields.fieldStart;
  }
  if (found < 0) return undefined;
  const at = new FieldReader(buffer, found, end);
  at.next();
  return at;
}
