// The store's metrics.
import type { Counter, Gauge, Metrics } from '../../runtime/metrics.ts';

export interface StoreMetrics {
  readonly degraded: Gauge;
  readonly bytes: Gauge;
  readonly pendingBytes: Gauge;
  readonly batches: Counter;
  readonly writeFailures: Counter<'reason'>;
  readonly recoveries: Counter<'kind'>;
}

export const writeFailureReasons = ['io', 'pending_full', 'store_full', 'not_durable'] as const;
export const recoveryKinds = ['repaired', 'set_aside'] as const;

export function createStoreMetrics(metrics: Metrics): StoreMetrics {
  const created: StoreMetrics = {
    degraded: metrics.gauge(
      'holdfast_yurthub_store_degraded',
      '1 while the store cannot be written to disk and keeps writes in memory.',
    ),
    bytes: metrics.gauge('holdfast_yurthub_store_bytes', 'Size of the store folder on disk, in bytes.'),
    pendingBytes: metrics.gauge(
      'holdfast_yurthub_store_pending_bytes',
      'Accepted writes that wait in memory for the disk, in bytes.',
    ),
    batches: metrics.counter('holdfast_yurthub_store_batches_total', 'Batches written to the store.'),
    writeFailures: metrics.counter(
      'holdfast_yurthub_store_write_failures_total',
      'Failed writes: io (a batch failed), pending_full, store_full, not_durable (a call was refused for that reason).',
      ['reason'],
    ),
    recoveries: metrics.counter(
      'holdfast_yurthub_store_recoveries_total',
      'Recoveries of a damaged store: repaired, or set_aside (started empty).',
      ['kind'],
    ),
  };
  for (const reason of writeFailureReasons) created.writeFailures.inc({ reason }, 0);
  for (const kind of recoveryKinds) created.recoveries.inc({ kind }, 0);
  return created;
}
