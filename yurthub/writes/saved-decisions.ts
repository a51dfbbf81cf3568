// The last real answers to TokenReviews and SubjectAccessReviews, by which the kubelet decides who may use its own port.
// Of a review only the decision is kept, under a hash of what was asked: a token never reaches the disk.
import { createHash } from 'node:crypto';
import { headerValue } from '../../runtime/headers.ts';
import type { ResourceRequest } from '../../kube/request-info.ts';
import type { HubRequest, HubResponse, Store, UpstreamReply } from '../types.ts';
import type { WriteMetrics } from './metrics.ts';
import { readObject, sendObject, valuesOf } from './request-object.ts';

const prefix = 'review/';

export class SavedDecisions {
  readonly #store: Store;
  readonly #metrics: WriteMetrics;
  readonly #maxCount: number;
  /** Store key to the decision as JSON, the one used longest ago first. */
  readonly #decisions = new Map<string, string>();

  constructor(parts: { store: Store; metrics: WriteMetrics }, settings: { maxCount: number }) {
    this.#store = parts.store;
    this.#metrics = parts.metrics;
    this.#maxCount = settings.maxCount;
  }

  async load(): Promise<void> {
    for await (const [key, value] of this.#store.entries(prefix)) this.#decisions.set(key, value.toString());
    this.#metrics.savedDecisions.set(this.#decisions.size);
  }

  /** May reject with StoreWriteError. */
  async keep(request: HubRequest, info: ResourceRequest, body: Buffer, reply: UpstreamReply): Promise<void> {
    if (reply.statusCode !== 201 && reply.statusCode !== 200) return;
    const key = keyOf(info, askedIn(request, body));
    const answered = valuesOf(readObject(reply.body, headerValue(reply.headers, 'content-type')));
    const decision = JSON.stringify(answered['status'] ?? {});
    const known = this.#decisions.get(key);
    // Asked again and again by the same few clients: only what is new is written, but all count as used.
    this.#decisions.delete(key);
    this.#decisions.set(key, decision);
    if (known === decision) return;
    const excess = [...this.#decisions.keys()].slice(0, Math.max(0, this.#decisions.size - this.#maxCount));
    for (const old of excess) this.#decisions.delete(old);
    this.#metrics.savedDecisions.set(this.#decisions.size);
    await this.#store.write(
      [
        { type: 'put', key, value: Buffer.from(decision) },
        ...excess.map((old) => ({ type: 'del', key: old }) as const),
      ],
      'written',
    );
  }

  /** False when this was never asked while the cloud was there. */
  answer(request: HubRequest, response: HubResponse, info: ResourceRequest, body: Buffer): boolean {
    const asked = askedIn(request, body);
    const decision = this.#decisions.get(keyOf(info, asked));
    if (decision === undefined) return false;
    sendObject(request, response, 201, { ...asked, status: JSON.parse(decision) as unknown });
    return true;
  }
}

function askedIn(request: HubRequest, body: Buffer): Record<string, unknown> {
  return valuesOf(readObject(body, headerValue(request.headers, 'content-type')));
}

function keyOf(info: ResourceRequest, asked: Record<string, unknown>): string {
  const spec = JSON.stringify(asked['spec'] ?? {}, sortedKeys);
  return `${prefix}${info.resource}/${createHash('sha256').update(spec).digest('base64url')}`;
}

/** Protobuf and JSON give the same fields in different order. */
function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}
