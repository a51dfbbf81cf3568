// What the front counts. Label sets are bounded and zeroed at start, so that a rate has a beginning.
import type { Counter, Gauge, Metrics, Tally } from '../../runtime/metrics.ts';
import type { RequestInfo } from '../../kube/request-info.ts';

export const verbClasses = ['get', 'list', 'watch', 'write', 'other'] as const;
export const codeClasses = ['1xx', '2xx', '3xx', '4xx', '5xx', 'aborted'] as const;
export const refusalReasons = [
  'foreign-certificate',
  'no-credentials',
  'not-root',
  'in-container',
  'wrong-usage',
] as const;

export type VerbClass = (typeof verbClasses)[number];
export type CodeClass = (typeof codeClasses)[number];
export type RefusalReason = (typeof refusalReasons)[number];

export class FrontMetrics {
  readonly #requests: readonly Tally[];
  readonly #refusals: Counter<'reason'>;
  readonly build: Gauge<'version'>;
  readonly connections: Gauge;
  readonly streams: Tally;
  readonly upgrades: Gauge;
  readonly droppedConnections: Counter;
  readonly tlsErrors: Counter;
  readonly malformed: Counter;
  readonly handlerFailures: Counter;
  readonly stalled: Counter;

  constructor(metrics: Metrics) {
    this.build = metrics.gauge('holdfast_yurthub_build_info', 'Always 1; the label is the version.', ['version']);
    this.#requests = metrics.tallies(
      'holdfast_yurthub_front_requests_total',
      'Requests of local clients that are over, by verb class and by class of the answer.',
      ['verb', 'code'],
      verbClasses.flatMap((verb) => codeClasses.map((code) => ({ verb, code }))),
    );
    this.#refusals = metrics.counter(
      'holdfast_yurthub_front_refused_identities_total',
      'Requests refused with 401, by reason.',
      ['reason'],
    );
    for (const reason of refusalReasons) this.#refusals.inc({ reason }, 0);
    this.connections = metrics.gauge('holdfast_yurthub_front_open_connections', 'Open connections of local clients.');
    this.streams = metrics.level('holdfast_yurthub_front_open_streams', 'Requests of local clients in progress.');
    this.upgrades = metrics.gauge(
      'holdfast_yurthub_front_open_upgrades',
      'Upgraded connections (exec, attach, port-forward).',
    );
    this.droppedConnections = metrics.counter(
      'holdfast_yurthub_front_dropped_connections_total',
      'Connections refused because too many were open.',
    );
    this.tlsErrors = metrics.counter(
      'holdfast_yurthub_front_tls_errors_total',
      'Connections that failed before TLS was established.',
    );
    this.malformed = metrics.counter(
      'holdfast_yurthub_front_malformed_requests_total',
      'Requests refused as malformed.',
    );
    this.handlerFailures = metrics.counter(
      'holdfast_yurthub_front_handler_failures_total',
      'Requests that failed inside the hub.',
    );
    this.stalled = metrics.counter(
      'holdfast_yurthub_front_stalled_clients_total',
      'Answers aborted because the client had stopped reading.',
    );
  }

  request(verb: VerbClass, code: CodeClass): void {
    const tally = this.#requests[verbClasses.indexOf(verb) * codeClasses.length + codeClasses.indexOf(code)];
    if (tally !== undefined) tally.count += 1;
  }

  refused(reason: RefusalReason): void {
    this.#refusals.inc({ reason });
  }
}

export function verbClass(info: RequestInfo | undefined): VerbClass {
  if (info === undefined || !info.isResource) return 'other';
  return info.verb === 'get' || info.verb === 'list' || info.verb === 'watch' ? info.verb : 'write';
}

export function codeClass(statusCode: number, aborted: boolean): CodeClass {
  if (aborted || statusCode < 100) return 'aborted';
  return `${Math.min(Math.floor(statusCode / 100), 5)}xx` as CodeClass;
}
