// Delivers the spooled events once the cloud is back: in order, slowly enough not to hurt a site's uplink or the API server,
// and each removed only when the API server has answered for it.
import { type Clock, delay } from '../../runtime/clock.ts';
import { headerValue } from '../../runtime/headers.ts';
import type { Log } from '../../runtime/log.ts';
import { CloudUnreachableError } from '../errors.ts';
import type { Uplink, UpstreamReply } from '../types.ts';
import type { EventSpool, SpooledWrite } from './event-spool.ts';
import type { DropReason, WriteMetrics } from './metrics.ts';

export interface EventDeliveryParts {
  readonly spool: EventSpool;
  readonly uplink: Uplink;
  readonly log: Log;
  readonly metrics: WriteMetrics;
  readonly clock: Clock;
}

export interface EventDeliverySettings {
  readonly eventsPerSecond: number;
  readonly maxBodyBytes: number;
}

/** What one answer means for the event. `againAfterMs`: send it again; nothing after it is sent before. */
type Verdict =
  { readonly done: true; readonly dropped?: DropReason } | { readonly done: false; readonly againAfterMs: number };

/** An event that the API server fails on this often is given up: it must not hold back all others for ever. */
const maxServerErrors = 10;

export class EventDelivery {
  readonly #parts: EventDeliveryParts;
  readonly #settings: EventDeliverySettings;

  constructor(parts: EventDeliveryParts, settings: EventDeliverySettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** Delivers whenever there is something to deliver and the cloud can be reached; settles after `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    let serverErrors = 0;
    while (await this.#untilPossible(signal)) {
      const { pauseMs, failed } = await this.#deliverNext(signal, serverErrors);
      serverErrors = failed ? serverErrors + 1 : 0;
      await delay(clock, pauseMs, signal);
    }
  }

  async #deliverNext(signal: AbortSignal, serverErrors: number): Promise<{ pauseMs: number; failed: boolean }> {
    const { spool, log, metrics } = this.#parts;
    const pauseMs = 1_000 / this.#settings.eventsPerSecond;
    try {
      const taken = await spool.take();
      if (taken === undefined || signal.aborted) return { pauseMs: 0, failed: false };
      const reply = await this.#send(taken.write, signal);
      const verdict = verdictOf(taken.write, reply, serverErrors);
      if (!verdict.done) return { pauseMs: verdict.againAfterMs, failed: reply.statusCode >= 500 };
      await spool.remove(taken.key);
      if (verdict.dropped === undefined) metrics.eventsDelivered.inc();
      else {
        metrics.eventsDropped.inc({ reason: verdict.dropped });
        log.warn('the API server does not want an event', { reason: verdict.dropped, statusCode: reply.statusCode });
      }
      return { pauseMs, failed: false };
    } catch (error) {
      if (signal.aborted || error instanceof CloudUnreachableError) return { pauseMs, failed: false };
      // The store at fault, or an answer beyond all bounds: the event stays where it is.
      log.warn('an event could not be delivered', { error: String(error) });
      return { pauseMs: 5_000, failed: false };
    } finally {
      spool.giveBack();
    }
  }

  #send({ method, target, contentType, body }: SpooledWrite, signal: AbortSignal): Promise<UpstreamReply> {
    return this.#parts.uplink.fetch(
      {
        method,
        target,
        headers: { accept: 'application/json', 'content-type': contentType },
        body,
        lane: 'node',
        signal,
      },
      { maxBodyBytes: this.#settings.maxBodyBytes },
    );
  }

  /** True when there is an event and the cloud can be reached; false when `signal` aborts first. */
  #untilPossible(signal: AbortSignal): Promise<boolean> {
    const { spool, uplink } = this.#parts;
    return new Promise((resolve) => {
      const look = (): void => {
        if (!signal.aborted && (spool.isEmpty || !uplink.cloud.reachable)) return;
        stopAdds();
        stopCloud();
        signal.removeEventListener('abort', look);
        resolve(!signal.aborted);
      };
      const stopAdds = spool.onAdd(look);
      const stopCloud = uplink.onCloudChange(look);
      signal.addEventListener('abort', look, { once: true });
      look();
    });
  }
}

export function verdictOf(write: Pick<SpooledWrite, 'method'>, reply: UpstreamReply, serverErrors: number): Verdict {
  const { statusCode } = reply;
  if (statusCode < 300) return { done: true };
  // It arrived before: the answer to it was lost, or the hub was, before the spool was cleaned.
  if (statusCode === 409 && write.method === 'POST') return { done: true };
  if (statusCode === 429) return { done: false, againAfterMs: retryAfterMs(reply, 1_000) };
  if (statusCode >= 500) {
    if (serverErrors + 1 >= maxServerErrors) return { done: true, dropped: 'server_error' };
    return { done: false, againAfterMs: retryAfterMs(reply, Math.min(30_000, 500 * 2 ** serverErrors)) };
  }
  // Not a word on the event: the node's certificate has expired, and the kubelet is about to get a new one.
  if (statusCode === 401 || (statusCode === 403 && reply.body.includes('system:anonymous')))
    return { done: false, againAfterMs: 5_000 };
  if (statusCode === 403) return { done: true, dropped: 'forbidden' };
  return { done: true, dropped: statusCode === 404 ? 'not_found' : 'invalid' };
}

function retryAfterMs(reply: UpstreamReply, otherwiseMs: number): number {
  const seconds = Number(headerValue(reply.headers, 'retry-after'));
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, 300) * 1_000 : otherwiseMs;
}
