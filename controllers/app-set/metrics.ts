// What the controller of YurtAppSets does to the cluster.
import type { Counter, Metrics } from '../../runtime/metrics.ts';

export const appSetWrites = [
  'start',
  'record',
  'repair',
  'scale',
  'delete',
  'mark-lost',
  'unmark-lost',
  'revision',
  'finalizer',
  'status',
] as const;
export type AppSetWrite = (typeof appSetWrites)[number];

export class AppSetMetrics {
  readonly writes: Counter<'write'>;
  readonly refusals: Counter;

  constructor(metrics: Metrics) {
    this.writes = metrics.counter(
      'holdfast_controllers_app_set_writes_total',
      'Writes for YurtAppSets that were carried out.',
      ['write'],
    );
    for (const write of appSetWrites) this.writes.inc({ write }, 0);
    this.refusals = metrics.counter(
      'holdfast_controllers_app_set_refusals_total',
      'Workloads that the API server refused as they were rendered for a pool.',
    );
  }
}
