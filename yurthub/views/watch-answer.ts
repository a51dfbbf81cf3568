// Answers a watch from a view. The watch outlives an outage: nothing ends it but its own time-out, its client, or a
// version that is not known any more.
import type { Clock } from '../../runtime/clock.ts';
import { isTrue, type ResourceRequest } from '../../kube/request-info.ts';
import { metadataOf, text } from '../../kube/plain-object.ts';
import { failure } from '../../kube/status.ts';
import type { KubeObject } from '../../kube/wire.ts';
import { sendStatus } from '../answers.ts';
import type { HubRequest, HubResponse } from '../types.ts';
import type { ViewMetrics } from './metrics.ts';
import { answerWithoutView } from './no-view.ts';
import type { Watcher } from './audience.ts';
import type { View } from './view.ts';
import type { ListForm } from './list-answer.ts';
import { tableOf } from '../../kube/tables.ts';
import { viewKeyOf } from './view-key.ts';
import type { ReadableViews } from './view-set.ts';

export interface WatchAnswerParts {
  readonly views: Pick<ReadableViews, 'acquire' | 'cloudReachable'>;
  readonly clock: Clock;
  readonly metrics: ViewMetrics;
}

/** A client that lets more than this wait is ended: it lists again when it is ready, and nobody else waits for it. */
const maxQueuedBytes = 8 << 20;
/** As the API server does for watches without timeoutSeconds: 30 to 60 minutes. */
const defaultTimeoutMs = 1_800_000;

/** False when the watch was not answered: it has to be forwarded. */
export async function answerWatch(
  parts: WatchAnswerParts,
  request: HubRequest,
  response: HubResponse,
  info: ResourceRequest,
  form: ListForm,
): Promise<boolean> {
  const { query } = info;
  const version = query.get('resourceVersion') ?? '';
  const acquired = await parts.views.acquire(
    viewKeyOf(info, form.table ? 'json' : form.encoding),
    version,
    request.signal,
  );
  if (acquired.kind !== 'view') return answerWithoutView(acquired, request, response);
  const { view } = acquired;
  const asTable = form.table ? tableFrames(query.get('includeObject') ?? 'Metadata', parts.clock) : undefined;
  const stream = new WatchStream(response, isTrue(query.get('allowWatchBookmarks')), parts.metrics, asTable);
  const initialEvents = isTrue(query.get('sendInitialEvents'));
  if (initialEvents || version === '' || version === '0') {
    sendHead(response, view, form);
    await view.watchAll(stream, { endMark: initialEvents && stream.allowBookmarks });
  } else {
    stream.hold();
    if (!(await view.watchFrom(version, stream))) {
      const message = `too old resource version: ${version} (${view.resourceVersion})`;
      sendStatus(request, response, failure('Expired', message));
      return true;
    }
    sendHead(response, view, form);
    stream.release();
  }
  parts.metrics.answers.inc({ verb: 'watch', source: acquired.live ? 'live' : 'stored' });
  const timer = parts.clock.after(timeoutMs(query.get('timeoutSeconds')), () => stream.end());
  const left = (): void => stream.end();
  request.signal.addEventListener('abort', left, { once: true });
  if (request.signal.aborted) stream.end();
  await stream.ended;
  timer.cancel();
  request.signal.removeEventListener('abort', left);
  view.stopWatching(stream);
  return true;
}

function sendHead(response: HubResponse, view: View, form: ListForm): void {
  const contentType = form.table ? 'application/json' : view.wire.watchContentType;
  response.head(200, { 'content-type': contentType, 'cache-control': 'no-cache, private' });
}

function timeoutMs(seconds: string | null): number {
  const asked = Number(seconds);
  if (seconds === null || !Number.isFinite(asked) || asked <= 0) return defaultTimeoutMs * (1 + Math.random());
  return Math.min(asked, 86_400) * 1_000;
}

interface JsonEvent {
  readonly type: string;
  readonly object: KubeObject;
}

/** Turns JSON watch frames into frames of Tables with one row; the first one names the columns, as the API server does. */
function tableFrames(includeObject: string, clock: Clock): (frame: Buffer) => Buffer {
  let withColumns = true;
  return (frame) => {
    const { type, object } = JSON.parse(frame.toString()) as JsonEvent;
    if (type === 'ERROR') return frame;
    const metadata = { resourceVersion: text(metadataOf(object), 'resourceVersion') };
    const options = { nowMs: clock.wallMs(), includeObject, withColumns };
    const rows = type === 'BOOKMARK' ? [] : [object];
    const table = tableOf(text(object, 'kind'), rows, metadata, options);
    withColumns = false;
    return Buffer.from(`${JSON.stringify({ type, object: table })}\n`);
  };
}

class WatchStream implements Watcher {
  readonly allowBookmarks: boolean;
  readonly #response: HubResponse;
  readonly #metrics: ViewMetrics;
  readonly #transform: ((frame: Buffer) => Buffer) | undefined;
  readonly #ended = Promise.withResolvers<void>();
  #over = false;
  /** Frames that came before the head was sent. */
  #held: Buffer[] | undefined;

  /** `transform` makes of each frame what this client takes; undefined when it takes frames as they are. */
  constructor(
    response: HubResponse,
    allowBookmarks: boolean,
    metrics: ViewMetrics,
    transform: ((frame: Buffer) => Buffer) | undefined,
  ) {
    this.#response = response;
    this.#transform = transform;
    this.allowBookmarks = allowBookmarks;
    this.#metrics = metrics;
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  hold(): void {
    this.#held = [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const frame of held) this.deliver(frame);
  }

  deliver(frame: Buffer): void {
    if (this.#over) return;
    if (this.#held !== undefined) {
      this.#held.push(frame);
      return;
    }
    this.#response.write(this.#transform === undefined ? frame : this.#transform(frame));
    if (this.#response.queuedBytes <= maxQueuedBytes) return;
    this.#metrics.slowWatchers.inc();
    this.#over = true;
    this.#response.abort();
    this.#ended.resolve();
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#response.end();
    this.#ended.resolve();
  }
}
