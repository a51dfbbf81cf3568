// Events for people: `kubectl describe` shows them under the object. They are told once and counted when they repeat; they
// never hold a reconcile up, and none is worth more than a bounded queue.
import { delay, type Clock, type Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Api } from './api.ts';
import { isNotFound } from './errors.ts';
import type { MachineryMetrics } from './metrics.ts';
import { apiVersionOf, type ApiObject, type Resource } from './resource.ts';
import { TokenBucket } from './token-bucket.ts';

const eventResource: Resource = { group: '', version: 'v1', resource: 'events', kind: 'Event', namespaced: true };

export interface Recorder {
  /** `reason` is one word in CamelCase, `message` a sentence that says what to do where something is to be done. */
  record(resource: Resource, object: ApiObject, type: 'Normal' | 'Warning', reason: string, message: string): void;
}

export interface EventRecorderParts {
  readonly api: Pick<Api, 'create' | 'patch'>;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: MachineryMetrics;
  /** Of this replica. */
  readonly instance: string;
}

interface Told {
  readonly namespace: string;
  readonly body: EventBody;
  /** How often in all, and how often when it was last sent. */
  count: number;
  sentCount: number;
  sentMs: number;
  /** As made by the API server; undefined before. */
  name: string | undefined;
}

interface EventBody {
  readonly involvedObject: Readonly<Record<string, string | undefined>>;
  readonly reason: string;
  readonly message: string;
  readonly type: string;
}

/** The same event is sent again at most so often; what repeats meanwhile is in its count. */
const repeatMs = 60_000;
const maxRemembered = 2_000;
const maxWaiting = 500;
const rate = { perSecond: 10, burst: 50 };
/** A replica that is told to stop has this long for what people were not told yet. */
const farewellMs = 3_000;

export class EventRecorder implements Recorder {
  readonly #parts: EventRecorderParts;
  readonly #bucket: TokenBucket;
  /** What was told, oldest first. */
  readonly #told = new Map<string, Told>();
  readonly #waiting = new Set<Told>();
  #wake: () => void = () => undefined;

  constructor(parts: EventRecorderParts) {
    this.#parts = parts;
    this.#bucket = new TokenBucket(parts.clock, rate);
  }

  record(resource: Resource, object: ApiObject, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const { clock, metrics } = this.#parts;
    const { namespace, name, uid } = object.metadata;
    const key = `${uid}/${reason}/${message}`;
    const known = this.#told.get(key);
    this.#told.delete(key);
    const told: Told = known ?? {
      namespace: namespace ?? 'default',
      body: {
        involvedObject: { apiVersion: apiVersionOf(resource), kind: resource.kind, namespace, name, uid },
        reason,
        message,
        type,
      },
      count: 0,
      sentCount: 0,
      sentMs: -Infinity,
      name: undefined,
    };
    told.count += 1;
    this.#told.set(key, told);
    for (const oldest of this.#told.keys()) {
      if (this.#told.size <= maxRemembered) break;
      this.#told.delete(oldest);
    }
    if (this.#waiting.has(told) || clock.monotonicMs() - told.sentMs < repeatMs) return;
    if (this.#waiting.size >= maxWaiting) metrics.events.inc({ outcome: 'dropped' });
    else {
      this.#waiting.add(told);
      this.#wake();
    }
  }

  /** Sends what is recorded until `signal` aborts, and then what is left, for as long as `farewellMs`; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, metrics } = this.#parts;
    const end = new AbortController();
    let timer: Timer | undefined;
    const farewell = (): void => {
      timer = clock.after(farewellMs, () => end.abort(signal.reason));
      this.#wake();
    };
    signal.addEventListener('abort', farewell, { once: true });
    while (!end.signal.aborted) {
      const [next] = this.#waiting;
      if (next === undefined) {
        if (signal.aborted) break;
        await new Promise<void>((resolve) => (this.#wake = resolve));
        continue;
      }
      this.#waiting.delete(next);
      await delay(clock, this.#bucket.take(), signal);
      try {
        await this.#send(next, end.signal);
        metrics.events.inc({ outcome: 'sent' });
      } catch (error) {
        metrics.events.inc({ outcome: 'failed' });
        log.warn('an event could not be told', { reason: next.body.reason, problem: (error as Error).message });
        if (signal.aborted) break;
      }
    }
    timer?.cancel();
  }

  async #send(told: Told, signal: AbortSignal): Promise<void> {
    const { api, clock, instance } = this.#parts;
    const { namespace, body, count } = told;
    const now = new Date(clock.wallMs()).toISOString().replace(/\.\d+Z$/, 'Z');
    told.sentMs = clock.monotonicMs();
    if (told.name !== undefined) {
      try {
        await api.patch(eventResource, { namespace, name: told.name }, 'merge', { count, lastTimestamp: now }, signal);
        told.sentCount = count;
        return;
      } catch (error) {
        // It lived its hour; this one begins anew.
        if (!isNotFound(error)) throw error;
      }
    }
    const made = await api.create<ApiObject>(
      eventResource,
      {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { namespace, generateName: `${body.involvedObject['name']!.slice(0, 200)}.` },
        ...body,
        count: count - told.sentCount,
        firstTimestamp: now,
        lastTimestamp: now,
        source: { component: 'holdfast-controllers' },
        reportingComponent: 'holdfast-controllers',
        reportingInstance: instance,
      },
      signal,
    );
    told.name = made.metadata.name;
    told.sentCount = count;
  }
}
