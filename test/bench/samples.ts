// What was measured, round by round, and what is made of it.
import { variants } from './ways.ts';
import type { Variant } from './ways.ts';

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** In the order of the rounds. */
  readonly samples: readonly number[];
}

export type Summaries = Readonly<Partial<Record<Variant, Summary>>>;

export class Samples {
  readonly #values = new Map<string, Map<Variant, number[]>>();

  /** One value of one round. The row is an id of rows.ts. */
  add(row: string, variant: Variant, value: number): void {
    if (!Number.isFinite(value)) throw new TypeError(`${row} of ${variant} is ${value}`);
    const ofRow = this.#values.get(row) ?? new Map<Variant, number[]>();
    this.#values.set(row, ofRow);
    ofRow.set(variant, [...(ofRow.get(variant) ?? []), value]);
  }

  rows(): string[] {
    return [...this.#values.keys()];
  }

  summaries(row: string): Summaries {
    const ofRow = this.#values.get(row);
    const entries = variants.flatMap((variant) => {
      const summary = summarize(ofRow?.get(variant) ?? []);
      return summary === undefined ? [] : [[variant, summary] as const];
    });
    return Object.fromEntries(entries);
  }
}

/** Undefined of nothing. The median of an even number is the mean of the two in the middle. */
export function summarize(samples: readonly number[]): Summary | undefined {
  const sorted = [...samples].sort((a, b) => a - b);
  const [min] = sorted;
  const max = sorted.at(-1);
  const low = sorted[(sorted.length - 1) >> 1];
  const high = sorted[sorted.length >> 1];
  if (min === undefined || max === undefined || low === undefined || high === undefined) return undefined;
  return { median: (low + high) / 2, min, max, samples };
}

/** The slope of the line through points (x, y) that is nearest to them by least squares; 0 with fewer than two. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const covariance = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return spread === 0 || points.length < 2 ? 0 : covariance / spread;
}
