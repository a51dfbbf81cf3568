// The one place where prom-client is known. Each folder lists its metrics in its own metrics.ts through these three makers.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

export type { Counter, Gauge, Histogram } from 'prom-client';

export interface MetricDescription {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
}

/** One registry per process, made by main and passed down; nothing registers itself when a module is loaded. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #descriptions: MetricDescription[] = [];

  counter<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    this.#descriptions.push({ name, type: 'counter', labels: labelNames });
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  gauge<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> {
    this.#descriptions.push({ name, type: 'gauge', labels: labelNames });
    return new Gauge({ name, help, labelNames, registers: [this.#registry] });
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

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The exposition text of every metric. */
  async text(): Promise<string> {
    return await this.#registry.metrics();
  }
}
