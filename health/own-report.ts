// What this node reports of its peers with the next renewal of its Lease: what it saw of them, how long it has itself been in reach, and
// how its links have been.
import { randomBytes } from 'node:crypto';
import type { Clock } from '../runtime/clock.ts';
import { formatReport, reportAnnotation } from '../peers/report.ts';
import { CutRecord } from './cut-record.ts';
import type { Target } from './prober.ts';
import { RenewalRecord } from './renewal-record.ts';
import { heldMs } from './target-state.ts';

/** For the hub, which puts it into the kubelet's own renewal. */
export interface OwnAnnotation {
  readonly key: string;
  /** Undefined: there must be none. */
  readonly text: string | undefined;
  /** To be called when the API server has taken it. */
  readonly arrived: () => void;
}

export class OwnReport {
  readonly #clock: Clock;
  readonly #nodeName: string;
  readonly #cuts: CutRecord;
  readonly #renewals = new RenewalRecord();
  readonly #boot = randomBytes(8).toString('hex');
  #seq = 0;

  constructor({ clock }: { readonly clock: Clock }, nodeName: string) {
    this.#clock = clock;
    this.#nodeName = nodeName;
    this.#cuts = new CutRecord(clock);
  }

  /** Whether the cloud can be reached, by whatever way. */
  cloud(reachable: boolean): void {
    this.#cuts.update(reachable);
    if (!reachable) this.#renewals.lost();
  }

  /** For the next renewal. `pool`: undefined for a node that is in none. */
  next(pool: string | undefined, targets: readonly Target[]): OwnAnnotation {
    if (pool === undefined) return { key: reportAnnotation, text: undefined, arrived: () => undefined };
    this.#seq += 1;
    const nowMs = this.#clock.monotonicMs();
    const text = formatReport({
      reporter: this.#nodeName,
      pool,
      boot: this.#boot,
      seq: this.#seq,
      onlineSeconds: this.#cuts.onlineSeconds,
      cutSeconds: this.#cuts.cutSeconds,
      renewals: this.#renewals.rounds,
      peers: targets.map(({ address, state }) => ({
        name: address.node,
        state: state.state,
        forSeconds: heldMs(state, nowMs) / 1_000,
        probedSeconds: (nowMs - state.probedMs) / 1_000,
        failures: state.failures,
        probes: state.probes,
      })),
    });
    return { key: reportAnnotation, text, arrived: this.#renewals.sent() };
  }
}
