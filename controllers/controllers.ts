// The controllers put together. Informers run in every replica, so that the next leader knows already what there is;
// controllers run in the one that leads. Start and stop order stand here.
import type { AddressInfo } from 'node:net';
import type { Clock } from '../runtime/clock.ts';
import { LinkedAbort } from '../runtime/linked-abort.ts';
import type { Log } from '../runtime/log.ts';
import type { Metrics } from '../runtime/metrics.ts';
import { Ops } from '../runtime/ops.ts';
import type { Endpoint } from '../runtime/settings.ts';
import type { Access } from './machinery/access.ts';
import { refuseBesideOpenYurt } from './beside-openyurt.ts';
import { Api } from './machinery/api.ts';
import { ControllerRun } from './machinery/controller.ts';
import { EventRecorder } from './machinery/event-recorder.ts';
import { InformerSet } from './machinery/informer.ts';
import { electionDefaults, LeaderElection, type LeaderElectionSettings } from './machinery/leader-election.ts';
import { MachineryMetrics } from './machinery/metrics.ts';
import type { ControllerFactory } from './registry.ts';

export interface ControllersParts {
  readonly access: Access;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** As Math.random. */
  readonly random: () => number;
}

export interface ControllersOptions {
  readonly version: string;
  /** Of this replica, and of no other at any time. */
  readonly identity: string;
  readonly leaseNamespace: string;
  readonly requestsPerSecond: number;
  readonly opsListen: Endpoint;
  readonly election?: Pick<LeaderElectionSettings, 'leaseMs' | 'renewMs' | 'retryMs'>;
}

export class Controllers {
  readonly #parts: ControllersParts;
  readonly #options: ControllersOptions;
  readonly #api: Api;
  readonly #informers: InformerSet;
  readonly #recorder: EventRecorder;
  readonly #election: LeaderElection;
  readonly #runs: readonly ControllerRun[];
  readonly #ops: Ops;
  #leading = false;

  constructor(parts: ControllersParts, options: ControllersOptions, factories: readonly ControllerFactory[]) {
    const { clock, random, log } = parts;
    const { identity, requestsPerSecond, version, leaseNamespace } = options;
    this.#parts = parts;
    this.#options = options;
    const metrics = new MachineryMetrics(parts.metrics);
    const api = new Api(
      { access: parts.access, clock, metrics },
      {
        rate: { perSecond: requestsPerSecond, burst: 2 * requestsPerSecond },
        userAgent: `holdfast-controllers/${version}`,
      },
    );
    this.#api = api;
    this.#informers = new InformerSet({ api, log, clock, metrics, random });
    this.#recorder = new EventRecorder({ api, log, clock, metrics, instance: identity });
    const controllers = factories.flatMap((make) =>
      make({ api, informers: this.#informers, recorder: this.#recorder, log, clock, metrics: parts.metrics, random }),
    );
    this.#runs = controllers.map((controller) => new ControllerRun({ log, clock, metrics, random }, controller));
    this.#election = new LeaderElection(
      { api, log, clock, metrics, random },
      {
        lease: { namespace: leaseNamespace, name: 'holdfast-controllers' },
        identity,
        ...(options.election ?? electionDefaults),
      },
    );
    this.#ops = new Ops({
      log,
      metrics: parts.metrics,
      ready: () => [...this.#election.refusal, ...this.#informers.missing],
      listings: {},
    });
  }

  /** This replica leads, everything has been listed, and every key that is due has been looked at. */
  get settled(): boolean {
    return this.#leading && this.#informers.missing.length === 0 && this.#runs.every(({ pending }) => pending === 0);
  }

  /** Until `signal` aborts and all has ended; the Lease is released then. Rejects with ListenError and BesideOpenYurtError. */
  async run(signal: AbortSignal, started: (ops: AddressInfo) => void = () => undefined): Promise<void> {
    const { log, access, clock } = this.#parts;
    const ops = await this.#ops.listen(this.#options.opsListen);
    using work = new LinkedAbort(new AbortController().signal);
    const background = [this.#informers.run(work.signal), this.#recorder.run(work.signal)];
    try {
      log.info('controllers started', { identity: this.#options.identity });
      started(ops);
      await this.#election.run(signal, async (term) => {
        // At each term: it may have been started meanwhile.
        await refuseBesideOpenYurt({ api: this.#api, clock, log }, term).catch(unlessAborted(term));
        if (term.aborted) return;
        this.#leading = true;
        await Promise.all(this.#runs.map((run) => run.run(term))).finally(() => (this.#leading = false));
      });
    } finally {
      // Last: until the Lease is released, reconciles may end what they began.
      work.abort(new Error('stopped'));
      await Promise.all(background);
      access.close();
      await this.#ops.close();
      log.info('controllers stopped');
    }
  }
}

/** What fails because the term is over is no failure. */
function unlessAborted(signal: AbortSignal): (error: unknown) => void {
  return (error) => {
    if (!signal.aborted) throw error;
  };
}
