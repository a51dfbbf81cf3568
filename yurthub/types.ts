// The contracts between the hub's parts. Each part is written against these, and tested against what stands behind them.
import type { Readable } from 'node:stream';
import type { ResourceRequest, RequestInfo } from '../kube/request-info.ts';
import type { Item, TypeMeta, Wire } from '../kube/wire.ts';

// ---------------------------------------------------------------------------------------------------------------
// Who asks, and for what

/**
 * Who a local client is. `node`: the kubelet's certificate or the root-only local credential. `bearer`: a token, passed on;
 * with `account` once it has been verified, and only for service accounts that views are kept for. `localReader`: a person
 * on the node with the local kubeconfig, who reads less than the node does (local-people/local-reader.ts).
 */
export type Identity =
  | { readonly kind: 'node'; readonly nodeName: string; readonly localReader?: true }
  | { readonly kind: 'bearer'; readonly account?: { readonly username: string; readonly uid: string } };

/** Header names in lower case, no pseudo headers, no hop-by-hop headers. */
export type Headers = Readonly<Record<string, string | readonly string[]>>;

/** One request of a local client, the same for HTTP/1.1 and HTTP/2. */
export interface HubRequest {
  readonly method: string;
  /** Path and query as they came. */
  readonly target: string;
  readonly headers: Headers;
  readonly info: RequestInfo;
  readonly identity: Identity;
  /** Null for methods without a body. To be consumed once, by `readBody` or by forwarding. */
  readonly body: Readable | null;
  /** The whole body. Rejects with BodyTooLargeError beyond `maxBytes`. Forwarding afterwards sends what was read. */
  readBody(maxBytes: number): Promise<Buffer>;
  /** Aborts when the client has left. */
  readonly signal: AbortSignal;
  /** The same at less cost than a signal; undefined where only the signal is known. */
  readonly client?: Presence;
}

/** Whether someone still waits for an answer. */
export interface Presence {
  readonly left: boolean;
  /** Calls back once; returns the way to stop that. */
  onLeave(listener: () => void): () => void;
}

/** The answer to one request. Every request ends by exactly one of `end` and `abort`. */
export interface HubResponse {
  readonly headSent: boolean;
  /** An interim answer (1xx), before the head. */
  interim(statusCode: number, headers: Headers): void;
  head(statusCode: number, headers: Headers): void;
  /** False when the client is slower than the sender: see `queuedBytes` and `onDrain`. The buffer must not change later. */
  write(chunk: Buffer): boolean;
  readonly queuedBytes: number;
  onDrain(listener: () => void): void;
  end(chunk?: Buffer, trailers?: Headers): void;
  /** Ends so that the client sees a failure and never a complete answer (RST_STREAM, or the socket destroyed). */
  abort(): void;
}

// ---------------------------------------------------------------------------------------------------------------
// The cloud

export interface CloudState {
  readonly reachable: boolean;
  /** Wall time of the last change, milliseconds. */
  readonly sinceMs: number;
}

/** Which credential a request carries upstream: the node's certificate, or none of ours (the client's token does it). */
export type Lane = 'node' | 'bearer';

export interface UpstreamRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: Headers;
  readonly body?: Buffer;
  readonly lane: Lane;
  readonly signal: AbortSignal;
}

export interface UpstreamReply {
  readonly statusCode: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

export interface UpstreamStream {
  readonly statusCode: number;
  readonly headers: Headers;
  /**
   * Decoded (never gzip). Ends cleanly, or throws CloudUnreachableError when the connection is lost. A piece is good until the next
   * is asked for: who keeps some of it copies that.
   */
  readonly body: AsyncIterable<Buffer>;
}

/** Hears an answer as it was sent, before it is decoded. */
export interface StreamTap {
  head(statusCode: number, headers: Headers): void;
  /** The stream goes on when the promise has resolved. */
  chunk(bytes: Buffer): Promise<void>;
  /** Whether it is done with all the chunks that it was given. */
  readonly settled: boolean;
}

export interface ForwardOutcome {
  readonly statusCode: number;
  readonly headers: Headers;
  /** The decoded body, if it was asked for by `captureBytes`, fitted, and arrived whole. */
  readonly captured: Buffer | undefined;
}

/** The way to the API servers: connections, credentials, and the knowledge whether they can be reached. */
export interface Uplink {
  readonly cloud: CloudState;
  /** Calls back on every change; returns the way to stop that. Listeners must not throw. */
  onCloudChange(listener: (state: CloudState) => void): () => void;
  /**
   * Passes one request through, streaming both ways. Rejects with CloudUnreachableError when no answer can be had and
   * nothing has been written to `response` (the caller then answers itself). Once a head was sent, a lost upstream
   * aborts `response` and resolves. A 502/503/504 without a Kubernetes Status counts as unreachable.
   */
  forward(request: HubRequest, response: HubResponse, options?: { captureBytes?: number }): Promise<ForwardOutcome>;
  /** A whole small exchange. Rejects with CloudUnreachableError; any HTTP status is a reply. */
  fetch(request: UpstreamRequest, options: { maxBodyBytes: number }): Promise<UpstreamReply>;
  /** A long or large answer as a stream, on a connection that shares: lists and watches of reflectors. */
  stream(request: UpstreamRequest, tap?: StreamTap): Promise<UpstreamStream>;
}

// ---------------------------------------------------------------------------------------------------------------
// The store

export type StoreOp =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string };

