// A node with its hub: it probes the peers that the real rendezvous gives it, on the schedule and with the state machine of
// health/, and renews its Lease with the real report in it.
import { RenewalRecord } from '../../../health/renewal-record.ts';
import { afterSighting, heldMs, newTarget, type TargetState } from '../../../health/target-state.ts';
import type { Observation } from '../../../peers/observers.ts';
import { formatReport, type PeerReport } from '../../../peers/report.ts';
import type { Random } from '../random.ts';
import type { Timeline } from '../timeline.ts';
import type { World } from './world.ts';

/** Of health/: five seconds between probes, one while in doubt, two for an answer; and the kubelet's ten for its Lease. */
const schedule = { periodMs: 5_000, doubtPeriodMs: 1_000, timeoutMs: 2_000, renewMs: 10_000, renewTimeoutMs: 10_000 };
/** TCP and TLS 1.3 before the request, on a new connection. */
const roundTrips = { fresh: 3, standing: 1 };
export interface Sent {
  probes: number;
  reportBytes: number;
  reports: number;
}

export class PretendedNode {
  readonly name: string;
  readonly #index: number;
  readonly #pool: string;
  readonly #world: World;
  readonly #time: Timeline;
  readonly #random: Random;
  readonly #observation: Observation;
  readonly #deliver: (report: string) => void;
  readonly #targets = new Map<string, { readonly index: number; state: TargetState; isConnected: boolean }>();
  readonly sent: Sent = { probes: 0, reportBytes: 0, reports: 0 };
  #boot = '';
  #seq = 0;
  #life = 0;
  #onlineSinceMs: number | undefined;
  #renewals = new RenewalRecord();

  constructor(
    index: number,
    parts: {
      readonly pool: string;
      readonly world: World;
      readonly time: Timeline;
      readonly random: Random;
      readonly observation: Observation;
      /** A PUT of the node's Lease has arrived. */
      readonly deliver: (report: string) => void;
    },
  ) {
    this.#index = index;
    this.name = parts.world.names[index]!;
    this.#pool = parts.pool;
    this.#world = parts.world;
    this.#time = parts.time;
    this.#random = parts.random;
    this.#observation = parts.observation;
    this.#deliver = parts.deliver;
  }

  /** The machine has started: what its hub knew before is gone. */
  boot(): void {
    const life = (this.#life += 1);
    this.#boot = Array.from({ length: 16 }, () => this.#random.whole(0, 15).toString(16)).join('');
    this.#seq = 0;
    this.#onlineSinceMs = undefined;
    this.#renewals = new RenewalRecord();
    this.#targets.clear();
    for (const name of this.#observation.observedBy(this.name)) {
      const index = this.#world.names.indexOf(name);
      this.#targets.set(name, { index, state: newTarget(this.#time.nowMs), isConnected: false });
      this.#time.after(this.#random.next() * schedule.doubtPeriodMs, () => this.#probe(name, life));
    }
    this.#time.after(this.#random.next() * schedule.renewMs, () => this.#renew(life));
  }

  #probe(name: string, life: number): void {
    const target = this.#targets.get(name);
    if (target === undefined || life !== this.#life || !this.#world.isOn[this.#index]) return;
    const trips = target.isConnected ? roundTrips.standing : roundTrips.fresh;
    this.sent.probes += 1;
    const tookMs = this.#world.sees(this.#index, target.index)
      ? this.#world.exchange(this.#world.lan, trips, !target.isConnected, schedule.timeoutMs)
      : undefined;
    this.#time.after(tookMs ?? schedule.timeoutMs, () => {
      if (life !== this.#life || !this.#world.isOn[this.#index]) return;
      target.isConnected = tookMs !== undefined;
      target.state = afterSighting(
        target.state,
        tookMs === undefined ? { kind: 'failed', reach: 'nothing' } : { kind: 'answered', kubelet: 'ok' },
        this.#time.nowMs,
      );
      const isSettled = target.state.state === 'up' && target.state.doubts === 0;
      const pauseMs = (isSettled ? schedule.periodMs : schedule.doubtPeriodMs) * (0.8 + 0.4 * this.#random.next());
      this.#time.after(pauseMs, () => this.#probe(name, life));
    });
  }

  #renew(life: number): void {
    if (life !== this.#life || !this.#world.isOn[this.#index]) return;
    this.#time.after(schedule.renewMs, () => this.#renew(life));
    const report = this.#report();
    const arrived = this.#renewals.sent();
    const tookMs = this.#world.reachesCloud(this.#index)
      ? this.#world.exchange(this.#world.wan, roundTrips.standing, false, schedule.renewTimeoutMs)
      : undefined;
    if (tookMs === undefined) {
      this.#onlineSinceMs = undefined;
      return;
    }
    this.sent.reports += 1;
    this.sent.reportBytes += report.length;
    this.#time.after(tookMs, () => {
      this.#onlineSinceMs ??= this.#time.nowMs;
      arrived();
      this.#deliver(report);
    });
  }

  #report(): string {
    const { nowMs } = this.#time;
    this.#seq += 1;
    return formatReport({
      reporter: this.name,
      pool: this.#pool,
      boot: this.#boot,
      seq: this.#seq,
      onlineSeconds: this.#onlineSinceMs === undefined ? 0 : (nowMs - this.#onlineSinceMs) / 1000,
      cutSeconds: 0,
      renewals: this.#renewals.rounds,
      peers: [...this.#targets].map(([name, { state }]): PeerReport => ({
        name,
        state: state.state,
        forSeconds: heldMs(state, nowMs) / 1000,
        probedSeconds: (nowMs - state.probedMs) / 1000,
        failures: state.failures,
        probes: state.probes,
      })),
    });
  }
}
