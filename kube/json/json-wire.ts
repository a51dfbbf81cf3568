// Kubernetes JSON as the hub reads and writes it: by scanning, in the two shapes that the API server writes
// (built-in kinds in Go's field order, custom resources with sorted keys).
import { framedList } from '../framed-list.ts';
import { isBuiltIn, typeMetaOf } from '../type-meta.ts';
import { initialEventsEndAnnotation } from '../watch-event-type.ts';
import type { KubeObject, ListFrame, ListHead, TypeMeta, WatchEventType, Wire } from '../wire.ts';
import { JsonListScanner } from './list-scanner.ts';
import {
  asListItem,
  asObject,
  readItemMeta,
  readLabels,
  replaceResourceVersion,
  replaceAnnotation,
} from './object-meta.ts';
import { ObjectReader, parseJson } from './object-reader.ts';
import { malformed } from './value-scanner.ts';
import { JsonWatchScanner } from './watch-scanner.ts';

const lineBreak: Buffer = Buffer.from('\n');
const nothing = Buffer.alloc(0);
const comma = Buffer.from(',');
/** How a custom resource begins: unstructured objects are written with sorted keys. */
const sortedStart = Buffer.from('{"apiVersion":');

export const jsonWire: Wire = {
  encoding: 'json',
  contentType: 'application/json',
  watchContentType: 'application/json',

  listScanner: (limits) => new JsonListScanner(limits),
  watchScanner: (limits) => new JsonWatchScanner(limits),

  list: (head, items) =>
    framedList(
      listFrame(
        head,
        items.map(({ length }) => length),
        items[0],
      ),
      items,
    ),
  listFrame,
  object: (typeMeta, bytes) => Buffer.concat([...asObject(typeMeta, bytes), lineBreak]),
  scanObject(body) {
    new ObjectReader(body, 0, body.length).finish();
    const { typeMeta, bytes } = asListItem(body, body.indexOf('{'), body.lastIndexOf('}') + 1);
    const { namespace, name, uid, resourceVersion } = readItemMeta(bytes);
    return { typeMeta, item: { namespace, name, uid, resourceVersion, bytes } };
  },
  frame: watchFrame,
  bookmark(typeMeta, resourceVersion, initialEventsEnd) {
    const annotations = initialEventsEnd ? { annotations: { [initialEventsEndAnnotation]: 'true' } } : {};
    const object = { metadata: { resourceVersion, ...annotations } };
    return watchFrame('BOOKMARK', typeMeta, Buffer.from(JSON.stringify(object)));
  },
  errorFrame: (status) => watchFrame('ERROR', typeMetaOf(status), Buffer.from(JSON.stringify(status))),
  body: (object) => Buffer.from(`${JSON.stringify(object)}\n`),

  meta: readItemMeta,
  labels: readLabels,
  withResourceVersion: replaceResourceVersion,
  withAnnotation: replaceAnnotation,
  decode(typeMeta, bytes) {
    const object = parseJson(bytes.toString());
    if (typeof object !== 'object' || object === null || Array.isArray(object)) throw malformed('no object');
    return { kind: typeMeta.kind, apiVersion: typeMeta.apiVersion, ...object };
  },
  encode(typeMeta, object) {
    const { apiVersion: _apiVersion, kind: _kind, ...bare } = object;
    const { apiVersion, kind } = typeMeta;
    const whole: KubeObject = isBuiltIn(typeMeta) ? bare : { apiVersion, kind, ...bare };
    return Buffer.from(JSON.stringify(whole));
  },
};

function listFrame(head: ListHead, lengths: Iterable<number>, first: Buffer | undefined): ListFrame {
  const sorted = first?.subarray(0, sortedStart.length).equals(sortedStart) === true;
  const kind = JSON.stringify(head.kind);
  const apiVersion = JSON.stringify(head.apiVersion);
  const { resourceVersion, remainingItemCount } = head;
  const remaining = remainingItemCount === undefined ? {} : { remainingItemCount };
  const metadata = JSON.stringify(
    sorted
      ? { continue: head.continue, ...remaining, resourceVersion }
      : {
          ...(resourceVersion === '' ? {} : { resourceVersion }),
          ...(head.continue === '' ? {} : { continue: head.continue }),
          ...remaining,
        },
  );
  const start = sorted
    ? `{"apiVersion":${apiVersion},`
    : `{"kind":${kind},"apiVersion":${apiVersion},"metadata":${metadata},`;
  const begin = Buffer.from(`${start}"items":[`);
  const end = Buffer.from(sorted ? `],"kind":${kind},"metadata":${metadata}}\n` : ']}\n');
  let contentLength = begin.length + end.length;
  let count = 0;
  for (const length of lengths) contentLength += length + (count++ === 0 ? 0 : comma.length);
  return { contentLength, start: begin, before: (_length, index) => (index === 0 ? nothing : comma), end };
}

function watchFrame(type: WatchEventType, typeMeta: TypeMeta, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`{"type":"${type}","object":`), ...asObject(typeMeta, bytes), Buffer.from('}\n')]);
}
