// Answers a list from a view, or says that the API server has to.
import { compareResourceVersions } from '../../kube/resource-version.ts';
import type { ResourceRequest } from '../../kube/request-info.ts';
import { failure } from '../../kube/status.ts';
import { tableOf } from '../../kube/tables.ts';
import type { Wire } from '../../kube/wire.ts';
import { sendStatus } from '../answers.ts';
import { StoreReadError } from '../errors.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Headers, HubRequest, HubResponse } from '../types.ts';
import { FirstListClient } from './first-list.ts';
import type { ViewMetrics } from './metrics.ts';
import { answerWithoutView } from './no-view.ts';
import { viewKeyOf } from './view-key.ts';
import type { ReadableViews } from './view-set.ts';
import type { Snapshot, View } from './view.ts';

/**
 * Which lists a view may answer while the cloud can be asked: only those that allow any version (`0`) or a minimum.
 * A list without a version has to be fresh, one with `continue` or an exact version goes on where the API server began.
 */
export function allowsStored(info: ResourceRequest): boolean {
  const { query } = info;
  if ((query.get('continue') ?? '') !== '' || query.get('resourceVersionMatch') === 'Exact') return false;
  return (query.get('resourceVersion') ?? '') !== '';
}

export interface ListAnswerParts {
  readonly views: Pick<ReadableViews, 'acquire' | 'cloudReachable'>;
  readonly clock: Clock;
  readonly metrics: ViewMetrics;
}

/** What the client takes: `table` is what kubectl asks for, and is made of the plain JSON view. */
export interface ListForm {
  readonly encoding: 'protobuf' | 'json';
  readonly table: boolean;
}

/** False when the list was not answered: it has to be forwarded. */
export async function answerList(
  parts: ListAnswerParts,
  request: HubRequest,
  response: HubResponse,
  info: ResourceRequest,
  form: ListForm,
  extraHeaders: Headers,
): Promise<boolean> {
  const { views, metrics } = parts;
  const reachable = views.cloudReachable;
  if (reachable && !allowsStored(info)) return false;
  if ((info.query.get('continue') ?? '') !== '') {
    // The rest of a list that the API server began: only it could go on.
    sendStatus(request, response, failure('Expired', 'holdfast: the API server is out of reach; list again'));
    return true;
  }
  const anyVersion = info.query.get('resourceVersion') === '0' && !form.table;
  const client = anyVersion ? new FirstListClient(request, response, extraHeaders, parts.clock) : undefined;
  const key = viewKeyOf(info, form.table ? 'json' : form.encoding);
  const acquired = await views.acquire(key, '', request.signal, client);
  client?.withdraw();
  if (acquired.kind !== 'view') return answerWithoutView(acquired, request, response);
  const { view } = acquired;
  const minimum = info.query.get('resourceVersion') ?? '';
  const exact = info.query.get('resourceVersionMatch') === 'Exact';
  const order = compareResourceVersions(view.resourceVersion, minimum);
  if (exact ? order !== 0 : order < 0) {
    if (reachable) return false;
    const message = `holdfast: version ${minimum} is not kept here (${view.resourceVersion} is), and the API server is out of reach`;
    sendStatus(request, response, exact ? failure('Expired', message) : failure('ServiceUnavailable', message, 5));
    return true;
  }
  const stored = form.table ? undefined : await view.storedList();
  if (stored !== undefined) {
    metrics.answers.inc({ verb: 'list', source: acquired.live ? 'live' : 'stored' });
    response.head(200, listHeaders(view.wire, stored.contentLength, extraHeaders));
    await writeParts(response, stored.parts, request.signal);
    return true;
  }
  const snapshot = await view.snapshot();
  const { typeMeta, listKind, wire } = view;
  metrics.answers.inc({ verb: 'list', source: acquired.live ? 'live' : 'stored' });
  if (form.table) {
    const table = tableBody(wire, view, snapshot, info, parts.clock);
    response.head(200, { 'content-type': 'application/json', 'content-length': String(table.length), ...extraHeaders });
    response.end(table);
    return true;
  }
  const body = wire.list(
    {
      apiVersion: typeMeta.apiVersion,
      kind: listKind,
      resourceVersion: snapshot.resourceVersion,
      continue: '',
      remainingItemCount: undefined,
    },
    snapshot.items,
  );
  response.head(200, listHeaders(wire, body.contentLength, extraHeaders));
  await writeParts(response, body.parts, request.signal);
  return true;
}

function tableBody(wire: Wire, view: View, snapshot: Snapshot, info: ResourceRequest, clock: Clock): Buffer {
  const objects = snapshot.items.map((bytes) => wire.decode(view.typeMeta, bytes));
  const metadata = { resourceVersion: snapshot.resourceVersion };
  const includeObject = info.query.get('includeObject') ?? 'Metadata';
  const options = { nowMs: clock.wallMs(), includeObject, withColumns: true };
  return Buffer.from(`${JSON.stringify(tableOf(view.typeMeta.kind, objects, metadata, options))}\n`);
}

function listHeaders(wire: Wire, contentLength: number, extraHeaders: Headers): Headers {
  return {
    'content-type': wire.contentType,
    'content-length': String(contentLength),
    'cache-control': 'no-cache, private',
    ...extraHeaders,
  };
}

const maxQueuedBytes = 1 << 20;

/** Writes a body with the client's pace: never more than about a MB waits in the connection. */
async function writeParts(
  response: HubResponse,
  parts: Iterable<Buffer> | AsyncIterable<Buffer>,
  signal: AbortSignal,
): Promise<void> {
  let wake: (() => void) | undefined;
  response.onDrain(() => wake?.());
  const left = (): void => wake?.();
  signal.addEventListener('abort', left, { once: true });
  try {
    for await (const part of parts) {
      if (signal.aborted) break;
      if (!response.write(part) && response.queuedBytes > maxQueuedBytes)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  } catch (error) {
    if (!(error instanceof StoreReadError)) throw error;
    // The head is out: all that can be done is to keep the client from taking what it has for all of it.
    response.abort();
    return;
  } finally {
    signal.removeEventListener('abort', left);
  }
  if (signal.aborted) response.abort();
  else response.end();
}
