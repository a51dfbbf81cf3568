// Metrics of the offline write path.
import type { Metrics } from '../../runtime/metrics.ts';

export const writeKinds = ['lease', 'status', 'node', 'event', 'token', 'review'] as const;
export type WriteKind = (typeof writeKinds)[number];

export const dropReasons = ['forbidden', 'not_found', 'invalid', 'server_error', 'unreadable'] as const;
export type DropReason = (typeof dropReasons)[number];

/** reported: its status was sent; finished: the cloud had it already; gone: deleted or replaced; rejected: the API server refused. */
export const finishedPodOutcomes = ['reported', 'finished', 'gone', 'rejected'] as const;
export type FinishedPodOutcome = (typeof finishedPodOutcomes)[number];

export type WriteMetrics = ReturnType<typeof writeMetrics>;

export function writeMetrics(metrics: Metrics) {
  const made = {
    answers: metrics.counter(
      'holdfast_yurthub_offline_writes_total',
      'Writes answered by the hub itself while the cloud was out of reach. refused: 503, nothing was changed',
      ['kind', 'outcome'],
    ),
    overlayObjects: metrics.gauge(
      'holdfast_yurthub_overlay_objects',
      'Objects whose status was written while the cloud was out of reach and is shown to local clients',
    ),
    finishedPods: metrics.counter(
      'holdfast_yurthub_finished_pods_total',
      'Pods that finished while the cloud was out of reach, by what became of their status on return',
      ['outcome'],
    ),
    spoolEvents: metrics.gauge('holdfast_yurthub_event_spool_events', 'Events that wait for the cloud'),
    spoolBytes: metrics.gauge('holdfast_yurthub_event_spool_bytes', 'Size of the events that wait for the cloud'),
    eventsRefused: metrics.counter(
      'holdfast_yurthub_events_refused_total',
      'Events refused with 503 because the spool was full',
    ),
    eventsDelivered: metrics.counter('holdfast_yurthub_events_delivered_total', 'Events of the spool that arrived'),
    eventsDropped: metrics.counter(
      'holdfast_yurthub_events_dropped_total',
      'Events of the spool that the API server does not want, by reason',
      ['reason'],
    ),
    savedTokens: metrics.gauge(
      'holdfast_yurthub_saved_tokens',
      'Service account tokens kept for when the cloud is gone',
    ),
    savedDecisions: metrics.gauge('holdfast_yurthub_saved_decisions', 'Token and access reviews kept likewise'),
    unsaved: metrics.counter(
      'holdfast_yurthub_replies_not_saved_total',
      'Replies of the API server that could not be kept because the store could not be written',
      ['kind'],
    ),
    leaseAnnotations: metrics.counter(
      'holdfast_yurthub_lease_annotations_total',
      "Renewals of the node's Lease that carried the report on its peers. failed: not renewed, for another reason",
      ['outcome'],
    ),
  };
  for (const kind of writeKinds)
    for (const outcome of ['acknowledged', 'refused']) made.answers.inc({ kind, outcome }, 0);
  for (const reason of dropReasons) made.eventsDropped.inc({ reason }, 0);
  for (const outcome of finishedPodOutcomes) made.finishedPods.inc({ outcome }, 0);
  for (const outcome of ['sent', 'failed', 'refused', 'unreadable']) made.leaseAnnotations.inc({ outcome }, 0);
  for (const kind of ['lease', 'token', 'review']) made.unsaved.inc({ kind }, 0);
  return made;
}
