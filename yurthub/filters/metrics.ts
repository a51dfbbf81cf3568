// Metrics of the filters.
import type { Metrics } from '../../runtime/metrics.ts';
import { filterNames } from './names.ts';

export type FilterMetrics = ReturnType<typeof filterMetrics>;

export function filterMetrics(metrics: Metrics) {
  const made = {
    failures: metrics.counter(
      'holdfast_yurthub_filter_failures_total',
      'Objects that a filter could not read: they are shown without it',
      ['filter'],
    ),
  };
  for (const filter of filterNames) made.failures.inc({ filter }, 0);
  return made;
}
