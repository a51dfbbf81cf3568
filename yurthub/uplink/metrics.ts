// The uplink's metrics, all of them, zeroed at start.
import type { Metrics } from '../../runtime/metrics.ts';
import type { Lane } from '../types.ts';
import { lossReasons } from './cloud-state.ts';

export const requestOutcomes = ['answered', 'broken', 'unreachable', 'client_gone', 'failed'] as const;
export type RequestOutcome = (typeof requestOutcomes)[number];

const lanes = ['node', 'bearer'] as const;

export function countRequest(metrics: UplinkMetrics, lane: Lane, outcome: RequestOutcome): void {
  const tally = metrics.requests[lanes.indexOf(lane) * requestOutcomes.length + requestOutcomes.indexOf(outcome)];
  if (tally !== undefined) tally.count += 1;
}

export type UplinkMetrics = ReturnType<typeof uplinkMetrics>;

export function uplinkMetrics(metrics: Metrics) {
  const made = {
    reachable: metrics.gauge('holdfast_yurthub_cloud_reachable', '1 while any API server can be reached'),
    serverReachable: metrics.gauge(
      'holdfast_yurthub_api_server_reachable',
      '1 while this API server can be reached, by host and port as in apiServers',
      ['server'],
    ),
    relayed: metrics.gauge('holdfast_yurthub_cloud_relayed', '1 while requests to API servers go through a peer'),
    requests: metrics.tallies(
      'holdfast_yurthub_upstream_requests_total',
      'Requests towards API servers. broken: lost after the head; unreachable: no answer to be had',
      ['lane', 'outcome'],
      lanes.flatMap((lane) => requestOutcomes.map((outcome) => ({ lane, outcome }))),
    ),
    connects: metrics.counter('holdfast_yurthub_upstream_connects_total', 'Connection attempts to API servers', [
      'kind',
      'outcome',
    ]),
    pings: metrics.counter('holdfast_yurthub_upstream_pings_total', 'HTTP/2 pings to API servers', ['outcome']),
    roundTrip: metrics.gauge('holdfast_yurthub_upstream_round_trip_seconds', 'Last measured round trip'),
    losses: metrics.counter('holdfast_yurthub_upstream_losses_total', 'API servers that ceased to be reachable', [
      'reason',
    ]),
    certificateExpiry: metrics.gauge(
      'holdfast_yurthub_client_certificate_expiry_seconds',
      'When the node client certificate expires, seconds since 1970; 0 when there is none',
    ),
    credentialReloads: metrics.counter(
      'holdfast_yurthub_credential_reloads_total',
      'Times that the credential files were read anew. failed: unreadable or mismatched, the old pair stays',
      ['outcome'],
    ),
  };
  made.reachable.set(1);
  made.relayed.set(0);
  made.roundTrip.set(0);
  made.certificateExpiry.set(0);
  for (const kind of ['unary', 'session', 'raw', 'probe'])
    for (const outcome of ['connected', 'failed']) made.connects.inc({ kind, outcome }, 0);
  for (const outcome of ['answered', 'overdue', 'failed']) made.pings.inc({ outcome }, 0);
  for (const reason of lossReasons) made.losses.inc({ reason }, 0);
  for (const outcome of ['changed', 'failed']) made.credentialReloads.inc({ outcome }, 0);
  return made;
}
