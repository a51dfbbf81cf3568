// One watch: what it sends first, which events it lets through, when it sends bookmarks, and when it ends.
import type { Clock, Timer } from '../runtime/clock.ts';
import type { KubeObject } from '../kube/wire.ts';
import type { ResourceRequest } from '../kube/request-info.ts';
import { ApiError } from './errors.ts';
import { listOptions } from './list-options.ts';
import { metadataOf } from '../kube/plain-object.ts';
import type { ObjectStore, StoreEvent } from './object-store.ts';
import { groupVersionOf } from './resource-kinds.ts';
import type { ResourceKind } from './resource-kinds.ts';

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: KubeObject;
}

export interface WatchSink {
  send(event: WatchEvent): void;
  /** The watch has ended by itself: its time is over, or it began with an error. */
  end(): void;
}

export interface WatchParts {
  readonly store: ObjectStore;
  readonly clock: Clock;
}

/** Starts a watch on `sink`; returns the way to stop it. Throws 400 and 422 before anything was sent. */
export function startWatch(
  { store, clock }: WatchParts,
  { bookmarkIntervalMs, defaultTimeoutSeconds }: { bookmarkIntervalMs: number; defaultTimeoutSeconds: number },
  kind: ResourceKind,
  request: ResourceRequest,
  sink: WatchSink,
): () => void {
  const options = listOptions(kind, request.namespace, request.query, true);
  const nameOnly = request.name;
  const selects = (object: KubeObject | undefined): object is KubeObject =>
    object !== undefined && options.selects(object) && (nameOnly === '' || metadataOf(object)['name'] === nameOnly);
  const timers: Timer[] = [];
  const forward = (event: StoreEvent): void => {
    const shown = visible(event, selects);
    if (shown !== undefined) sink.send(shown);
  };
  const bookmark = (isInitialEnd = false): void =>
    sink.send({ type: 'BOOKMARK', object: bookmarkObject(kind, store.version, isInitialEnd) });

  const wantsState = options.sendInitialEvents ?? (options.resourceVersion ?? 0) === 0;
  try {
    if (wantsState) {
      for (const object of store.snapshot(kind).objects) if (selects(object)) sink.send({ type: 'ADDED', object });
      if (options.sendInitialEvents === true && options.allowWatchBookmarks) bookmark(true);
    } else {
      for (const event of store.eventsAfter(options.resourceVersion ?? store.version))
        if (event.kind === kind) forward(event);
    }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    // A version that is too old is told inside the stream, as the watch cache does.
    sink.send({ type: 'ERROR', object: error.answer.status });
    sink.end();
    return () => undefined;
  }

  const unsubscribe = store.subscribe((event) => {
    if (event.kind === kind) forward(event);
  });
  const stop = (): void => {
    unsubscribe();
    for (const timer of timers) timer.cancel();
  };
  timers.push(
    clock.after((options.timeoutSeconds || defaultTimeoutSeconds) * 1000, () => {
      if (options.allowWatchBookmarks) bookmark();
      stop();
      sink.end();
    }),
  );
  if (options.allowWatchBookmarks) {
    const next = (): void => {
      timers[1] = clock.after(bookmarkIntervalMs, () => {
        bookmark();
        next();
      });
    };
    next();
  }
  return stop;
}

/** The event as this watch's selectors see it: an object that begins to match is ADDED, one that ceases is DELETED. */
function visible(
  { before, after, version }: StoreEvent,
  selects: (object: KubeObject | undefined) => object is KubeObject,
): WatchEvent | undefined {
  if (selects(after)) return { type: selects(before) ? 'MODIFIED' : 'ADDED', object: after };
  if (!selects(before)) return undefined;
  // The last state that was visible, with the version of the event that ended it.
  return {
    type: 'DELETED',
    object: { ...before, metadata: { ...metadataOf(before), resourceVersion: String(version) } },
  };
}

function bookmarkObject(kind: ResourceKind, version: number, isInitialEnd: boolean): KubeObject {
  return {
    kind: kind.kind,
    apiVersion: groupVersionOf(kind),
    metadata: {
      resourceVersion: String(version),
      creationTimestamp: null,
      ...(isInitialEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
    },
  };
}
