// Replies to TokenRequests, kept so that a node that reboots without the cloud can mount the tokens of its pods: the kubelet
// holds them in memory only. They are given out past their stated expiry too: with the API server's default
// --service-account-extend-token-expiration they are good for much longer, and to give none keeps the pod from starting.
import { createHash } from 'node:crypto';
import { headerValue } from '../../runtime/headers.ts';
import type { ResourceRequest } from '../../kube/request-info.ts';
import type { KubeObject } from '../../kube/wire.ts';
import type { HubRequest, HubResponse, Store, UpstreamReply } from '../types.ts';
import type { WriteMetrics } from './metrics.ts';
import { readObject, sendWireObject, valuesOf } from './request-object.ts';

const prefix = 'token/';

/** The part of yurthub/at-rest/seal.ts that is needed here. */
export interface Sealing {
  seal(plain: Buffer, context: string): Buffer;
  open(sealed: Buffer, context: string): Buffer;
}

export interface SavedTokensParts {
  readonly store: Store;
  readonly seal: Sealing;
  readonly metrics: WriteMetrics;
}

/** Record: the wall time of saving (8 bytes, milliseconds, big endian) · the sealed `<content type>\n<body>`. */
const timeBytes = 8;

export class SavedTokens {
  readonly #parts: SavedTokensParts;
  readonly #maxCount: number;
  /** Store keys, the one saved longest ago first. */
  #keys = new Set<string>();

  constructor(parts: SavedTokensParts, settings: { maxCount: number }) {
    this.#parts = parts;
    this.#maxCount = settings.maxCount;
  }

  get size(): number {
    return this.#keys.size;
  }

  async load(): Promise<void> {
    const saved: { key: string; at: bigint }[] = [];
    for await (const [key, value] of this.#parts.store.entries(prefix))
      if (value.length > timeBytes) saved.push({ key, at: value.readBigUInt64BE(0) });
    saved.sort((a, b) => Number(a.at - b.at));
    this.#keys = new Set(saved.map(({ key }) => key));
    this.#parts.metrics.savedTokens.set(this.#keys.size);
  }

  /** On disk when it resolves. Rejects with StoreWriteError. */
  async keep(
    request: HubRequest,
    info: ResourceRequest,
    body: Buffer,
    reply: UpstreamReply,
    nowMs: number,
  ): Promise<void> {
    if (reply.statusCode !== 201 && reply.statusCode !== 200) return;
    const key = keyOf(request, info, body);
    const contentType = headerValue(reply.headers, 'content-type') ?? 'application/json';
    const time = Buffer.alloc(timeBytes);
    // A clock before 1970 must not keep a token from being saved.
    time.writeBigUInt64BE(BigInt(Math.max(0, Math.trunc(nowMs))));
    const sealed = this.#parts.seal.seal(Buffer.concat([Buffer.from(`${contentType}\n`), reply.body]), key);
    const others = [...this.#keys].filter((other) => other !== key);
    const excess = others.slice(0, Math.max(0, others.length + 1 - this.#maxCount));
    await this.#parts.store.write(
      [
        { type: 'put', key, value: Buffer.concat([time, sealed]) },
        ...excess.map((old) => ({ type: 'del', key: old }) as const),
      ],
      'synced',
    );
    for (const old of [key, ...excess]) this.#keys.delete(old);
    this.#keys.add(key);
    this.#parts.metrics.savedTokens.set(this.#keys.size);
  }

  /** False when none was saved for this pod, audience and lifetime. Rejects with SealError for a record of another key. */
  async answer(request: HubRequest, response: HubResponse, info: ResourceRequest, body: Buffer): Promise<boolean> {
    const key = keyOf(request, info, body);
    const record = await this.#parts.store.get(key);
    if (record === undefined) return false;
    const plain = this.#parts.seal.open(record.subarray(timeBytes), key);
    const end = plain.indexOf(10);
    sendWireObject(request, response, 201, readObject(plain.subarray(end + 1), plain.toString('latin1', 0, end)));
    return true;
  }
}

/** A token stands for one pod (by uid), its audiences and its lifetime; for another pod of the same name it is worthless. */
function keyOf(request: HubRequest, info: ResourceRequest, body: Buffer): string {
  const object = valuesOf(readObject(body, headerValue(request.headers, 'content-type')));
  const spec = (object['spec'] ?? {}) as KubeObject;
  const audiences = Array.isArray(spec['audiences']) ? (spec['audiences'] as unknown[]) : [];
  const bound = (spec['boundObjectRef'] ?? {}) as KubeObject;
  const parts = [
    info.namespace,
    info.name,
    audiences.map(String).toSorted(),
    [bound['kind'] ?? '', bound['name'] ?? '', bound['uid'] ?? ''],
    spec['expirationSeconds'] ?? null,
  ];
  return `${prefix}${createHash('sha256').update(JSON.stringify(parts)).digest('base64url')}`;
}
