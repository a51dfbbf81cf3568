// One replica of several works: the holder of a Lease, as client-go's leaderelection does it, so that both can watch each other.
// How long the holder has been silent is measured by this machine's own clock, from when its last change was seen.
import { delay, type Clock } from '../../runtime/clock.ts';
import { LinkedAbort } from '../../runtime/linked-abort.ts';
import type { Log } from '../../runtime/log.ts';
import type { Api } from './api.ts';
import { isConflict } from './errors.ts';
import { remedyOf } from './remedy.ts';
import type { MachineryMetrics } from './metrics.ts';
import type { ApiObject, Resource } from './resource.ts';

export const leases: Resource = {
  group: 'coordination.k8s.io',
  version: 'v1',
  resource: 'leases',
  kind: 'Lease',
  namespaced: true,
};

export interface LeaderElectionParts {
  readonly api: Pick<Api, 'get' | 'create' | 'replace'>;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: MachineryMetrics;
  readonly random: () => number;
}

export interface LeaderElectionSettings {
  readonly lease: { readonly namespace: string; readonly name: string };
  /** Of this replica, and of no other at any time. */
  readonly identity: string;
  /** So long after its last sign a holder may be replaced. */
  readonly leaseMs: number;
  /** So long after its last renewal the holder stops by itself: less than `leaseMs` by more than a clock's drift. */
  readonly renewMs: number;
  readonly retryMs: number;
}

/** As Kubernetes' own components: 15 s, 10 s and 2 s, and in that proportion. */
export function electionOf(leaseSeconds: number): Pick<LeaderElectionSettings, 'leaseMs' | 'renewMs' | 'retryMs'> {
  const leaseMs = leaseSeconds * 1000;
  return { leaseMs, renewMs: (leaseMs * 2) / 3, retryMs: (leaseMs * 2) / 15 };
}

export const electionDefaults = electionOf(15);

interface Lease extends ApiObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

export class LeaderElection {
  readonly #parts: LeaderElectionParts;
  readonly #settings: LeaderElectionSettings;
  /** The Lease as it was last seen, and since when it has not changed. */
  #seen: { readonly lease: Lease; readonly atMs: number } | undefined;
  #problemBefore = '';
  /** What keeps this replica from ever leading, as a line with what to do. */
  #refusal: readonly string[] = [];

  constructor(parts: LeaderElectionParts, settings: LeaderElectionSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** Empty unless the API server refuses this replica the Lease: it could never lead. Else one line that says what to do. */
  get refusal(): readonly string[] {
    return this.#refusal;
  }

  /** Who holds the Lease, as far as is known; '' for nobody. */
  get holder(): string {
    return this.#seen?.lease.spec?.holderIdentity ?? '';
  }

  /**
   * Waits to be the leader, then calls `lead`, whose signal aborts when leadership ends or `signal` does; when `lead` has
   * settled the Lease is released. Goes on from the beginning after a loss. Rejects only as `lead` does.
   */
  async run(signal: AbortSignal, lead: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { clock, random, log, metrics } = this.#parts;
    const { retryMs, identity } = this.#settings;
    while (!signal.aborted) {
      if (!(await this.#try(signal))) {
        await delay(clock, retryMs * (1 + 0.2 * random()), signal);
        continue;
      }
      log.info('leading', { identity });
      metrics.leader.set(1);
      metrics.leadershipChanges.inc({ change: 'gained' });
      await this.#lead(signal, lead);
    }
  }

  async #lead(signal: AbortSignal, lead: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { log, metrics } = this.#parts;
    using term = new LinkedAbort(signal);
    using renewing = new LinkedAbort(new AbortController().signal);
    const renewal = this.#renew(renewing.signal, () => {
      log.error('leadership is lost: the Lease could not be renewed in time');
      metrics.leadershipChanges.inc({ change: 'lost' });
      term.abort(new Error('leadership lost'));
    });
    try {
      // The Lease is renewed until the last reconcile has ended: nobody else may begin before.
      await lead(term.signal);
    } finally {
      renewing.abort();
      await renewal;
      metrics.leader.set(0);
      if (this.holder === this.#settings.identity) await this.#release();
    }
  }

