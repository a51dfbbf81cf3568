// Kubernetes protobuf as the hub reads and writes it: by scanning, with bytes equal to what Go's encoder writes.
import { framedList } from '../framed-list.ts';
import { decodeObject, encodeObject } from '../schema/transcode.ts';
import { initialEventsEndAnnotation } from '../watch-event-type.ts';
import type { KubeObject, ListFrame, ListHead, TypeMeta, WatchEventType, Wire } from '../wire.ts';
import { typeMetaOf } from '../type-meta.ts';
import { closeEnvelope, envelopeHead, envelopeTail, openEnvelope } from './envelope.ts';
import { bytesField, bytesFieldHead, bytesFieldHeadLength, varintField } from './fields.ts';
import { ProtobufListScanner } from './list-scanner.ts';
import {
  metadataOnlyObject,
  readItemMeta,
  readLabels,
  replaceResourceVersion,
  replaceAnnotation,
} from './object-meta.ts';
import { frameHeadBytes, ProtobufWatchScanner } from './watch-scanner.ts';

export const protobufWire: Wire = {
  encoding: 'protobuf',
  contentType: 'application/vnd.kubernetes.protobuf',
  watchContentType: 'application/vnd.kubernetes.protobuf;stream=watch',

  listScanner: (limits) => new ProtobufListScanner(limits),
  watchScanner: (limits) => new ProtobufWatchScanner(limits),

  list: (head, items) =>
    framedList(
      listFrame(
        head,
        items.map(({ length }) => length),
      ),
      items,
    ),
  listFrame,
  object: closeEnvelope,
  scanObject(body) {
    const { typeMeta, rawStart, rawEnd } = openEnvelope(body, 0, body.length);
    const bytes = Buffer.from(body.subarray(rawStart, rawEnd));
    const { namespace, name, uid, resourceVersion } = readItemMeta(bytes, 0, bytes.length);
    return { typeMeta, item: { namespace, name, uid, resourceVersion, bytes } };
  },
  frame: watchFrame,
  bookmark(typeMeta, resourceVersion, initialEventsEnd) {
    const annotations = initialEventsEnd ? { [initialEventsEndAnnotation]: 'true' } : {};
    return watchFrame('BOOKMARK', typeMeta, metadataOnlyObject(resourceVersion, annotations));
  },
  errorFrame(status) {
    const typeMeta = typeMetaOf(status);
    return watchFrame('ERROR', typeMeta, encodeObject(typeMeta, status));
  },
  body(object: KubeObject) {
    const typeMeta = typeMetaOf(object);
    return closeEnvelope(typeMeta, encodeObject(typeMeta, object));
  },

  meta: (bytes) => readItemMeta(bytes, 0, bytes.length),
  labels: readLabels,
  withResourceVersion: replaceResourceVersion,
  withAnnotation: replaceAnnotation,
  decode: decodeObject,
  encode: encodeObject,
};

function listFrame(head: ListHead, lengths: Iterable<number>): ListFrame {
  const meta = [bytesField(1, ''), bytesField(2, head.resourceVersion), bytesField(3, head.continue)];
  if (head.remainingItemCount !== undefined) meta.push(varintField(4, head.remainingItemCount));
  const metadata = bytesField(1, Buffer.concat(meta));
  let rawLength = metadata.length;
  for (const length of lengths) rawLength += bytesFieldHeadLength(2, length) + length;
  const start = Buffer.concat([envelopeHead(head, rawLength), metadata]);
  return {
    contentLength: start.length - metadata.length + rawLength + envelopeTail.length,
    start,
    before: (length) => bytesFieldHead(2, length),
    end: envelopeTail,
  };
}

function watchFrame(type: WatchEventType, typeMeta: TypeMeta, bytes: Buffer): Buffer {
  const objectHead = envelopeHead(typeMeta, bytes.length);
  const objectLength = objectHead.length + bytes.length + envelopeTail.length;
  const extensionHead = bytesFieldHead(1, objectLength);
  const typeField = bytesField(1, type);
  const objectField = bytesFieldHead(2, extensionHead.length + objectLength);
  const length = Buffer.allocUnsafe(frameHeadBytes);
  length.writeUInt32BE(typeField.length + objectField.length + extensionHead.length + objectLength);
  return Buffer.concat([length, typeField, objectField, extensionHead, objectHead, bytes, envelopeTail]);
}
