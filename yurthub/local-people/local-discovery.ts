// Sees to it that what kubectl asks before it can ask anything (which kinds there are, and for `explain` their fields) is kept before
// anybody on the node has asked for it: the first time may be during an outage.
import { createHash } from 'node:crypto';
import { delay, type Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { requestInfo } from '../../kube/request-info.ts';
import type { SingleObjects } from '../single-objects.ts';
import type { HubRequest, Store, Uplink } from '../types.ts';

export interface LocalDiscoveryParts {
  readonly uplink: Pick<Uplink, 'stream'>;
  readonly singles: Pick<SingleObjects, 'keep'>;
  readonly store: Pick<Store, 'get' | 'write'>;
  readonly clock: Clock;
  readonly log: Log;
  /** In [0, 1): hubs that come back together do not ask for this together. */
  readonly random: () => number;
}

export interface LocalDiscoverySettings {
  readonly nodeName: string;
  readonly userAgent: string;
}

const aggregated =
  'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json';
/** As kubectl 1.34 asks, with its Accept headers: 10 KB on the wire. The last one names the hashes of the documents. */
const always = [
  { path: '/api', accept: aggregated },
  { path: '/apis', accept: aggregated },
  { path: '/version', accept: 'application/json, */*' },
  { path: '/openapi/v3', accept: 'application/json, */*' },
] as const;
/** The fields of what runs on a node. 200 KB on the wire, so only when they have changed: with the cluster's version. */
const documents = ['api/v1', 'apis/apps/v1'] as const;

const maxBodyBytes = 4 << 20;
const recordKey = 'discovery/documents';
/** Of the first time in a process, and of later ones. */
const firstSpreadMs = 2_000;
const laterSpreadMs = 60_000;
const refreshEveryMs = 3_600_000;

export class LocalDiscovery {
  readonly #parts: LocalDiscoveryParts;
  readonly #settings: LocalDiscoverySettings;
  #lastMs: number | undefined;
  #refreshing: Promise<void> | undefined;

  constructor(parts: LocalDiscoveryParts, settings: LocalDiscoverySettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** To be called when the cloud is back, a start included. Never rejects: what failed is tried again the next time. */
  refresh(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    const isRecent = this.#lastMs !== undefined && clock.monotonicMs() - this.#lastMs < refreshEveryMs;
    if (!isRecent) this.#refreshing ??= this.#refresh(signal).finally(() => void (this.#refreshing = undefined));
    return this.#refreshing ?? Promise.resolve();
  }

  async #refresh(signal: AbortSignal): Promise<void> {
    const { clock, log, random } = this.#parts;
    await delay(clock, random() * (this.#lastMs === undefined ? firstSpreadMs : laterSpreadMs), signal);
    try {
      let index: Buffer | undefined;
      for (const { path, accept } of always) index = await this.#keep(path, accept, signal);
      if (index !== undefined) await this.#documents(index, signal);
      this.#lastMs = clock.monotonicMs();
      log.info('discovery is kept for kubectl on this node');
    } catch (error) {
      if (!signal.aborted) log.info('discovery is not kept for kubectl on this node yet', { error: String(error) });
    }
  }

  async #documents(index: Buffer, signal: AbortSignal): Promise<void> {
    const { store } = this.#parts;
    const { paths = {} } = JSON.parse(index.toString()) as { paths?: Record<string, { serverRelativeURL: string }> };
    const wanted = documents.flatMap((path) => paths[path]?.serverRelativeURL ?? []);
    const version = createHash('sha256').update(wanted.join('\n')).digest();
    if ((await store.get(recordKey))?.equals(version) === true) return;
    for (const target of wanted) await this.#keep(target, 'application/json', signal);
    await store.write([{ type: 'put', key: recordKey, value: version }], 'written');
  }

  /** Undefined when the API server has no such thing. */
  async #keep(target: string, accept: string, signal: AbortSignal): Promise<Buffer | undefined> {
    const { uplink, singles } = this.#parts;
    const { nodeName, userAgent } = this.#settings;
    const request = {
      method: 'GET',
      target,
      headers: { accept, 'user-agent': userAgent },
      lane: 'node',
      signal,
    } as const;
    // As a stream, because that comes compressed.
    const { statusCode, headers, body } = await uplink.stream(request);
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body) {
      bytes += chunk.length;
      if (bytes > maxBodyBytes) throw new Error(`${target} is larger than ${maxBodyBytes} bytes`);
      chunks.push(Buffer.from(chunk));
    }
    if (statusCode !== 200) return undefined;
    const captured = Buffer.concat(chunks);
    const asked: HubRequest = {
      ...request,
      info: requestInfo('GET', target),
      identity: { kind: 'node', nodeName },
      body: null,
      readBody: () => Promise.resolve(Buffer.alloc(0)),
    };
    await singles.keep(asked, { statusCode, headers, captured });
    return captured;
  }
}
