// The shape of a controller, and the loop that runs one: changes of what it watches become keys, and each key is reconciled by
// looking at how things are, never at what happened.
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { ApiError, isConflict } from './errors.ts';
import type { Informer } from './informer.ts';
import type { MachineryMetrics, ReconcileOutcome } from './metrics.ts';
import type { Change } from './object-cache.ts';
import type { ApiObject } from './resource.ts';
import { WorkQueue } from './work-queue.ts';

/** Made by `watch`, which keeps the types together. */
export interface Watch {
  /** Resolves when the collection has been listed. */
  whenSynced(): Promise<void>;
  /** Calls `add` for each key that a change concerns; gives the way to end that. */
  subscribe(add: (key: string, afterMs: number) => void): () => void;
}

export interface WatchOptions {
  /** So long after a change its keys are due: many changes of one moment are then looked at together. */
  readonly afterMs?: number;
}

export interface Outcome {
  /** Look again after so long, even if nothing changes. */
  readonly againAfterMs?: number;
}

export interface Controller {
  /** In metrics, log lines and field managers; kebab-case. */
  readonly name: string;
  readonly watches: readonly Watch[];
  /** Keys at work at the same time; a key never is twice. */
  readonly workers?: number;
  /**
   * Makes things right for one key, or finds that they are. Is called again with a growing pause when it rejects, and after
   * conflicts without complaint. Has to pass `signal` to whatever it waits for, and to write nothing once it is aborted.
   */
  reconcile(key: string, signal: AbortSignal): Promise<Outcome | void>;
}

/** `keysOf` gives the keys that a change concerns: of `before` as well, or whoever an object left is never looked at again. */
export function watch<T extends ApiObject, I extends string>(
  informer: Informer<T, I>,
  keysOf: (change: Change<T>) => Iterable<string>,
  { afterMs = 0 }: WatchOptions = {},
): Watch {
  return {
    whenSynced: () => informer.whenSynced(),
    subscribe: (add) =>
      informer.subscribe((change) => {
        for (const key of keysOf(change)) add(key, afterMs);
      }),
  };
}

export interface ControllerRunParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: MachineryMetrics;
  readonly random: () => number;
}

const soonMs = 10_000;

export class ControllerRun {
  readonly #parts: ControllerRunParts;
  readonly #controller: Controller;
  readonly #queue: WorkQueue;

  constructor(parts: ControllerRunParts, controller: Controller) {
    const { clock, random, metrics } = parts;
    const labels = { controller: controller.name };
    this.#parts = { ...parts, log: parts.log.child(controller.name) };
    this.#controller = controller;
    this.#queue = new WorkQueue({
      clock,
      random,
      depth: (waiting) => metrics.queueDepth.set(labels, waiting),
      waited: (ms) => metrics.queueSeconds.observe(labels, ms / 1000),
    });
    metrics.controller(controller.name);
  }

  /** Keys that are due or at work, or will be within seconds: 0 when all that was told of has been looked at. */
  get pending(): number {
    return this.#queue.size + this.#queue.dueWithin(soonMs);
  }

  /** Until `signal` aborts and what was at work has ended; never rejects. May be called again after. */
  async run(signal: AbortSignal): Promise<void> {
    const { watches, workers = 2 } = this.#controller;
    const aborted = Promise.withResolvers<void>();
    const onAbort = (): void => aborted.resolve();
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    const subscriptions: (() => void)[] = [];
    try {
      // All of them first: by half of what there is, a reconcile would take the other half for gone.
      await Promise.race([Promise.all(watches.map((each) => each.whenSynced())), aborted.promise]);
      if (signal.aborted) return;
      for (const each of watches)
        subscriptions.push(each.subscribe((key, afterMs) => this.#queue.addAfter(key, afterMs)));
      await Promise.all(Array.from({ length: workers }, () => this.#work(signal)));
    } finally {
      signal.removeEventListener('abort', onAbort);
      for (const end of subscriptions) end();
      this.#queue.clear();
    }
  }

  async #work(signal: AbortSignal): Promise<void> {
    for (;;) {
      const key = await this.#queue.next(signal);
      if (key === undefined) return;
      await this.#reconcile(key, signal);
    }
  }

  async #reconcile(key: string, signal: AbortSignal): Promise<void> {
    const { clock, metrics, log } = this.#parts;
    const controller = this.#controller.name;
    const begunMs = clock.monotonicMs();
    let outcome: ReconcileOutcome = 'ok';
    try {
      const wish = await this.#controller.reconcile(key, signal);
      this.#queue.done(key, wish?.againAfterMs);
    } catch (error) {
      outcome = isConflict(error) ? 'conflict' : 'failed';
      const retryInMs = this.#queue.failed(key, error instanceof ApiError ? error.retryAfterMs : 0);
      if (signal.aborted) return;
      const fields = { key, problem: (error as Error).message, retryInMs: Math.round(retryInMs) };
      if (outcome === 'conflict') log.debug('somebody else was faster', fields);
      else if (typeof (error as { code?: unknown }).code === 'string') log.warn('reconcile failed', fields);
      else log.error('reconcile failed by a fault', { ...fields, stack: (error as Error).stack });
    } finally {
      metrics.reconciles.inc({ controller, outcome });
      metrics.reconcileSeconds.observe({ controller }, (clock.monotonicMs() - begunMs) / 1000);
    }
  }
}
