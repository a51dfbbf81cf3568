// Status of nodes and pods, written while the cloud is out of reach; and the way back, on which the overlay goes first:
// the kubelet's patches are differences against what it was shown, so it has to see the cloud's object (Ready=Unknown) to
// report itself again. Only pods that have finished are reported by the hub, since the kubelet may hold them no more, and
// a Job whose pod seems to be running would run again.
import { headerValue } from '../../runtime/headers.ts';
import type { Log } from '../../runtime/log.ts';
import type { ResourceRequest } from '../../kube/request-info.ts';
import { failure } from '../../kube/status.ts';
import { CloudUnreachableError } from '../errors.ts';
import type { KubeObject, TypeMeta } from '../../kube/wire.ts';
import { wireFor } from '../../kube/wires.ts';
import { WireError } from '../../kube/errors.ts';
import type { HubRequest, HubResponse, Store, Uplink, UpstreamReply, ViewReader } from '../types.ts';
import type { FinishedPodOutcome, WriteMetrics } from './metrics.ts';
import { needsCloud, parsePatch, readObject, RefusedError, sendObject, valuesOf } from './request-object.ts';
import { Serial } from './serial.ts';
import { type OverlayEntry, StatusOverlay, typeMetaOf } from './status-overlay.ts';
import {
  checkPreconditions,
  finishedPodPatch,
  isFinished,
  localStatusOf,
  metadataOf,
  patched,
  patchTypeOf,
  withLocalStatus,
} from './status-patch.ts';

export interface StatusWritesParts {
  readonly store: Store;
  readonly uplink: Uplink;
  readonly views: ViewReader;
  readonly log: Log;
  readonly metrics: WriteMetrics;
}

export class StatusWrites {
  readonly overlay: StatusOverlay;
  readonly #parts: StatusWritesParts;
  readonly #maxBodyBytes: number;
  /** A write and the way back do not overlap: a write that came between would stay in the overlay for good. */
  readonly #serial = new Serial();

  constructor(parts: StatusWritesParts, settings: { maxBodyBytes: number }) {
    this.#parts = parts;
    this.#maxBodyBytes = settings.maxBodyBytes;
    this.overlay = new StatusOverlay(parts);
  }

  /** Whether finished pods still wait to be reported: `beginReturn` was stopped by an error of the API server. */
  get unreported(): boolean {
    return this.overlay.entries().some((entry) => entry.arrivedAs === undefined && isFinishedPod(entry));
  }

