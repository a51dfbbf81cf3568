// What the guard tells of itself.
import type { Counter, Gauge, Metrics } from '../../runtime/metrics.ts';
import { reportProblems } from '../../peers/report.ts';
import { verdictKinds, type VerdictKind } from './rules.ts';

export class GuardMetrics {
  readonly nodes: Gauge<'verdict'>;
  readonly decisions: Counter<'verdict'>;
  readonly podsDeleted: Counter;
  readonly podsWaiting: Gauge;
  readonly tolerations: Counter<'change'>;
  readonly reportsRefused: Counter<'problem'>;
  readonly failures: Counter<'action'>;
  readonly pictureAge: Gauge;

  constructor(metrics: Metrics) {
    this.nodes = metrics.gauge(
      'holdfast_controllers_guard_nodes',
      'Members of pools by verdict, in the replica that leads.',
      ['verdict'],
    );
    this.decisions = metrics.counter(
      'holdfast_controllers_guard_decisions_total',
      'Verdicts that were written to a Node because they differed from the one before.',
      ['verdict'],
    );
    for (const verdict of verdictKinds) {
      this.nodes.set({ verdict }, 0);
      if (verdict !== 'observing') this.decisions.inc({ verdict }, 0);
    }
    this.podsDeleted = metrics.counter(
      'holdfast_controllers_guard_pods_deleted_total',
      'Pods of dead nodes that were deleted.',
    );
    this.podsWaiting = metrics.gauge(
      'holdfast_controllers_guard_pods_waiting',
      'Pods of dead nodes that go only when the node is known to be fenced.',
    );
    this.tolerations = metrics.counter(
      'holdfast_controllers_guard_tolerations_total',
      'Changes of how long a pod stays on a node that is cut off.',
      ['change'],
    );
    for (const change of ['set', 'restored']) this.tolerations.inc({ change }, 0);
    this.reportsRefused = metrics.counter(
      'holdfast_controllers_guard_reports_refused_total',
      'Reports of nodes about their peers that were not taken.',
      ['problem'],
    );
    for (const problem of [...reportProblems, 'replayed']) this.reportsRefused.inc({ problem }, 0);
    this.failures = metrics.counter(
      'holdfast_controllers_guard_failures_total',
      'Actions that the API server did not take; they are tried again.',
      ['action'],
    );
    for (const action of ['node', 'pods', 'leases']) this.failures.inc({ action }, 0);
    this.pictureAge = metrics.gauge(
      'holdfast_controllers_guard_picture_age_seconds',
      'Since the guard last had proof that what it knows of the Leases is current.',
    );
  }

  /** How many members each pool has by verdict is kept by the caller; this is the sum. */
  count(verdict: VerdictKind, nodes: number): void {
    this.nodes.set({ verdict }, nodes);
  }
}
