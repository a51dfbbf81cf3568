// Events while the cloud is out of reach: accepted into the spool, to be delivered later with their own timestamps.
import { isJsonObject } from '../../kube/patch/json-value.ts';
import { applyJsonMergePatch } from '../../kube/patch/json-merge-patch.ts';
import type { ResourceRequest } from '../../kube/request-info.ts';
import type { KubeObject } from '../../kube/wire.ts';
import { headerValue } from '../../runtime/headers.ts';
import type { HubRequest, HubResponse } from '../types.ts';
import type { EventSpool, SpooledWrite } from './event-spool.ts';
import type { WriteMetrics } from './metrics.ts';
import { needsCloud, parsePatch, readObject, sendObject, sendWireObject, valuesOf } from './request-object.ts';
import { patched, patchTypeOf, type PatchType } from './status-patch.ts';

export class EventWrites {
  readonly #spool: EventSpool;
  readonly #metrics: WriteMetrics;

  constructor(spool: EventSpool, metrics: WriteMetrics) {
    this.#spool = spool;
    this.#metrics = metrics;
  }

  /** Whether this patch is of an event that the cloud does not have yet, because it waits in the spool. */
  belongsToSpool(info: ResourceRequest): boolean {
    return info.verb === 'patch' && this.#spool.holds(idOf(info, info.name));
  }

  /** Throws RefusedError: 503 when the spool is full, 400 for a body that is no event or no patch. */
  async answer(request: HubRequest, response: HubResponse, info: ResourceRequest, body: Buffer): Promise<void> {
    if (info.verb === 'patch') await this.#patch(request, response, info, body);
    else await this.#create(request, response, info, body);
  }

  async #create(request: HubRequest, response: HubResponse, info: ResourceRequest, body: Buffer): Promise<void> {
    const contentType = headerValue(request.headers, 'content-type') ?? 'application/json';
    const event = readObject(body, contentType);
    if (event.item.name === '') throw needsCloud('only it can make up a name');
    const id = idOf(info, event.item.name);
    const { target } = request;
    if (!(await this.#spool.add({ method: 'POST', target, contentType, id, body }))) throw this.#full();
    sendWireObject(request, response, 201, event);
  }

  async #patch(request: HubRequest, response: HubResponse, info: ResourceRequest, body: Buffer): Promise<void> {
    const contentType = headerValue(request.headers, 'content-type') ?? '';
    const type = patchTypeOf(contentType);
    if (type === undefined) throw needsCloud('no other applies this kind of patch');
    const patch = parsePatch(body);
    const id = idOf(info, info.name);
    let answer: KubeObject = {};
    const stored = await this.#spool.change(id, (present) => {
      if (present?.method === 'POST') {
        const changed = patchedWrite(present, type, patch);
        answer = changed.object;
        return changed.write;
      }
      // Merging two patches keeps their nulls, which say what is to be removed.
      const before = present?.contentType === contentType ? parsePatch(present.body) : {};
      const whole = combinePatches(before, patch) as KubeObject;
      answer = applyJsonMergePatch(bareEvent(info), whole) as KubeObject;
      const { target } = request;
      return { method: 'PATCH', target, contentType, id, body: Buffer.from(JSON.stringify(whole)) };
    });
    if (!stored) throw this.#full();
    sendObject(request, response, 200, answer);
  }

  #full(): Error {
    this.#metrics.eventsRefused.inc();
    return needsCloud('the spool for events is full');
  }
}

/** A spooled creation with a patch applied to it, in the encoding that it had. */
function patchedWrite(
  write: SpooledWrite,
  type: PatchType,
  patch: KubeObject,
): { write: SpooledWrite; object: KubeObject } {
  const event = readObject(write.body, write.contentType);
  const object = patched(type, event.typeMeta, valuesOf(event), patch);
  return { object, write: { ...write, body: event.wire.body(object) } };
}

function bareEvent(info: ResourceRequest): KubeObject {
  const apiVersion = info.group === '' ? info.version : `${info.group}/${info.version}`;
  return { kind: 'Event', apiVersion, metadata: { name: info.name, namespace: info.namespace } };
}

function combinePatches(first: unknown, second: unknown): unknown {
  if (!isJsonObject(first) || !isJsonObject(second)) return second;
  const combined: KubeObject = { ...first };
  for (const [key, value] of Object.entries(second)) combined[key] = combinePatches(first[key], value);
  return combined;
}

function idOf(info: ResourceRequest, name: string): string {
  return `${info.group}/${info.namespace}/${name}`;
}
