// What the hub says of itself goes to the API server with the kubelet's own patch of its Node's status, every five minutes and when
// that changes.
import { hubReportAnnotation } from '../../kube/hub-report.ts';
import type { ResourceRequest } from '../../kube/request-info.ts';
import type { Clock } from '../../runtime/clock.ts';
import { headerValue } from '../../runtime/headers.ts';
import type { Log } from '../../runtime/log.ts';
import type { HubRequest, UpstreamReply } from '../types.ts';
import { sendWithAddition, type Send } from './addition.ts';
import { patchTypeOf } from './status-patch.ts';

export interface ReportedStatusParts {
  readonly log: Log;
  readonly clock: Clock;
  /** What the Node is to carry; undefined for nothing. */
  readonly report: () => string | undefined;
}

const pauseMs = 3_600_000;

export class ReportedStatus {
  readonly #parts: ReportedStatusParts;
  /** What the API server took last. */
  #known: string | undefined;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(parts: ReportedStatusParts) {
    this.#parts = parts;
  }

  /** Sends the patch by `send`, with the report if there is a new one. Undefined, as `send` gives it, when the cloud is out of reach. */
  async patch(
    request: HubRequest,
    info: ResourceRequest,
    body: Buffer,
    send: Send,
  ): Promise<UpstreamReply | undefined> {
    const { log, clock, report } = this.#parts;
    if (info.resource !== 'nodes' || clock.monotonicMs() < this.#pausedUntilMs) return await send(body);
    const text = report();
    const reported = text === undefined || text === this.#known ? undefined : withReport(request, body, text);
    return await sendWithAddition(body, reported, send, (outcome, statusCode) => {
      if (outcome === 'sent') this.#known = text;
      if (outcome !== 'refused') return;
      this.#pausedUntilMs = clock.monotonicMs() + pauseMs;
      log.warn('the Node goes without the report of the hub for an hour: the API server does not take it', {
        statusCode,
      });
    });
  }
}

/** Undefined for a body that we cannot read: it is the API server's to judge. */
function withReport(request: HubRequest, body: Buffer, text: string): Buffer | undefined {
  if (patchTypeOf(headerValue(request.headers, 'content-type')) === undefined) return undefined;
  try {
    const patch = JSON.parse(body.toString('utf8')) as { metadata?: { annotations?: Record<string, unknown> } } | null;
    if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return undefined;
    const { metadata } = patch;
    const annotations = { ...metadata?.annotations, [hubReportAnnotation]: text };
    return Buffer.from(JSON.stringify({ ...patch, metadata: { ...metadata, annotations } }));
  } catch {
    return undefined;
  }
}
