// Metrics of the views.
import type { Counter, Gauge, Metrics } from '../../runtime/metrics.ts';

export interface ViewMetrics {
  readonly views: Gauge;
  readonly objects: Gauge;
  readonly watchers: Gauge;
  readonly lists: Counter;
  readonly watches: Counter;
  readonly events: Counter;
  readonly failures: Counter<'reason'>;
  readonly answers: Counter<'verb' | 'source'>;
  readonly slowWatchers: Counter;
  readonly dropped: Counter<'reason'>;
}

export function viewMetrics(metrics: Metrics): ViewMetrics {
  const made: ViewMetrics = {
    views: metrics.gauge('holdfast_yurthub_views', 'Views that are kept'),
    objects: metrics.gauge('holdfast_yurthub_view_objects', 'Objects in all views'),
    watchers: metrics.gauge('holdfast_yurthub_view_watchers', 'Local watches that are served from views'),
    lists: metrics.counter('holdfast_yurthub_upstream_lists_total', 'Lists that reflectors made at the API server'),
    watches: metrics.counter('holdfast_yurthub_upstream_watches_total', 'Watches that reflectors opened'),
    events: metrics.counter('holdfast_yurthub_upstream_events_total', 'Watch events that reflectors received'),
    failures: metrics.counter('holdfast_yurthub_reflector_failures_total', 'Lists and watches that failed', ['reason']),
    answers: metrics.counter('holdfast_yurthub_view_answers_total', 'Local requests answered from views', [
      'verb',
      'source',
    ]),
    slowWatchers: metrics.counter('holdfast_yurthub_slow_watchers_total', 'Watches ended: the client did not read'),
    dropped: metrics.counter('holdfast_yurthub_views_dropped_total', 'Views that were given up', ['reason']),
  };
  for (const reason of ['refused', 'unreachable', 'short_watch', 'malformed', 'other'])
    made.failures.inc({ reason }, 0);
  for (const reason of ['idle', 'denied', 'store', 'bounds']) made.dropped.inc({ reason }, 0);
  for (const verb of ['list', 'watch', 'get'])
    for (const source of ['live', 'stored']) made.answers.inc({ verb, source }, 0);
  return made;
}
