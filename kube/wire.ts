// What the hub needs to know of an encoding, as one interface with two implementations (protobuf and JSON).
// Objects stay bytes: a list is cut into items by scanning, and put together again by concatenation.

export type Encoding = 'protobuf' | 'json';

/** The part of an object's metadata that views need. `namespace` is '' for cluster-scoped objects. */
export interface ItemMeta {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
}

/** Kubernetes' TypeMeta: apiVersion as in 'apps/v1', kind as in 'Deployment'. */
export interface TypeMeta {
  readonly apiVersion: string;
  readonly kind: string;
}

/**
 * One object without its envelope, as it stands in a list: for protobuf the bare message, for JSON the object text
 * (built-in kinds without apiVersion and kind, as the API server writes list items; custom resources as they came).
 * `bytes` of a list's item may be a view of the chunk that it came with: who keeps it copies it.
 */
export interface Item extends ItemMeta {
  readonly bytes: Buffer;
}

/** What a list says of itself. `kind` is the list's, as in 'PodList'. */
export interface ListHead extends TypeMeta {
  readonly resourceVersion: string;
  readonly continue: string;
  readonly remainingItemCount: number | undefined;
}

/** Cuts one list body into items as its chunks arrive; holds at most one object plus one chunk. */
export interface ListScanner {
  /** Items that became complete with this chunk. Throws WireError on bytes that are no list. */
  push(chunk: Buffer): Item[];
  /** To be called at the end of the body. Throws WireError if the list ended early. */
  end(): ListHead;
}

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';

/** One watch event. `frame` is the whole frame as it came (owned copy), ready to be sent to another client. */
export interface WatchFrame {
  readonly type: WatchEventType;
  readonly typeMeta: TypeMeta;
  /** For ERROR the item is the Status: name and version are ''. */
  readonly item: Item;
  readonly frame: Buffer;
}

/** Cuts a watch stream into frames as chunks arrive. */
export interface WatchScanner {
  /** Throws WireError on a frame that is malformed or larger than the bound given at creation. */
  push(chunk: Buffer): WatchFrame[];
  /** Bytes of an unfinished frame that are held at present. */
  readonly heldBytes: number;
}

/** A decoded object: plain JSON values as encoding/json of the Go type would give. */
export type KubeObject = { [key: string]: unknown };

/** A list body is `start`, then `before` and the bytes of each item, then `end`. */
export interface ListFrame {
  readonly contentLength: number;
  readonly start: Buffer;
  before(length: number, index: number): Buffer;
  readonly end: Buffer;
}

export interface Wire {
  readonly encoding: Encoding;
  /** Content-Type of a list or an object. */
  readonly contentType: string;
  /** Content-Type of a watch stream. */
  readonly watchContentType: string;

  listScanner(limits: { maxItemBytes: number }): ListScanner;
  watchScanner(limits: { maxFrameBytes: number }): WatchScanner;

  /** The parts of a list body, to be read once and written one after the other; their lengths add up to `contentLength`. */
  list(head: ListHead, items: readonly Buffer[]): { contentLength: number; parts: Iterable<Buffer> };
  /** What stands around the items of a list whose lengths are known and whose bytes are written as they come, `first` first. */
  listFrame(head: ListHead, lengths: Iterable<number>, first: Buffer | undefined): ListFrame;
  /** A whole object body from an item's bytes. */
  object(typeMeta: TypeMeta, bytes: Buffer): Buffer;
  /** The item in a whole object body. */
  scanObject(body: Buffer): { typeMeta: TypeMeta; item: Item };
  /** A watch frame around an item's bytes. */
  frame(type: Exclude<WatchEventType, 'BOOKMARK' | 'ERROR'>, typeMeta: TypeMeta, bytes: Buffer): Buffer;
  /** A BOOKMARK frame; with `initialEventsEnd` it carries the annotation that ends a watch-list's first part. */
  bookmark(typeMeta: TypeMeta, resourceVersion: string, initialEventsEnd: boolean): Buffer;
  /** An ERROR frame around a Status. */
  errorFrame(status: KubeObject): Buffer;
  /** A Status (or any other built-in object) as a response body. Takes and gives apiVersion and kind. */
  body(object: KubeObject): Buffer;

  /** Names, uid and version of an item, without decoding it. */
  meta(bytes: Buffer): ItemMeta;
  /** metadata.labels, without decoding the object. */
  labels(bytes: Buffer): Record<string, string>;
  /** The same item with another metadata.resourceVersion; all other bytes stay. */
  withResourceVersion(bytes: Buffer, resourceVersion: string): Buffer;
  /** The same item with metadata.annotations[key], or without it for undefined; all other bytes stay. */
  withAnnotation(bytes: Buffer, key: string, value: string | undefined): Buffer;
  /** Full decode and encode. Protobuf needs the kind in the schema table and throws UnknownKindError otherwise. */
  decode(typeMeta: TypeMeta, bytes: Buffer): KubeObject;
  encode(typeMeta: TypeMeta, object: KubeObject): Buffer;
}