/** `synced`: on disk before the promise resolves (fdatasync). `written`: handed to the kernel, survives kill -9. */
export type Durability = 'synced' | 'written';

export type StoreRow = readonly [key: string, value: Buffer];

/** One of many objects in a segment, and where it is: for `Segment.read`. */
export interface SegmentEntry {
  readonly at: number;
  readonly bytes: Buffer;
}

/** Many objects that were written together and never change. */
export interface Segment {
  /** What was appended there, read into the first bytes of `into` or into a new buffer. Rejects with StoreReadError. */
  read(at: number, bytes: number, into?: Buffer): Promise<Buffer>;
  /** All, in order, many at a time and checked; their bytes hold until the next are asked for. Throws on damage. */
  entries(): AsyncIterable<readonly SegmentEntry[]>;
  /** Keeps it readable after `close`, until what is returned is called. */
  hold(): () => void;
  close(): Promise<void>;
}

export interface SegmentWriter {
  /** Undefined when so many bytes can be appended at once; else resolves when they can. Rejects with StoreWriteError. */
  room(bytes: number): Promise<void> | undefined;
  /** Copies the bytes and returns where they will be. */
  append(bytes: Buffer): number;
  /** All of it is on disk when it resolves. Rejects with StoreWriteError; then, as in place of it, `abandon` has to be called. */
  finish(): Promise<Segment>;
  abandon(): Promise<void>;
}

/** Beside the records: each segment has the name of the view that it belongs to, and means nothing without that view's record. */
export interface Segments {
  /** In the place of an earlier one of this name. Rejects with StoreWriteError. */
  create(name: string): Promise<SegmentWriter>;
  /** Rejects with StoreReadError, or with another error when it is not there. */
  open(name: string): Promise<Segment>;
  /** Whoever reads it can go on. Rejects with StoreWriteError. */
  remove(name: string): Promise<void>;
  /** Removes those that are neither named nor in use. */
  retain(names: Iterable<string>): Promise<void>;
}

export interface Store {
  readonly segments: Segments;
  get(key: string): Promise<Buffer | undefined>;
  /** Keys that start with `prefix`, in order, with values. A consistent snapshot. */
  entries(prefix: string): AsyncIterable<StoreRow>;
  /** The same, many at a time: for thousands of them, which would each cost a turn. */
  batches(prefix: string): AsyncIterable<readonly StoreRow[]>;
  /** Keys that start with `prefix` and are not below `from`, in order. */
  keys(prefix: string, from?: string): AsyncIterable<string>;
  /**
   * Atomic, in the order of the calls. Group commit without a timer: calls made while a batch is being written are the
   * next batch; a batch is synced if any of its calls asks for it.
   */
  write(ops: readonly StoreOp[], durability: Durability): Promise<void>;
  deletePrefix(prefix: string): Promise<void>;
}

// ---------------------------------------------------------------------------------------------------------------
// Views

/** Which collection, as whom, in which encoding. Selectors as the client wrote them, '' when absent. */
export interface ViewKey {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly namespace: string;
  readonly labelSelector: string;
  readonly fieldSelector: string;
  readonly encoding: 'protobuf' | 'json';
  /**
   * Kept for service accounts, filled with the token of one that may read it. The node's own views lack this: they are
   * filled with its certificate, and no view that a token has filled is ever shown to the node.
   */
  readonly forAccounts?: true;
}

export interface StoredObject {
  readonly wire: Wire;
  readonly typeMeta: TypeMeta;
  readonly item: Item;
}

/** What the offline write path needs to know of the views. */
export interface ViewReader {
  /** The object as the cloud last gave it (no overlay, no filter), from any view that holds it. */
  stored(
    request: Pick<ResourceRequest, 'group' | 'version' | 'resource' | 'namespace' | 'name'>,
  ): Promise<StoredObject | undefined>;
  /** Tells local watchers that this object looks different now: overlay set, replaced or removed. */
  localChange(request: Pick<ResourceRequest, 'group' | 'version' | 'resource' | 'namespace' | 'name'>): Promise<void>;
}

/** What local readers see in place of what the cloud said: set by the offline write path, read by the views. */
export interface Overlay {
  /** False for resources whose objects never have an overlay. */
  concerns(group: string, resource: string): boolean;
  /** The bytes to show instead of `item`'s, in the same encoding; undefined when there is no overlay for it (or its uid differs). */
  lookup(group: string, resource: string, item: Item, encoding: 'protobuf' | 'json'): Buffer | undefined;
}
