// What the machinery measures, whatever the controllers are.
import type { Counter, Gauge, Histogram, Metrics } from '../../runtime/metrics.ts';

export const apiVerbs = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'] as const;
export type ApiVerb = (typeof apiVerbs)[number];
export const apiOutcomes = ['ok', 'conflict', 'refused', 'failed', 'unreachable'] as const;
export type ApiOutcome = (typeof apiOutcomes)[number];
export const reconcileOutcomes = ['ok', 'conflict', 'failed'] as const;
export type ReconcileOutcome = (typeof reconcileOutcomes)[number];

const seconds = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 2, 5, 15, 60] as const;

export class MachineryMetrics {
  readonly apiRequests: Counter<'verb' | 'outcome'>;
  readonly leader: Gauge;
  readonly leadershipChanges: Counter<'change'>;
  readonly informerObjects: Gauge<'collection'>;
  readonly informerSynced: Gauge<'collection'>;
  readonly informerLists: Counter<'collection'>;
  readonly informerEvents: Counter<'collection'>;
  readonly informerFailures: Counter<'collection'>;
  readonly queueDepth: Gauge<'controller'>;
  readonly queueSeconds: Histogram<'controller'>;
  readonly reconcileSeconds: Histogram<'controller'>;
  readonly reconciles: Counter<'controller' | 'outcome'>;
  readonly events: Counter<'outcome'>;

  constructor(metrics: Metrics) {
    this.apiRequests = metrics.counter(
      'holdfast_controllers_api_requests_total',
      'Requests to the API server that are over; watches when they are open.',
      ['verb', 'outcome'],
    );
    for (const verb of apiVerbs) for (const outcome of apiOutcomes) this.apiRequests.inc({ verb, outcome }, 0);
    this.leader = metrics.gauge('holdfast_controllers_leader', '1 while this replica leads.');
    this.leadershipChanges = metrics.counter(
      'holdfast_controllers_leadership_changes_total',
      'How leadership of this replica began and ended.',
      ['change'],
    );
    for (const change of ['gained', 'lost', 'released']) this.leadershipChanges.inc({ change }, 0);
    this.informerObjects = metrics.gauge('holdfast_controllers_informer_objects', 'Objects that are known.', [
      'collection',
    ]);
    this.informerSynced = metrics.gauge(
      'holdfast_controllers_informer_synced',
      '1 once the collection has been listed.',
      ['collection'],
    );
    this.informerLists = metrics.counter('holdfast_controllers_informer_lists_total', 'Whole lists.', ['collection']);
    this.informerEvents = metrics.counter('holdfast_controllers_informer_events_total', 'Events of watches.', [
      'collection',
    ]);
    this.informerFailures = metrics.counter(
      'holdfast_controllers_informer_failures_total',
      'Lists and watches that failed.',
      ['collection'],
    );
    this.queueDepth = metrics.gauge('holdfast_controllers_queue_depth', 'Keys that wait to be reconciled.', [
      'controller',
    ]);
    this.queueSeconds = metrics.histogram(
      'holdfast_controllers_queue_seconds',
      'From the moment a key is due until its reconcile begins.',
      seconds,
      ['controller'],
    );
    this.reconcileSeconds = metrics.histogram(
      'holdfast_controllers_reconcile_seconds',
      'How long reconciles take.',
      seconds,
      ['controller'],
    );
    this.reconciles = metrics.counter('holdfast_controllers_reconciles_total', 'Reconciles that are over.', [
      'controller',
      'outcome',
    ]);
    this.events = metrics.counter('holdfast_controllers_events_total', 'Events for people.', ['outcome']);
    for (const outcome of ['sent', 'failed', 'dropped']) this.events.inc({ outcome }, 0);
  }

  /** Makes the series of one controller, so that its rates have a beginning. */
  controller(controller: string): void {
    this.queueDepth.set({ controller }, 0);
    for (const outcome of reconcileOutcomes) this.reconciles.inc({ controller, outcome }, 0);
  }

  /** Likewise of one collection. */
  collection(collection: string): void {
    this.informerObjects.set({ collection }, 0);
    this.informerSynced.set({ collection }, 0);
    for (const counter of [this.informerLists, this.informerEvents, this.informerFailures])
      counter.inc({ collection }, 0);
  }
}
