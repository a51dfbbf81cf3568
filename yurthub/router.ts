// What becomes of each request: answered from a view, handled by the write path, or passed through; and what is said
// when the cloud turns out to be out of reach on the way. Online and offline take the same path through this file.
import type { Clock } from '../runtime/clock.ts';
import { headerValue } from '../runtime/headers.ts';
import type { Log } from '../runtime/log.ts';
import { negotiate } from '../kube/accept.ts';
import { getVersion } from '../kube/list-options.ts';
import { notAcceptable } from '../kube/not-acceptable.ts';
import type { ResourceRequest } from '../kube/request-info.ts';
import { compareResourceVersions } from '../kube/resource-version.ts';
import { failure, notFound, tooLargeVersion } from '../kube/status.ts';
import { sendNeedsCloud, sendStatus, sendUnknown, staleWarning } from './answers.ts';
import { ClientGoneError, CloudUnreachableError, StoreReadError } from './errors.ts';
import type { Accounts } from './identity/accounts.ts';
import { LocalResponse, localRead, RedirectedRequest } from './local-people/local-reader.ts';
import type { SingleObjects } from './single-objects.ts';
import type { Headers, HubRequest, HubResponse, Uplink, ViewKey } from './types.ts';
import type { OfflineWrites } from './writes/offline-writes.ts';
import { askedForm, formFor, type AnswerForm, type AskedForm } from './views/answer-form.ts';
import { answerList, type ListAnswerParts } from './views/list-answer.ts';
import type { ViewMetrics } from './views/metrics.ts';
import type { Presenter } from './views/presenter.ts';
import { ShownResponse } from './views/shown-response.ts';
import { viewKeyOf } from './views/view-key.ts';
import type { ReadableViews, ViewSet } from './views/view-set.ts';
import { answerWatch } from './views/watch-answer.ts';

export interface RouterParts {
  readonly uplink: Uplink;
  readonly views: ViewSet;
  readonly presenter: Presenter;
  readonly singles: SingleObjects;
  readonly accounts: Accounts;
  /** What accounts read by name. */
  readonly accountSingles: SingleObjects;
  readonly writes: OfflineWrites;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: ViewMetrics;
}

const maxFilteredBytes = 64 << 20;
const nothingCaptured = {};

/** Whoever asks: what it may be answered from. */
interface Reader {
  readonly views: ReadableViews;
  readonly singles: SingleObjects;
  /** Whether what was read by name may be shown again. */
  mayRecall(): boolean;
  /** The API server has answered; undefined for readers on whom its decisions are not kept. */
  readonly answered: ((statusCode: number) => Promise<void>) | undefined;
}

export class Router {
  readonly #parts: RouterParts;
  readonly #node: Reader;

  constructor(parts: RouterParts) {
    this.#parts = parts;
    this.#node = { views: parts.views, singles: parts.singles, mayRecall: () => true, answered: undefined };
  }

