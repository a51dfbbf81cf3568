// The envelope around every protobuf object: the magic k8s\0 and a runtime.Unknown
// (k8s.io/apimachinery/pkg/runtime/generated.proto): 1 typeMeta, 2 raw, 3 contentEncoding, 4 contentType.
import type { TypeMeta } from '../wire.ts';
import { bytesField, bytesFieldHead, FieldReader, malformed } from './fields.ts';

export const magic = Buffer.from('k8s\0', 'latin1');
export const unknownTypeMeta = 1;
export const unknownRaw = 2;
const unknownContentEncoding = 3;
const unknownContentType = 4;

/** What Go writes after raw: the two empty strings. */
export const envelopeTail: Buffer = Buffer.concat([
  bytesField(unknownContentEncoding, ''),
  bytesField(unknownContentType, ''),
]);

export interface Envelope {
  readonly typeMeta: TypeMeta;
  /** Where the bare message lies in the buffer. */
  readonly rawStart: number;
  readonly rawEnd: number;
}

/** Opens the envelope that fills `[start, end)`. Throws WireError if it is none. */
export function openEnvelope(buffer: Buffer, start: number, end: number): Envelope {
  if (end - start < magic.length || buffer.compare(magic, 0, magic.length, start, start + magic.length) !== 0)
    throw malformed('no k8s\\0 at the start');
  const fields = new FieldReader(buffer, start + magic.length, end);
  let typeMeta: TypeMeta | undefined;
  let rawStart = -1;
  let rawEnd = -1;
  while (fields.next()) {
    if (fields.field === unknownTypeMeta) {
      typeMeta = readTypeMeta(fields.message());
    } else if (fields.field === unknownRaw) {
      fields.expectBytes();
      if (rawStart >= 0) throw malformed('two objects in one envelope');
      rawStart = fields.valueStart;
      rawEnd = fields.valueEnd;
    }
  }
  if (typeMeta === undefined || rawStart < 0) throw malformed('envelope without type or object');
  return { typeMeta, rawStart, rawEnd };
}

export function readTypeMeta(fields: FieldReader): TypeMeta {
  let apiVersion = '';
  let kind = '';
  while (fields.next()) {
    if (fields.field === 1) apiVersion = fields.string();
    else if (fields.field === 2) kind = fields.string();
  }
  return { apiVersion, kind };
}

/** What stands before a message of `rawLength` bytes; `envelopeTail` stands after it. */
export function envelopeHead(typeMeta: TypeMeta, rawLength: number): Buffer {
  const fields = Buffer.concat([bytesField(1, typeMeta.apiVersion), bytesField(2, typeMeta.kind)]);
  return Buffer.concat([magic, bytesField(unknownTypeMeta, fields), bytesFieldHead(unknownRaw, rawLength)]);
}

export function closeEnvelope(typeMeta: TypeMeta, raw: Buffer): Buffer {
  return Buffer.concat([envelopeHead(typeMeta, raw.length), raw, envelopeTail]);
}
