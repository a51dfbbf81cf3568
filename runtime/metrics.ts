// The one place where prom-client is known. Each folder lists its metrics in its own metrics.ts through these makers.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

export type { Counter, Gauge, Histogram } from 'prom-client';

export interface MetricDescription {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
}

/** A plain number that is handed over when the metrics are read: prom-client's `inc` looks up labels at every call. */
export class Tally {
  count = 0;
}

/** One registry per process, made by main and passed down; nothing registers itself when a module is loaded. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #refreshers: (() => void)[] = [];
  readonly #descriptions: MetricDescription[] = [];

  counter<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    this.#descriptions.push({ name, type: 'counter', labels: labelNames });
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  gauge<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> {
    this.#descriptions.push({ name, type: 'gauge', labels: labelNames });
    return new Gauge({ name, help, labelNames, registers: [this.#registry] });
  }

  /** A counter for what happens at every request: one tally for each set of labels, in their order. */
  tallies<L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    labelSets: readonly Readonly<Record<L, string>>[],
  ): Tally[] {
    const kept = labelSets.map((labels) => ({ labels, tally: new Tally(), given: 0 }));
    this.#descriptions.push({ name, type: 'counter', labels: labelNames });
    new Counter({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        for (const each of kept) {
          this.inc(each.labels, each.tally.count - each.given);
          each.given = each.tally.count;
        }
      },
    });
    return kept.map(({ tally }) => tally);
  }

  /** A gauge that goes up and down at every request. */
  level(name: string, help: string): Tally {
    const tally = new Tally();
    this.#descriptions.push({ name, type: 'gauge', labels: [] });
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(tally.count);
      },
    });
    return tally;
  }

  histogram<L extends string = never>(
    name: string,
    help: string,
    buckets: readonly number[],
    labelNames: readonly L[] = [],
  ): Histogram<L> {
    this.#descriptions.push({ name, type: 'histogram', labels: labelNames });
    return new Histogram({ name, help, labelNames, buckets: [...buckets], registers: [this.#registry] });
  }

  /** What was made so far, in the order of making. */
  get descriptions(): readonly MetricDescription[] {
    return this.#descriptions;
  }

  /** `refresh` is called before each exposition: for gauges that are cheaper to count than to keep. */
  onScrape(refresh: () => void): void {
    this.#refreshers.push(refresh);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The exposition text of every metric. */
  async text(): Promise<string> {
    for (const refresh of this.#refreshers) refresh();
    return await this.#registry.metrics();
  }
}
