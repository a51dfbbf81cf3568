// What is said of objects that a filter cannot read. They are shown without it: a filter never breaks a list or a watch.
import type { Log } from '../../runtime/log.ts';
import type { FilterMetrics } from './metrics.ts';

export class FilterFailures {
  readonly #log: Log;
  readonly #metrics: FilterMetrics;
  readonly #said = new Set<string>();

  constructor(parts: { readonly log: Log; readonly metrics: FilterMetrics }) {
    this.#log = parts.log;
    this.#metrics = parts.metrics;
  }

  /** Counts each, and logs the first of each filter: an object that cannot be read is read again and again. */
  note(filter: string, error: unknown): void {
    this.#metrics.failures.inc({ filter });
    if (this.#said.has(filter)) return;
    this.#said.add(filter);
    this.#log.error('a filter cannot read an object, which is shown without it', { filter, error: String(error) });
  }
}
