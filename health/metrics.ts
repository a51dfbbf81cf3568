// The metrics of the health part, all of them, zeroed at start.
import { peerStates, type PeerState } from '../peers/report.ts';
import type { Counter, Gauge, Histogram, Metrics } from '../runtime/metrics.ts';
import { certificateFaults, type CertificateFault } from './node-certificate.ts';
import { reaches, type Reach } from './dial-peer.ts';

export const rejections = [...certificateFaults, 'tls', 'limit'] as const;
export type Rejection = CertificateFault | 'tls' | 'limit';

export const relayOutcomes = ['relayed', 'off', 'no-way-out', 'stranger', 'target', 'limit', 'dial'] as const;
export type RelayOutcome = (typeof relayOutcomes)[number];

export class HealthMetrics {
  readonly roundTrip: Histogram;
  readonly relayConnections: Gauge;
  readonly answered: Counter;
  readonly #probes: Counter<'outcome'>;
  readonly #targets: Gauge<'state'>;
  readonly #rejected: Counter<'reason'>;
  readonly #relayed: Counter<'outcome'>;
  readonly #relayBytes: Counter<'direction'>;
  readonly #opened: Counter<'outcome'>;

  constructor(metrics: Metrics) {
    this.#probes = metrics.counter(
      'holdfast_health_probes_total',
      'Probes of peers, by how far they got. tcp: connected, and no proof of the node or no usable answer',
      ['outcome'],
    );
    this.roundTrip = metrics.histogram(
      'holdfast_health_probe_seconds',
      'Duration of probes that were answered',
      [0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2],
    );
    this.#targets = metrics.gauge('holdfast_health_targets', 'Peers that this node observes, by what they look like', [
      'state',
    ]);
    this.answered = metrics.counter('holdfast_health_probes_answered_total', 'Probes of peers that this node answered');
    this.#rejected = metrics.counter(
      'holdfast_health_rejected_total',
      'Connections to the port for peers that were turned away',
      ['reason'],
    );
    this.#relayed = metrics.counter(
      'holdfast_health_relay_requests_total',
      'Connections that peers asked this node for',
      ['outcome'],
    );
    this.relayConnections = metrics.gauge(
      'holdfast_health_relay_connections',
      'Connections of peers through this node',
    );
    this.#relayBytes = metrics.counter(
      'holdfast_health_relay_bytes_total',
      'Bytes that went through this node for peers, counted when a connection ends. up: to the cloud',
      ['direction'],
    );
    this.#opened = metrics.counter(
      'holdfast_health_relay_dials_total',
      'Connections that this node asked peers for since its own way out was gone',
      ['outcome'],
    );
    for (const outcome of ['answered', ...reaches]) this.#probes.inc({ outcome }, 0);
    for (const reason of rejections) this.#rejected.inc({ reason }, 0);
    for (const outcome of relayOutcomes) this.#relayed.inc({ outcome }, 0);
    for (const direction of ['up', 'down']) this.#relayBytes.inc({ direction }, 0);
    for (const outcome of ['connected', 'failed']) this.#opened.inc({ outcome }, 0);
    for (const state of peerStates) this.#targets.set({ state }, 0);
  }

  probe(outcome: Reach | 'answered'): void {
    this.#probes.inc({ outcome });
  }

  targets(states: readonly PeerState[]): void {
    for (const state of peerStates) this.#targets.set({ state }, states.filter((each) => each === state).length);
  }

  rejected(reason: Rejection): void {
    this.#rejected.inc({ reason });
  }

  relayed(outcome: RelayOutcome): void {
    this.#relayed.inc({ outcome });
  }

  relayBytes(up: number, down: number): void {
    this.#relayBytes.inc({ direction: 'up' }, up);
    this.#relayBytes.inc({ direction: 'down' }, down);
  }

  opened(outcome: 'connected' | 'failed'): void {
    this.#opened.inc({ outcome });
  }
}