  /** Answers one request. Rejects only on a fault of our own. */
  async handle(asked: HubRequest, answer: HubResponse): Promise<void> {
    let [request, response] = [asked, answer];
    if (request.identity.kind === 'node' && request.identity.localReader === true) {
      const read = localRead(request, request.identity.nodeName);
      if (read.kind === 'refused') {
        sendStatus(request, response, read.error);
        return;
      }
      request = new RedirectedRequest(request, read.target);
      response = new LocalResponse(response, read.note);
    }
    try {
      await this.#route(request, response);
    } catch (error) {
      if (error instanceof ClientGoneError || request.signal.aborted) {
        response.abort();
        return;
      }
      if (!(error instanceof StoreReadError) || response.headSent || request.body?.readableDidRead === true)
        throw error;
      // What is kept cannot be read now, which says nothing about what there is: the API server may know.
      this.#parts.log.warn('the store cannot be read for a request; it is passed through', { error: error.message });
      if (!(await this.#forwarded(request, response, undefined))) sendUnknown(request, response);
    }
  }

  #route(request: HubRequest, response: HubResponse): Promise<void> {
    const { info, identity } = request;
    if (isImpersonated(request)) return this.#passThrough(request, response, undefined);
    if (identity.kind !== 'node') return this.#bearer(request, response);
    const isCollection = !info.isResource || info.verb === 'list' || info.verb === 'watch';
    if (!isCollection && request.method !== 'HEAD' && this.#parts.writes.handles(info))
      return this.#parts.writes.handle(request, response);
    return this.#serve(request, response, this.#node);
  }

  async #bearer(request: HubRequest, response: HubResponse): Promise<void> {
    const admission = await this.#parts.accounts.admit(request);
    switch (admission.kind) {
      case 'refused':
        sendStatus(request, response, admission.error);
        return;
      case 'stranger':
        await this.#passThrough(request, response, undefined);
        return;
      case 'account': {
        using account = admission;
        const reader: Reader = {
          views: account.views,
          singles: this.#parts.accountSingles,
          mayRecall: () => account.mayRecall(),
          answered: (statusCode) => account.answered(statusCode),
        };
        await this.#serve(account.request, response, reader);
      }
    }
  }

  #serve(request: HubRequest, response: HubResponse, reader: Reader): Promise<void> {
    const { info } = request;
    if (!info.isResource || request.method === 'HEAD') return this.#passThrough(request, response, reader);
    switch (info.verb) {
      case 'list':
      case 'watch':
        return this.#collection(request, response, info, reader);
      case 'get':
        return this.#get(request, response, info, reader);
      case 'create':
      case 'update':
      case 'patch':
      case 'delete':
      case 'deletecollection':
        return this.#passThrough(request, response, reader);
    }
  }

