// Answers a watch from a view. The watch outlives an outage: nothing ends it but its own time-out, its client, or a
// version that is not known any more.
import type { Clock } from '../../runtime/clock.ts';
import { listOptions, type ListOptions } from '../../kube/list-options.ts';
import { notAcceptable } from '../../kube/not-acceptable.ts';
import type { ResourceRequest } from '../../kube/request-info.ts';
import { compareResourceVersions } from '../../kube/resource-version.ts';
import { expired, tooLargeVersion, type StatusError } from '../../kube/status.ts';
import { headerValue } from '../../runtime/headers.ts';
import { sendStatus } from '../answers.ts';
import type { HubRequest, HubResponse } from '../types.ts';
import { formFor, type AnswerForm, type AskedForm } from './answer-form.ts';
import type { Watcher } from './audience.ts';
import type { ViewMetrics } from './metrics.ts';
import { answerWithoutView } from './no-view.ts';
import { SelectedWatcher } from './selected-watcher.ts';
import type { Selected } from './selection.ts';
import type { View } from './view.ts';
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
/** How long before the end of a watch the last bookmark is sent, as the API server does: its client need not list again. */
const lastBookmarkMs = 2_000;

/** False when the watch was not answered: it has to be forwarded. */
export async function answerWatch(
  parts: WatchAnswerParts,
  request: HubRequest,
  response: HubResponse,
  info: ResourceRequest,
  asked: AskedForm,
): Promise<boolean> {
  const { views, metrics, clock } = parts;
  const read = listOptions(info.query, 'watch');
  const refuse = (error: StatusError): boolean => {
    // The API server refuses in its own words while it can be asked.
    if (views.cloudReachable) return false;
    sendStatus(request, response, error);
    return true;
  };
  if ('refusal' in read) return refuse(read.refusal);
  const { options } = read;
  const acquired = await views.acquire(viewKeyOf(info, asked.encoding), options.resourceVersion, request.signal);
  if (acquired.kind !== 'view') return answerWithoutView(acquired, request, response);
  const { view, rest, live } = acquired;
  const includeObject = info.query.get('includeObject') ?? 'Metadata';
  const form = formFor(view, asked, { includeObject, nowMs: () => clock.wallMs() });
  if (form === undefined) return refuse(notAcceptable(headerValue(request.headers, 'accept'), 'watch'));
  // The API server has more columns, and fresher objects, than a view can show or wait for.
  if (views.cloudReachable && (form.form !== asked.form || isAhead(options, view))) return false;
  const stream = new WatchStream(response, options.allowWatchBookmarks, metrics);
  await start({ stream, response, view, rest, form, options });
  metrics.answers.inc({ verb: 'watch', source: live ? 'live' : 'stored' });
  const timeout = timeoutMs(options.timeoutSeconds);
  const timer = clock.after(timeout, () => stream.end());
  const bookmark = clock.after(Math.max(0, timeout - lastBookmarkMs), () => {
    const isNews = compareResourceVersions(view.resourceVersion, options.resourceVersion) > 0;
    if (timeout > lastBookmarkMs && stream.allowBookmarks && isNews && view.synced)
      stream.deliver(form.bookmark(view.resourceVersion, false));
  });
  const left = (): void => stream.end();
  request.signal.addEventListener('abort', left, { once: true });
  if (request.signal.aborted) stream.end();
  await stream.ended;
  timer.cancel();
  bookmark.cancel();
  request.signal.removeEventListener('abort', left);
  stream.stopWatching();
  return true;
}

interface Starting {
  readonly stream: WatchStream;
  readonly response: HubResponse;
  readonly view: View;
  readonly rest: Selected | undefined;
  readonly form: AnswerForm;
  readonly options: ListOptions;
}

/** Answers with the head and whatever comes first; what fails from then on is said by an ERROR event. */
async function start({ stream, response, view, rest, form, options }: Starting): Promise<void> {
  const { resourceVersion: version, sendInitialEvents } = options;
  const asStored = rest === undefined && form.asStored;
  const selected = asStored ? undefined : new SelectedWatcher(stream, view, form, rest);
  const watcher = selected ?? stream;
  stream.onStop(() => view.stopWatching(watcher));
  const sendHead = (): void =>
    response.head(200, { 'content-type': form.watchContentType, 'cache-control': 'no-cache, private' });
  const fail = ({ status }: StatusError): void => {
    stream.deliver(form.wire.errorFrame(status));
    stream.end();
  };
  if (sendInitialEvents) {
    sendHead();
    if (isAhead(options, view)) fail(tooLargeVersion(version, view.resourceVersion));
    else await view.watchAll(watcher, { endMark: stream.allowBookmarks });
    return;
  }
  stream.hold();
  const from = version === '' || version === '0' ? view.resourceVersion : version;
  const started = selected === undefined ? await view.watchFrom(from, stream) : await selected.watchFrom(from);
  sendHead();
  stream.release();
  if (!started) fail(expired(`too old resource version: ${version} (${view.resourceVersion})`));
}

/** True for a watch-list that wants objects newer than the view has. */
function isAhead({ sendInitialEvents, resourceVersion }: ListOptions, view: View): boolean {
  return sendInitialEvents && compareResourceVersions(view.resourceVersion, resourceVersion) < 0;
}

function timeoutMs(seconds: number | undefined): number {
  if (seconds === undefined || seconds === 0) return defaultTimeoutMs * (1 + Math.random());
  return Math.max(0, Math.min(seconds, 86_400)) * 1_000;
}

class WatchStream implements Watcher {
  readonly allowBookmarks: boolean;
  readonly #response: HubResponse;
  readonly #metrics: ViewMetrics;
  readonly #ended = Promise.withResolvers<void>();
  #stop: () => void = () => undefined;
  #over = false;
  /** Frames that came before the head was sent. */
  #held: Buffer[] | undefined;

  constructor(response: HubResponse, allowBookmarks: boolean, metrics: ViewMetrics) {
    this.#response = response;
    this.allowBookmarks = allowBookmarks;
    this.#metrics = metrics;
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  onStop(stop: () => void): void {
    this.#stop = stop;
  }

  stopWatching(): void {
    this.#stop();
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
    this.#response.write(frame);
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
