// What the tunnel server counts. Label sets are bounded and zeroed at start, so that a rate has a beginning.
import type { Counter, Gauge, Histogram, Metrics } from '../runtime/metrics.ts';
import { refusalReasons, type RefusalReason } from '../tunnel/refusal.ts';

/** How a connection came in. */
export const ways = ['egress', 'proxy', 'dnat', 'edge'] as const;
export type Way = (typeof ways)[number];

export const rejectionReasons = ['tls', 'identity', 'unknown-node', 'hello', 'limit'] as const;
export type RejectionReason = (typeof rejectionReasons)[number];

export class ServerMetrics {
  readonly nodes: Gauge;
  readonly sessions: Gauge;
  readonly roundTrip: Histogram;
  readonly directoryReady: Gauge;
  readonly superseded: Counter;
  readonly dnatInStep: Gauge;
  readonly dnatAddresses: Gauge;
  readonly dnatConflicts: Gauge;
  readonly certificateExpiry: Gauge;
  readonly #streams: Gauge<'way'>;
  readonly #rejections: Counter<'reason'>;
  readonly #dials: Counter<'way' | 'outcome'>;
  readonly #dialSeconds: Histogram<'way'>;
  readonly #bytes: Counter<'way' | 'direction'>;

  constructor(metrics: Metrics) {
    this.nodes = metrics.gauge('holdfast_tunnel_server_connected_nodes', 'Nodes with a live connection.');
    this.sessions = metrics.gauge(
      'holdfast_tunnel_server_agent_connections',
      'Connections of agents, old ones among them.',
    );
    this.roundTrip = metrics.histogram(
      'holdfast_tunnel_server_round_trip_seconds',
      'Round trips to agents, by pings.',
      [0.002, 0.01, 0.03, 0.1, 0.3, 1, 3],
    );
    this.directoryReady = metrics.gauge(
      'holdfast_tunnel_server_directory_synced',
      'Whether the nodes and pods of the cluster are known.',
    );
    this.superseded = metrics.counter(
      'holdfast_tunnel_server_superseded_registrations_total',
      'Registrations that took the place of one that was still open.',
    );
    this.dnatInStep = metrics.gauge(
      'holdfast_tunnel_server_dnat_in_step',
      'Whether the rules of DNAT mode are those that the nodes want.',
    );
    this.dnatAddresses = metrics.gauge(
      'holdfast_tunnel_server_dnat_addresses',
      'Addresses of edge nodes that lead into the tunnel.',
    );
    this.dnatConflicts = metrics.gauge(
      'holdfast_tunnel_server_dnat_conflicts',
      'Edge nodes with an address that is not theirs alone.',
    );
    this.certificateExpiry = metrics.gauge(
      'holdfast_tunnel_server_certificate_expiry_seconds',
      'When the certificate of this server expires.',
    );
    this.#streams = metrics.gauge('holdfast_tunnel_server_open_streams', 'Connections in progress.', ['way']);
    this.#rejections = metrics.counter(
      'holdfast_tunnel_server_rejected_agents_total',
      'Agents turned away, by reason.',
      ['reason'],
    );
    for (const reason of rejectionReasons) this.#rejections.inc({ reason }, 0);
    this.#dials = metrics.counter('holdfast_tunnel_server_dials_total', 'Connections asked for, by outcome.', [
      'way',
      'outcome',
    ]);
    this.#dialSeconds = metrics.histogram(
      'holdfast_tunnel_server_dial_seconds',
      'Time until a connection was made.',
      [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10],
      ['way'],
    );
    this.#bytes = metrics.counter('holdfast_tunnel_server_bytes_total', 'Bytes of connections that are over.', [
      'way',
      'direction',
    ]);
    for (const way of ways) {
      this.#streams.set({ way }, 0);
      for (const outcome of ['node', 'direct', 'cancelled', ...refusalReasons]) this.#dials.inc({ way, outcome }, 0);
      for (const direction of ['in', 'out']) this.#bytes.inc({ way, direction }, 0);
    }
  }

  rejected(reason: RejectionReason): void {
    this.#rejections.inc({ reason });
  }

  dial(way: Way, outcome: 'node' | 'direct' | 'cancelled' | RefusalReason): void {
    this.#dials.inc({ way, outcome });
  }

  dialled(way: Way, durationMs: number): void {
    this.#dialSeconds.observe({ way }, durationMs / 1000);
  }

  streams(way: Way, by: 1 | -1): void {
    this.#streams.inc({ way }, by);
  }

  bytes(way: Way, inBytes: number, outBytes: number): void {
    this.#bytes.inc({ way, direction: 'in' }, inBytes);
    this.#bytes.inc({ way, direction: 'out' }, outBytes);
  }
}
