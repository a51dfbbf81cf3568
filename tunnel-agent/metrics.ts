// What the agent counts. Label sets are bounded and zeroed at start, so that a rate has a beginning.
import type { Counter, Gauge, Metrics } from '../runtime/metrics.ts';
import { refusalReasons, type RefusalReason } from '../tunnel/refusal.ts';

export const connectOutcomes = ['connected', 'failed', 'duplicate'] as const;
export type ConnectOutcome = (typeof connectOutcomes)[number];

export class AgentMetrics {
  readonly servers: Gauge;
  readonly knownServers: Gauge;
  readonly streams: Gauge;
  readonly roundTrip: Gauge;
  readonly suspicions: Counter;
  readonly certificateExpiry: Gauge;
  readonly #connects: Counter<'outcome'>;
  readonly #dials: Counter<'outcome'>;
  readonly #bytes: Counter<'direction'>;
  readonly #localDials: Counter<'outcome'>;

  constructor(metrics: Metrics) {
    this.servers = metrics.gauge('holdfast_tunnel_agent_connected_servers', 'Tunnel servers with a live connection.');
    this.knownServers = metrics.gauge('holdfast_tunnel_agent_known_servers', 'Tunnel servers that are tried.');
    this.streams = metrics.gauge('holdfast_tunnel_agent_open_streams', 'Connections through the tunnel.');
    this.roundTrip = metrics.gauge('holdfast_tunnel_agent_round_trip_seconds', 'Last measured round trip to a server.');
    this.suspicions = metrics.counter(
      'holdfast_tunnel_agent_suspect_paths_total',
      'Times that a path fell silent and a second one was begun.',
    );
    this.certificateExpiry = metrics.gauge(
      'holdfast_tunnel_agent_certificate_expiry_seconds',
      'When the certificate of this agent expires.',
    );
    this.#connects = metrics.counter('holdfast_tunnel_agent_connects_total', 'Connections to servers, by outcome.', [
      'outcome',
    ]);
    for (const outcome of connectOutcomes) this.#connects.inc({ outcome }, 0);
    this.#dials = metrics.counter(
      'holdfast_tunnel_agent_dials_total',
      'Connections asked for by servers, by outcome.',
      ['outcome'],
    );
    for (const outcome of ['connected', 'cancelled', ...refusalReasons]) this.#dials.inc({ outcome }, 0);
    this.#localDials = metrics.counter(
      'holdfast_tunnel_agent_local_dials_total',
      'Connections asked for at the local port, by outcome.',
      ['outcome'],
    );
    for (const outcome of ['connected', 'cancelled', ...refusalReasons]) this.#localDials.inc({ outcome }, 0);
    this.#bytes = metrics.counter('holdfast_tunnel_agent_bytes_total', 'Bytes of connections that are over.', [
      'direction',
    ]);
    for (const direction of ['in', 'out']) this.#bytes.inc({ direction }, 0);
  }

  connect(outcome: ConnectOutcome): void {
    this.#connects.inc({ outcome });
  }

  dial(outcome: 'connected' | 'cancelled' | RefusalReason): void {
    this.#dials.inc({ outcome });
  }

  localDial(outcome: 'connected' | 'cancelled' | RefusalReason): void {
    this.#localDials.inc({ outcome });
  }

  bytes(inBytes: number, outBytes: number): void {
    this.#bytes.inc({ direction: 'in' }, inBytes);
    this.#bytes.inc({ direction: 'out' }, outBytes);
  }
}