  async #collection(request: HubRequest, response: HubResponse, info: ResourceRequest, reader: Reader): Promise<void> {
    const { uplink, clock, metrics } = this.#parts;
    const { views } = reader;
    const verb = info.verb === 'watch' ? 'watch' : 'list';
    const asked = askedFormOf(request, verb);
    if (asked === undefined || !isKept(info)) {
      if (await this.#forwarded(request, response, reader)) return;
      if (asked === undefined) sendNotAcceptable(request, response, verb);
      else sendUnknown(request, response);
      return;
    }
    const withoutCloud = lastKnownOf(views);
    if (verb === 'watch') {
      if (await answerWatch({ views, clock, metrics }, request, response, info, asked)) return;
      if (await this.#forwarded(request, response, reader)) return;
      if (!(await answerWatch({ views: withoutCloud, clock, metrics }, request, response, info, asked)))
        sendUnknown(request, response);
      return;
    }
    // The API server knows more columns than we do, and lists of metadata alone: it is asked while it can be reached.
    if (asked.form !== 'plain' && uplink.cloud.reachable) {
      if (await this.#forwarded(request, response, reader)) return;
    }
    const answer = (from: ListAnswerParts['views']): Promise<boolean> =>
      answerList({ views: from, clock, metrics }, request, response, info, asked, this.#warning(request));
    if (await answer(views)) return;
    const forwarded = (to: HubResponse): Promise<boolean> => this.#forwarded(request, to, reader);
    if (await this.#filtered(request, response, info, forwarded)) return;
    if (!(await answer(withoutCloud))) sendUnknown(request, response);
  }

  async #get(request: HubRequest, response: HubResponse, info: ResourceRequest, reader: Reader): Promise<void> {
    // The API server does not look at `watch` where a name is given.
    if (info.subresource !== '') {
      await this.#passThrough(request, response, reader);
      return;
    }
    const anyVersion = info.query.get('resourceVersion') === '0';
    if (anyVersion && (await this.#getFromView(request, response, info, 'live', reader))) return;
    const forwarded = (to: HubResponse): Promise<boolean> => this.#forwarded(request, to, reader);
    if (await this.#filtered(request, response, info, forwarded)) return;
    const asked = getVersion(info.query);
    if ('refusal' in asked) sendStatus(request, response, asked.refusal);
    else if (await this.#getFromView(request, response, info, 'stored', reader)) return;
    else await this.#getFromKept(request, response, info, reader);
  }

  async #getFromView(
    request: HubRequest,
    response: HubResponse,
    info: ResourceRequest,
    source: 'live' | 'stored',
    reader: Reader,
  ): Promise<boolean> {
    const { metrics, clock } = this.#parts;
    const { views } = reader;
    const asked = askedFormOf(request, 'get');
    if (source === 'live' && asked?.form !== 'plain') return false;
    const shown = await views.shown(info);
    if (shown === undefined || (source === 'live' && !shown.live)) return false;
    // Another view may know better: that it is gone.
    if (source === 'stored' && compareResourceVersions((await views.absentAt(info)) ?? '', shown.resourceVersion) > 0)
      return false;
    const includeObject = info.query.get('includeObject') ?? 'Metadata';
    const form = asked && formFor(shown, asked, { includeObject, nowMs: () => clock.wallMs() });
    if (form === undefined) {
      if (source === 'stored') sendNotAcceptable(request, response, 'get');
      return source === 'stored';
    }
    const wanted = info.query.get('resourceVersion') ?? '';
    if (source === 'stored' && compareResourceVersions(shown.resourceVersion, wanted) < 0) {
      sendStatus(request, response, tooLargeVersion(wanted, shown.resourceVersion));
      return true;
    }
    metrics.answers.inc({ verb: 'get', source });
    if (shown.bytes === undefined) sendStatus(request, response, notFound(info.group, info.resource, info.name));
    else sendObject(response, form, shown.bytes, this.#warning(request));
    return true;
  }

  /** What was read by name, or that there is no such object, or that this is not known: no view has it. */
  async #getFromKept(request: HubRequest, response: HubResponse, info: ResourceRequest, reader: Reader): Promise<void> {
    const { views, singles } = reader;
    const absentAt = await views.absentAt(info);
    const kept = reader.mayRecall() ? await singles.object(request) : undefined;
    // The newer word counts: an object may have been read after the view was last brought up to date.
    if (absentAt !== undefined && compareResourceVersions(kept?.item.resourceVersion ?? '', absentAt) <= 0) {
      this.#parts.metrics.answers.inc({ verb: 'get', source: 'stored' });
      sendStatus(request, response, notFound(info.group, info.resource, info.name), this.#warning(request));
      return;
    }
    // A view that would hold the object as it was read, and does not, knows that it has changed or gone.
    const isDoubtful = absentAt === undefined && kept !== undefined && views.wouldHold(info, kept);
    const recall = (to: HubResponse): Promise<boolean> => singles.answer(request, to, this.#warning(request));
    if (!isDoubtful && reader.mayRecall() && (await this.#filtered(request, response, info, recall))) return;
    if (askedFormOf(request, 'get') === undefined) sendNotAcceptable(request, response, 'get');
    else sendUnknown(request, response);
  }

  /** Lets `answer` answer, and shows the client what it gives through the filters. False when it gave nothing. */
  #filtered(
    request: HubRequest,
    response: HubResponse,
    info: ResourceRequest,
    answer: (to: HubResponse) => Promise<boolean>,
  ): Promise<boolean> {
    const collection = viewKeyOf(info, 'json');
    if (!this.#parts.presenter.filters(collection)) return answer(response);
    // Tables and bare metadata are for people and for those who count: they get what the cloud has.
    const { as } = negotiate(headerValue(request.headers, 'accept'));
    if (as !== '') return answer(response);
    return this.#throughFilters(request, response, info, collection, answer);
  }

  async #throughFilters(
    request: HubRequest,
    response: HubResponse,
    info: ResourceRequest,
    collection: ViewKey,
    answer: (to: HubResponse) => Promise<boolean>,
  ): Promise<boolean> {
    const { presenter } = this.#parts;
    const held = new ShownResponse(response, info.verb === 'list' ? 'list' : 'get', { maxBytes: maxFilteredBytes });
    if (!(await answer(held))) return false;
    const outcome = await held.finish((wire, bytes) => presenter.filtered(collection, wire, bytes));
    if (outcome === 'hidden') sendStatus(request, response, notFound(info.group, info.resource, info.name));
    return true;
  }

  /** Passes a request through; when the cloud is out of reach, says so or answers with what was last seen. */
  async #passThrough(request: HubRequest, response: HubResponse, reader: Reader | undefined): Promise<void> {
    let sent = false;
    const onUnreachable = (error: CloudUnreachableError): void => void (sent = error.sent);
    if (await this.#forwarded(request, response, reader, onUnreachable)) return;
    if (request.info.isResource && request.method === 'HEAD') {
      // Whether there is such a resource is not known here, but no resource takes HEAD.
      sendStatus(
        request,
        response,
        failure('MethodNotAllowed', 'the server does not allow this method on the requested resource'),
      );
      return;
    }
    const singles = reader?.mayRecall() === true ? reader.singles : undefined;
    if (singles !== undefined && (await singles.answer(request, response, this.#warning(request)))) return;
    if (request.method === 'GET' || request.method === 'HEAD') sendUnknown(request, response);
    else if (!sent) sendNeedsCloud(request, response);
    else {
      const message = 'holdfast: the connection to the API server was lost; the request may have been carried out';
      sendStatus(request, response, failure('Timeout', message));
    }
  }

  /**
   * True when the API server answered; false when it is out of reach and nothing was written to the client. Nothing is
   * kept for a `reader` that is not known.
   */
  async #forwarded(
    request: HubRequest,
    response: HubResponse,
    reader: Reader | undefined,
    onUnreachable?: (error: CloudUnreachableError) => void,
  ): Promise<boolean> {
    const { uplink, log } = this.#parts;
    const followed = request.info.isResource && reader?.views.speaksFor(request.info) === true;
    const captureBytes = followed || reader === undefined ? 0 : reader.singles.captureBytes(request);
    try {
      const outcome = await uplink.forward(request, response, captureBytes === 0 ? nothingCaptured : { captureBytes });
      // For every request that is passed through: nothing is awaited that is not there.
      if (reader?.answered !== undefined) await reader.answered(outcome.statusCode);
      const keeping = captureBytes > 0 ? reader?.singles.keep(request, outcome) : undefined;
      if (keeping !== undefined)
        await keeping.catch((error: unknown) => {
          // The client has its answer; that it is not kept matters only later, and the store says why in its own log.
          log.debug('an answer was not kept', { error: error instanceof Error ? error.message : String(error) });
        });
      return true;
    } catch (error) {
      if (!(error instanceof CloudUnreachableError)) throw error;
      onUnreachable?.(error);
      return false;
    }
  }

  /** For people only: a kubelet would log the header at every request. */
  #warning(request: HubRequest): Headers {
    const { uplink, clock } = this.#parts;
    const agent = headerValue(request.headers, 'user-agent') ?? '';
    return agent.startsWith('kubectl') ? staleWarning(uplink.cloud, clock.wallMs()) : {};
  }
}

/**
 * The views for a request that could not be forwarded. Its way has broken; that the cloud is lost may be known a moment later only, and
 * the client must not fall between the two.
 */
function lastKnownOf(views: ReadableViews): ListAnswerParts['views'] {
  return {
    cloudReachable: false,
    acquire: (key, startAt, signal) =>
      views.cloudReachable ? views.lastKnown(key) : views.acquire(key, startAt, signal),
  };
}

/** Undefined when the client takes nothing that a hub can make. */
function askedFormOf(request: Pick<HubRequest, 'headers'>, verb: 'get' | 'list' | 'watch'): AskedForm | undefined {
  return askedForm(headerValue(request.headers, 'accept'), verb);
}

function sendNotAcceptable(request: HubRequest, response: HubResponse, verb: 'get' | 'list' | 'watch'): void {
  sendStatus(request, response, notAcceptable(headerValue(request.headers, 'accept'), verb));
}

function sendObject(response: HubResponse, form: AnswerForm, bytes: Buffer, extra: Headers): void {
  const body = form.body(bytes);
  response.head(200, {
    'content-type': form.wire.contentType,
    'content-length': String(body.length),
    'cache-control': 'no-cache, private',
    ...extra,
  });
  response.end(body);
}

/** Events are many, change by the second, and nobody on a node lives by them. */
function isKept(info: ResourceRequest): boolean {
  return info.resource !== 'events' && info.subresource === '';
}

/** The API server answers these as somebody else: nothing of the node's may be shown, and nothing of theirs kept. */
export function isImpersonated(request: Pick<HubRequest, 'headers'>): boolean {
  for (const name in request.headers) if (name.startsWith('impersonate-')) return true;
  return false;
}
