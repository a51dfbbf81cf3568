// An annotation that goes to the API server with the kubelet's own renewal of the node's Lease.
import { WireError } from '../../kube/errors.ts';
import type { ResourceRequest } from '../../kube/request-info.ts';
import type { Clock } from '../../runtime/clock.ts';
import { headerValue } from '../../runtime/headers.ts';
import type { Log } from '../../runtime/log.ts';
import type { HubRequest, UpstreamReply } from '../types.ts';
import { sendWithAddition, type Send } from './addition.ts';
import type { WriteMetrics } from './metrics.ts';
import { readObject, RefusedError } from './request-object.ts';

export interface LeaseAnnotation {
  readonly key: string;
  /** Undefined: it must not be there. */
  readonly text: string | undefined;
  /** Called when the API server has taken a renewal with this text. */
  readonly arrived: () => void;
}

export interface AnnotatedLeaseParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: WriteMetrics;
  /** What the next renewal is to carry. */
  readonly annotation: () => LeaseAnnotation | undefined;
}

const pauseMs = 600_000;

export class AnnotatedLease {
  readonly #parts: AnnotatedLeaseParts;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(parts: AnnotatedLeaseParts) {
    this.#parts = parts;
  }

  /** Sends the renewal by `send`, annotated if that can be done. Undefined, as `send` gives it, when the cloud is out of reach. */
  async renew(
    request: HubRequest,
    info: ResourceRequest,
    body: Buffer,
    send: Send,
  ): Promise<UpstreamReply | undefined> {
    const { clock, metrics, annotation } = this.#parts;
    const isPaused = clock.monotonicMs() < this.#pausedUntilMs;
    const wanted = info.verb === 'update' && !isPaused ? annotation() : undefined;
    const annotated = wanted && this.#annotated(request, body, wanted);
    return await sendWithAddition(body, annotated, send, (outcome, statusCode) => {
      if (outcome === 'refused') this.#pause('refused', `the API server answered ${statusCode}`);
      else metrics.leaseAnnotations.inc({ outcome });
      if (outcome === 'sent') wanted?.arrived();
    });
  }

  #annotated(request: HubRequest, body: Buffer, wanted: LeaseAnnotation): Buffer | undefined {
    try {
      const { wire, typeMeta, item } = readObject(body, headerValue(request.headers, 'content-type'));
      const bytes = wire.withAnnotation(item.bytes, wanted.key, wanted.text);
      return bytes === item.bytes ? undefined : wire.object(typeMeta, bytes);
    } catch (error) {
      if (!(error instanceof WireError) && !(error instanceof RefusedError)) throw error;
      // A body that we cannot read is the API server's to judge.
      this.#pause('unreadable', error.message);
      return undefined;
    }
  }

  #pause(outcome: 'refused' | 'unreadable', problem: string): void {
    const { log, clock, metrics } = this.#parts;
    this.#pausedUntilMs = clock.monotonicMs() + pauseMs;
    metrics.leaseAnnotations.inc({ outcome });
    log.warn("the report on this node's peers goes without for ten minutes: the Lease cannot carry it", { problem });
  }
}
