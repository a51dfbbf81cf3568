// The far ends of the write path for its tests: a cloud that answers as told, views that hold what they are given, and a
// client. Store, seal and encodings are the real ones.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { requestInfo, type ResourceRequest } from '../../kube/request-info.ts';
import type { Encoding, KubeObject, TypeMeta } from '../../kube/wire.ts';
import { wireFor } from '../../kube/wires.ts';
import { systemClock } from '../../runtime/clock.ts';
import { nullLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { CloudUnreachableError } from '../errors.ts';
import { Seal } from '../at-rest/seal.ts';
import { openStore, type OpenedStore } from '../store/level-store.ts';
import type {
  CloudState,
  ForwardOutcome,
  Headers,
  HubRequest,
  HubResponse,
  StoredObject,
  Uplink,
  UpstreamReply,
  UpstreamRequest,
  UpstreamStream,
  ViewReader,
} from '../types.ts';
import type { LeaseAnnotation } from './annotated-lease.ts';
import { OfflineWrites, type OfflineWritesSettings } from './offline-writes.ts';

export class FakeCloud implements Uplink {
  cloud: CloudState = { reachable: true, sinceMs: 0 };
  readonly requests: UpstreamRequest[] = [];
  /** To be set by the test; throw CloudUnreachableError for a connection that is lost. */
  answer: (request: UpstreamRequest) => UpstreamReply | Promise<UpstreamReply> = () => json(200, {});
  readonly #listeners = new Set<(state: CloudState) => void>();

  set reachable(reachable: boolean) {
    this.cloud = { reachable, sinceMs: 0 };
    for (const listener of this.#listeners) listener(this.cloud);
  }

  onCloudChange(listener: (state: CloudState) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async fetch(request: UpstreamRequest): Promise<UpstreamReply> {
    if (!this.cloud.reachable) throw new CloudUnreachableError('cut', { sent: false });
    this.requests.push(request);
    return await this.answer(request);
  }

  forward(): Promise<ForwardOutcome> {
    throw new TypeError('not used by the write path');
  }

  stream(): Promise<UpstreamStream> {
    throw new TypeError('not used by the write path');
  }
}

export class FakeViews implements ViewReader {
  readonly objects = new Map<string, StoredObject>();
  readonly changes: string[] = [];

  set(resource: string, typeMeta: TypeMeta, object: KubeObject, encoding: Encoding = 'protobuf'): StoredObject {
    const wire = wireFor(encoding);
    const bytes = wire.encode(typeMeta, object);
    const { item } = wire.scanObject(wire.object(typeMeta, bytes));
    const stored = { wire, typeMeta, item };
    this.objects.set(`${resource}/${item.namespace}/${item.name}`, stored);
    return stored;
  }

  async stored(of: { resource: string; namespace: string; name: string }): Promise<StoredObject | undefined> {
    return await Promise.resolve(this.objects.get(`${of.resource}/${of.namespace}/${of.name}`));
  }

  async localChange(of: { resource: string; name: string }): Promise<void> {
    this.changes.push(await Promise.resolve(`${of.resource}/${of.name}`));
  }
}

export interface Answer {
  readonly statusCode: number;
  readonly headers: Headers;
  readonly body: Buffer;
  readonly object: KubeObject;
}

export interface Sent {
  readonly method: string;
  readonly target: string;
  readonly body?: Buffer | KubeObject;
  readonly contentType?: string;
  readonly accept?: string;
}

export const strategic = 'application/strategic-merge-patch+json';
export const protobuf = 'application/vnd.kubernetes.protobuf';

/** One hub's write path on a store folder of its own, which outlives `restart`. */
export class WritesBench {
  readonly cloud = new FakeCloud();
  readonly views = new FakeViews();
  readonly clock = new ManualClock();
  leaseAnnotation: LeaseAnnotation | undefined;
  report: string | undefined;
  metrics = new Metrics();
  store!: OpenedStore;
  writes!: OfflineWrites;
  readonly #folder: string;
  readonly #settings: Partial<OfflineWritesSettings>;

  private constructor(folder: string, settings: Partial<OfflineWritesSettings>) {
    this.#folder = folder;
    this.#settings = settings;
  }

  static async start(settings: Partial<OfflineWritesSettings> = {}): Promise<WritesBench> {
    const bench = new WritesBench(await mkdtemp(path.join(tmpdir(), 'holdfast-writes-')), settings);
    await bench.#open();
    return bench;
  }

  async restart(): Promise<void> {
    await this.store.close();
    await this.#open();
  }

  async close(): Promise<void> {
    await this.store.close();
    await rm(this.#folder, { recursive: true });
  }

  async #open(): Promise<void> {
    this.metrics = new Metrics();
    const { cloud: uplink, views, clock, metrics } = this;
    const ofStore = { log: nullLog, metrics: new Metrics(), clock: systemClock };
    this.store = await openStore(ofStore, { directory: path.join(this.#folder, 'store'), maxBytes: 1 << 30 });
    const seal = await Seal.open({ file: path.join(this.#folder, 'store.key'), makeIfMissing: true });
    this.writes = new OfflineWrites(
      {
        store: this.store,
        seal,
        uplink,
        views,
        log: nullLog,
        metrics,
        clock,
        leaseAnnotation: () => this.leaseAnnotation,
        report: () => this.report,
      },
      {
        nodeName: 'edge1',
        eventSpoolMaxCount: 100,
        eventSpoolMaxBytes: 1 << 20,
        maxBodyBytes: 1 << 20,
        ...this.#settings,
      },
    );
    await this.writes.load();
  }

  async send(sent: Sent): Promise<Answer> {
    return await exchange(this.writes, sent);
  }

  /** A metric's value: `name` or `name{label="value"}`. */
  async metric(name: string): Promise<number | undefined> {
    const line = (await this.metrics.text()).split('\n').find((candidate) => candidate.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.slice(name.length + 1));
  }

  /** Everything in the store, as one text: to look for what must not be there. */
  async storeText(): Promise<string> {
    const parts: string[] = [];
    for await (const [key, value] of this.store.entries('')) parts.push(key, value.toString('latin1'));
    return parts.join('\n');
  }

  /** The object as local readers see it. */
  shown(resource: string, name: string): KubeObject {
    const stored = [...this.views.objects].find(
      ([key]) => key.startsWith(`${resource}/`) && key.endsWith(`/${name}`),
    )?.[1];
    if (stored === undefined) throw new TypeError(`no ${resource} ${name}`);
    const { wire, typeMeta, item } = stored;
    const bytes = this.writes.overlay.lookup('', resource, item, wire.encoding) ?? item.bytes;
    return wire.decode(typeMeta, bytes);
  }
}

export async function exchange(writes: OfflineWrites, sent: Sent): Promise<Answer> {
  const { method, target } = sent;
  const contentType = sent.contentType ?? (method === 'PATCH' ? strategic : 'application/json');
  const body =
    sent.body === undefined || Buffer.isBuffer(sent.body) ? sent.body : Buffer.from(JSON.stringify(sent.body));
  const request: HubRequest = {
    method,
    target,
    headers: { 'content-type': contentType, ...(sent.accept === undefined ? {} : { accept: sent.accept }) },
    info: requestInfo(method, target),
    identity: { kind: 'node', nodeName: 'edge1' },
    body: body === undefined ? null : Readable.from([body]),
    readBody: async () => await Promise.resolve(body ?? Buffer.alloc(0)),
    signal: new AbortController().signal,
  };
  let statusCode = 0;
  let headers: Headers = {};
  const chunks: Buffer[] = [];
  const ended = Promise.withResolvers<void>();
  const response: HubResponse = {
    get headSent() {
      return statusCode !== 0;
    },
    interim: () => undefined,
    head(code, given) {
      statusCode = code;
      headers = given;
    },
    write: (chunk) => chunks.push(chunk) > 0,
    queuedBytes: 0,
    onDrain: () => undefined,
    end(chunk) {
      if (chunk !== undefined) chunks.push(chunk);
      ended.resolve();
    },
    abort: () => ended.reject(new Error('aborted')),
  };
  await Promise.all([writes.handle(request, response), ended.promise]);
  const whole = Buffer.concat(chunks);
  const wire = wireFor(headers['content-type'] === protobuf ? 'protobuf' : 'json');
  const { typeMeta, item } = wire.scanObject(whole);
  return { statusCode, headers, body: whole, object: wire.decode(typeMeta, item.bytes) };
}

export function resource(method: string, target: string): ResourceRequest {
  const info = requestInfo(method, target);
  if (!info.isResource) throw new TypeError(`${target} is no resource`);
  return info;
}

export function json(statusCode: number, object: KubeObject, headers: Headers = {}): UpstreamReply {
  return {
    statusCode,
    headers: { 'content-type': 'application/json', ...headers },
    body: Buffer.from(JSON.stringify(object)),
  };
}

/** Waits until `condition` holds; `between` may let time pass. The test's own timeout bounds it. */
export async function until(condition: () => boolean | Promise<boolean>, between?: () => void): Promise<void> {
  while (!(await condition())) {
    between?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