  async #renew(signal: AbortSignal, lost: () => void): Promise<void> {
    const { clock } = this.#parts;
    const { retryMs, renewMs } = this.#settings;
    let renewedMs = clock.monotonicMs();
    for (;;) {
      await delay(clock, retryMs, signal);
      if (signal.aborted) return;
      using attempt = new LinkedAbort(signal);
      const timer = clock.after(Math.max(0, renewedMs + renewMs - clock.monotonicMs()), () => attempt.abort());
      const renewed = await this.#try(attempt.signal);
      timer.cancel();
      if (renewed) renewedMs = clock.monotonicMs();
      else if (!signal.aborted && (this.#isHeldByOther() || clock.monotonicMs() - renewedMs >= renewMs)) {
        lost();
        return;
      }
    }
  }

  #isHeldByOther(): boolean {
    return this.holder !== '' && this.holder !== this.#settings.identity;
  }

  /** True when the Lease is ours now. Never rejects. */
  async #try(signal: AbortSignal): Promise<boolean> {
    const { api, clock, log } = this.#parts;
    try {
      const lease = await api.get<Lease>(leases, this.#settings.lease, signal);
      if (lease === undefined) {
        const spec = this.#spec(undefined);
        const metadata = this.#settings.lease;
        const draft = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec };
        this.#see(await api.create<Lease>(leases, draft, signal));
        this.#refusal = [];
        return true;
      }
      this.#see(lease);
      const { holderIdentity = '', leaseDurationSeconds = 0 } = lease.spec ?? {};
      const silentMs = clock.monotonicMs() - this.#seen!.atMs;
      const isFree = holderIdentity === '' || silentMs > leaseDurationSeconds * 1000;
      if (holderIdentity !== this.#settings.identity && !isFree) {
        this.#refusal = [];
        return false;
      }
      signal.throwIfAborted();
      this.#see(await api.replace<Lease>(leases, { ...lease, spec: this.#spec(lease) }, signal));
      this.#refusal = [];
      this.#problemBefore = '';
      return true;
    } catch (error) {
      if (signal.aborted || isConflict(error)) return false;
      const remedy = remedyOf(error, leases);
      this.#refusal = remedy === undefined ? [] : [`leases: ${remedy}`];
      const problem = remedy ?? (error as Error).message;
      if (problem !== this.#problemBefore) log.warn('the Lease cannot be had', { problem });
      this.#problemBefore = problem;
      return false;
    }
  }

  #see(lease: Lease): void {
    if (this.#seen?.lease.metadata.resourceVersion === lease.metadata.resourceVersion) return;
    this.#seen = { lease, atMs: this.#parts.clock.monotonicMs() };
  }

  #spec(before: Lease | undefined): NonNullable<Lease['spec']> {
    const { identity, leaseMs } = this.#settings;
    const now = microTime(this.#parts.clock.wallMs());
    const { holderIdentity, acquireTime = now, leaseTransitions = 0 } = before?.spec ?? {};
    const isRenewal = holderIdentity === identity;
    return {
      ...before?.spec,
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseMs / 1000),
      acquireTime: isRenewal ? acquireTime : now,
      renewTime: now,
      leaseTransitions: isRenewal || before === undefined ? leaseTransitions : leaseTransitions + 1,
    };
  }

  /** So that the next replica need not wait. When it does not work out, it waits. */
  async #release(): Promise<void> {
    const { api, clock, log, metrics } = this.#parts;
    const seen = this.#seen?.lease;
    if (seen === undefined) return;
    using attempt = new LinkedAbort(new AbortController().signal);
    const timer = clock.after(this.#settings.retryMs, () => attempt.abort());
    try {
      const renewTime = microTime(clock.wallMs());
      const spec = { ...seen.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime };
      this.#see(await api.replace<Lease>(leases, { ...seen, spec }, attempt.signal));
      metrics.leadershipChanges.inc({ change: 'released' });
      log.info('released the Lease');
    } catch (error) {
      log.warn('the Lease could not be released', { problem: (error as Error).message });
    } finally {
      timer.cancel();
    }
  }
}

/** As metav1.MicroTime is written. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
