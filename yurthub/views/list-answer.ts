// Answers a list from a view, or says that the API server has to.
import { encodeContinue, inconsistent } from '../../kube/continue-token.ts';
import { listOptions, type ListOptions } from '../../kube/list-options.ts';
import { notAcceptable } from '../../kube/not-acceptable.ts';
import { compareResourceVersions } from '../../kube/resource-version.ts';
import type { ResourceRequest } from '../../kube/request-info.ts';
import { expired, tooLargeVersion, type StatusError } from '../../kube/status.ts';
import type { Wire } from '../../kube/wire.ts';
import { headerValue } from '../../runtime/headers.ts';
import { sendStatus } from '../answers.ts';
import { StoreReadError } from '../errors.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Headers, HubRequest, HubResponse } from '../types.ts';
import { formFor, type AnswerForm, type AskedForm } from './answer-form.ts';
import { FirstListClient } from './first-list.ts';
import type { ViewMetrics } from './metrics.ts';
import { answerWithoutView } from './no-view.ts';
import { selects, type Selected } from './selection.ts';
import { viewKeyOf } from './view-key.ts';
import type { ReadableViews } from './view-set.ts';
import type { Page, View } from './view.ts';

/**
 * Which lists a view may answer while the cloud can be asked: only those that allow any version (`0`) or a minimum.
 * A list without a version has to be fresh, one with `continue` or an exact version goes on where the API server began,
 * and pages are the API server's, except at any version, where it knows no pages.
 */
export function allowsStored(options: ListOptions): boolean {
  if (options.continue !== undefined || options.resourceVersionMatch === 'Exact') return false;
  return options.resourceVersion === '0' || (options.resourceVersion !== '' && options.limit === 0);
}

export interface ListAnswerParts {
  readonly views: Pick<ReadableViews, 'acquire' | 'cloudReachable'>;
  readonly clock: Clock;
  readonly metrics: ViewMetrics;
}

/** False when the list was not answered: it has to be forwarded. */
export async function answerList(
  parts: ListAnswerParts,
  request: HubRequest,
  response: HubResponse,
  info: ResourceRequest,
  asked: AskedForm,
  extraHeaders: Headers,
): Promise<boolean> {
  const { views, metrics, clock } = parts;
  const reachable = views.cloudReachable;
  const read = listOptions(info.query, 'list');
  const refuse = (error: StatusError): boolean => {
    // The API server refuses in its own words while it can be asked.
    if (!reachable) sendStatus(request, response, error);
    return !reachable;
  };
  if ('refusal' in read) return refuse(read.refusal);
  const { options } = read;
  if (reachable && !allowsStored(options)) return false;
  const anyVersion = options.resourceVersion === '0' && asked.form === 'plain';
  const client = anyVersion ? new FirstListClient(request, response, extraHeaders, clock) : undefined;
  const acquired = await views.acquire(viewKeyOf(info, asked.encoding), '', request.signal, client);
  client?.withdraw();
  if (acquired.kind !== 'view') return answerWithoutView(acquired, request, response);
  const { view, rest } = acquired;
  const includeObject = info.query.get('includeObject') ?? 'Metadata';
  const form = formFor(view, asked, { includeObject, nowMs: () => clock.wallMs() });
  if (form === undefined) return refuse(notAcceptable(headerValue(request.headers, 'accept'), 'list'));
  const problem = versionProblem(options, view.resourceVersion);
  if (problem !== undefined) return refuse(problem);
  const whole = rest === undefined && limitOf(options) === Infinity && options.continue === undefined;
  const stored = whole && form.asStored ? await view.storedList() : undefined;
  if (stored !== undefined) {
    metrics.answers.inc({ verb: 'list', source: acquired.live ? 'live' : 'stored' });
    response.head(200, listHeaders(form.wire, stored.contentLength, extraHeaders));
    await writeParts(response, stored.parts, request.signal);
    return true;
  }
  const page = whole ? { ...(await view.snapshot()), next: undefined } : await pageOf(view, rest, info, options);
  if (options.continue !== undefined && !goesOnFrom(options, page.resourceVersion)) {
    // The view moved on between the look above and the reading.
    return refuse(expiredToken(options.continue.start));
  }
  metrics.answers.inc({ verb: 'list', source: acquired.live ? 'live' : 'stored' });
  await sendPage(request, response, { page, form, view, info, options }, extraHeaders);
  return true;
}

/** What a view of this version cannot answer. */
function versionProblem(options: ListOptions, version: string): StatusError | undefined {
  const { resourceVersion: wanted, resourceVersionMatch, continue: goOn } = options;
  if (goOn !== undefined) return goesOnFrom(options, version) ? undefined : expiredToken(goOn.start);
  const order = compareResourceVersions(version, wanted);
  if (order < 0) return tooLargeVersion(wanted, version);
  const exact = resourceVersionMatch === 'Exact';
  return exact && order > 0 ? expired('The resourceVersion for the provided list is too old.') : undefined;
}

function goesOnFrom({ continue: goOn }: ListOptions, version: string): boolean {
  return goOn?.resourceVersion === inconsistent || goOn?.resourceVersion === version;
}

/** As the API server says it, with a token to go on at the price of consistency. */
function expiredToken(start: string): StatusError {
  const token = encodeContinue({ resourceVersion: inconsistent, start });
  return expired(
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the ' +
      'continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing ' +
      'with the provided token results in an inconsistent list - objects that were created, modified, or deleted between ' +
      'the time the first chunk was returned and now may show up in the list.',
    token,
  );
}

/** At any version the API server knows no pages. */
function limitOf({ limit, resourceVersion }: ListOptions): number {
  return resourceVersion === '0' || limit === 0 ? Infinity : limit;
}

async function pageOf(
  view: View,
  rest: Selected | undefined,
  info: ResourceRequest,
  options: ListOptions,
): Promise<Page> {
  const { wire, typeMeta } = view;
  const prefix = info.namespace === '' ? '' : `${info.namespace}/`;
  return await view.page({
    prefix,
    from: `${prefix}${startKey(options.continue?.start ?? '', info)}`,
    limit: limitOf(options),
    selects: rest === undefined ? () => true : (bytes) => selects(rest, wire, typeMeta, bytes),
  });
}

/** The member key, without the namespace that was asked for, at which a page begins. */
function startKey(start: string, info: ResourceRequest): string {
  // Objects without a namespace have a slash in front.
  return start === '' || info.namespace !== '' || start.includes('/') ? start : `/${start}`;
}

/** By which the API server, too, would go on: its keys begin after the namespace that was asked for. */
function nextToken(page: Page, info: ResourceRequest): string {
  if (page.next === undefined) return '';
  const { after } = page.next;
  const name = info.namespace === '' ? after.replace(/^\//, '') : after.slice(info.namespace.length + 1);
  return encodeContinue({ resourceVersion: page.resourceVersion, start: `${name}\0` });
}

interface Sending {
  readonly page: Page;
  readonly form: AnswerForm;
  readonly view: View;
  readonly info: ResourceRequest;
  readonly options: ListOptions;
}

async function sendPage(request: HubRequest, response: HubResponse, sending: Sending, extra: Headers): Promise<void> {
  const { page, form, view, info, options } = sending;
  const counted = options.labels.length === 0 && options.fields.length === 0;
  const head = {
    resourceVersion: page.resourceVersion,
    continue: nextToken(page, info),
    remainingItemCount: counted ? page.next?.count : undefined,
  };
  const body = form.list(head, view.listKind, page.items);
  response.head(200, listHeaders(form.wire, body.contentLength, extra));
  await writeParts(response, body.parts, request.signal);
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