  /** Applies a status write to what local readers see, and answers it. Throws RefusedError. */
  async answer(request: HubRequest, response: HubResponse, info: ResourceRequest, body: Buffer): Promise<void> {
    const { views, uplink } = this.#parts;
    const { resource, namespace, name } = info;
    const object = { group: '', version: 'v1', resource, namespace, name };
    const result = await this.#serial.run(async () => {
      if (uplink.cloud.reachable)
        throw new RefusedError(failure('ServiceUnavailable', 'holdfast: the cloud is back; send it again', 1));
      const stored = await views.stored(object);
      if (stored === undefined) throw needsCloud(`${resource} "${name}" is not kept on this node`);
      const { wire, typeMeta, item } = stored;
      const cloud = wire.decode(typeMeta, item.bytes);
      const before = this.overlay.entryFor(resource, item);
      const present = before === undefined ? cloud : withLocalStatus(cloud, before.written);
      const written = asTyped(typeMeta, this.#written(request, info, present, body));
      const entry = { resource, namespace, name, uid: item.uid, written: localStatusOf(typeMeta.kind, written) };
      await this.overlay.put(entry);
      return withLocalStatus(cloud, entry.written);
    });
    sendObject(request, response, 200, result);
    await this.#localChange(object);
  }

  async #localChange(object: { resource: string; namespace: string; name: string }): Promise<void> {
    const { resource, namespace, name } = object;
    try {
      await this.#parts.views.localChange({ group: '', version: 'v1', resource, namespace, name });
    } catch (error) {
      // What was written stands; local watchers see it with their next list.
      this.#parts.log.error('local watchers could not be told of a status write', {
        resource,
        name,
        error: String(error),
      });
    }
  }

  /** The object that the request asks for: patched, or as it came. */
  #written(request: HubRequest, info: ResourceRequest, present: KubeObject, body: Buffer): KubeObject {
    const what = `${info.resource} "${info.name}"`;
    const contentType = headerValue(request.headers, 'content-type');
    if (info.verb === 'update') {
      const object = valuesOf(readObject(body, contentType));
      checkPreconditions(what, present, object);
      return object;
    }
    const type = patchTypeOf(contentType);
    if (type === undefined) throw needsCloud('no other applies this kind of patch');
    const patch = parsePatch(body);
    checkPreconditions(what, present, patch);
    return patched(type, typeMetaOf(info.resource), present, patch);
  }

  /**
   * One pass over the overlay, with the cloud reachable. Rejects with CloudUnreachableError when it is lost again on the
   * way, and ends early when `signal` aborts: what is left is done at the next return.
   */
  async beginReturn(signal: AbortSignal): Promise<void> {
    await this.#serial.run(async () => {
      const entries = this.overlay.entries();
      // The many that need no request first, so that the node is Ready again without waiting for finished pods.
      const dropped = entries.filter((entry) => !isFinishedPod(entry));
      await this.#drop(dropped);
      await this.#reportFinished(signal);
    });
  }

  /** Tries again for the finished pods that the API server did not take. */
  async retryReports(signal: AbortSignal): Promise<void> {
    await this.#serial.run(() => this.#reportFinished(signal));
  }

  async #reportFinished(signal: AbortSignal): Promise<void> {
    const { uplink, log, metrics } = this.#parts;
    for (const entry of this.overlay.entries().filter(isFinishedPod)) {
      if (signal.aborted || !uplink.cloud.reachable) return;
      try {
        const outcome = (await this.#isHeld(entry)) ? await this.#report(entry, signal) : 'gone';
        if (outcome === 'later') continue;
        metrics.finishedPods.inc({ outcome });
        if (outcome === 'gone' || outcome === 'rejected') await this.#drop([entry]);
      } catch (error) {
        if (signal.aborted || error instanceof CloudUnreachableError) throw error;
        const { namespace, name } = entry;
        log.warn('the status of a finished pod could not be sent', { namespace, name, error: String(error) });
      }
    }
  }

  /** Whether a view still has this very pod. Until it has not, the overlay keeps it from looking as if it were running. */
  async #isHeld(entry: OverlayEntry): Promise<boolean> {
    const stored = await this.#parts.views.stored({ group: '', version: 'v1', ...objectOf(entry) });
    return stored?.item.uid === entry.uid;
  }

  /**
   * Sends the status of one finished pod, unless the cloud knows that it has finished. 'later' also for a pod that the cloud
   * does not have, which to a node is a 403 as often as a 404: the views will hear of that.
   */
  async #report(entry: OverlayEntry, signal: AbortSignal): Promise<FinishedPodOutcome | 'later'> {
    if (entry.arrivedAs !== undefined) return 'later';
    const target = `/api/v1/namespaces/${encodeURIComponent(entry.namespace)}/pods/${encodeURIComponent(entry.name)}`;
    const fresh = await this.#fetch('GET', target, undefined, signal);
    if (fresh.statusCode !== 200) return 'later';
    const cloud = JSON.parse(fresh.body.toString()) as KubeObject;
    if (metadataOf(cloud)['uid'] !== entry.uid) return 'later';
    const status = (cloud['status'] ?? {}) as KubeObject;
    if (isFinished(status)) {
      await this.#arrived(entry, cloud);
      return 'finished';
    }
    const patch = Buffer.from(JSON.stringify(finishedPodPatch(entry.uid, status, entry.written.status)));
    const reply = await this.#fetch('PATCH', `${target}/status`, patch, signal);
    if (reply.statusCode === 400 || reply.statusCode === 422) {
      const { namespace, name } = entry;
      this.#parts.log.error('the API server refused the status of a finished pod', { namespace, name });
      return 'rejected';
    }
    if (reply.statusCode !== 200) return 'later';
    await this.#arrived(entry, JSON.parse(reply.body.toString()) as KubeObject);
    return 'reported';
  }

  /** The overlay stays until a view has the version in which the cloud has it: the views are behind. */
  async #arrived(entry: OverlayEntry, cloud: KubeObject): Promise<void> {
    const arrivedAs = metadataOf(cloud)['resourceVersion'] as string;
    await this.overlay.put({ ...entry, arrivedAs });
    const stored = await this.#parts.views.stored({ group: '', version: 'v1', ...objectOf(entry) });
    // A view that has this version already will not hear of it again.
    if (stored !== undefined)
      this.overlay.cloudSaw('', entry.resource, entry.namespace, entry.name, stored.item.resourceVersion);
  }

  #fetch(method: string, target: string, patch: Buffer | undefined, signal: AbortSignal): Promise<UpstreamReply> {
    const headers = { accept: 'application/json' };
    return this.#parts.uplink.fetch(
      patch === undefined
        ? { method, target, headers, lane: 'node', signal }
        : {
            method,
            target,
            headers: { ...headers, 'content-type': 'application/strategic-merge-patch+json' },
            body: patch,
            lane: 'node',
            signal,
          },
      { maxBodyBytes: this.#maxBodyBytes },
    );
  }

  async #drop(entries: readonly OverlayEntry[]): Promise<void> {
    await this.overlay.drop(entries);
    for (const entry of entries) await this.#localChange(objectOf(entry));
  }
}

/**
 * The object as Go's types hold it: without fields that they do not have, with those that they always write. Throws
 * RefusedError (400) for values of the wrong type, which no reader could be shown.
 */
function asTyped(typeMeta: TypeMeta, object: KubeObject): KubeObject {
  const wire = wireFor('protobuf');
  try {
    return wire.decode(typeMeta, wire.encode(typeMeta, object));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new RefusedError(failure('BadRequest', `holdfast: ${error.message}`));
  }
}

function isFinishedPod(entry: OverlayEntry): boolean {
  return entry.resource === 'pods' && isFinished(entry.written.status);
}

function objectOf({ resource, namespace, name }: OverlayEntry): { resource: string; namespace: string; name: string } {
  return { resource, namespace, name };
}
