// Observes this node's targets: probes each of them now and then, more often while one does not answer, and keeps what follows
// from that.
import { delay, type Clock } from '../runtime/clock.ts';
import { LinkedAbort } from '../runtime/linked-abort.ts';
import type { Log } from '../runtime/log.ts';
import { untilAborted } from '../runtime/until-aborted.ts';
import type { PeerCredentialFiles } from './credentials.ts';
import { PeerDialError, type PeerAddress } from './dial-peer.ts';
import type { HealthMetrics } from './metrics.ts';
import type { ProbeAnswer } from './probe-answer.ts';
import { ProbeConnection } from './probe-connection.ts';
import { afterSighting, newTarget, type Sighting, type TargetState } from './target-state.ts';

export interface ProberParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: HealthMetrics;
  readonly credentials: PeerCredentialFiles;
  /** In [0, 1): jitter. */
  readonly random: () => number;
  /** Called after each probe of a target. */
  readonly seen: () => void;
}

export interface ProberSettings {
  readonly periodMs: number;
  /** While a target does not answer, or differs from what it was. */
  readonly doubtPeriodMs: number;
  /** For the connection, and for the answer. */
  readonly timeoutMs: number;
}

export const defaultProberSettings: ProberSettings = { periodMs: 5_000, doubtPeriodMs: 1_000, timeoutMs: 2_000 };

export interface Target {
  readonly address: PeerAddress;
  readonly state: TargetState;
  /** Of the last probe, if that was answered. */
  readonly answer: ProbeAnswer | undefined;
  /** Monotonic milliseconds of that answer. */
  readonly answeredMs: number;
}

interface Running {
  target: Target;
  readonly abort: LinkedAbort;
}

export class Prober {
  readonly #parts: ProberParts;
  readonly #settings: ProberSettings;
  readonly #running = new Map<string, Running>();
  /** Of targets of now and before, until they have ended. */
  readonly #tasks = new Set<Promise<void>>();
  #wanted: readonly PeerAddress[] = [];
  #signal: AbortSignal | undefined;

  constructor(parts: ProberParts, settings: ProberSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  get targets(): readonly Target[] {
    return [...this.#running.values()].map(({ target }) => target);
  }

  target(node: string): Target | undefined {
    return this.#running.get(node)?.target;
  }

  /** What is known of a target stays as long as it is one, also when its address changes. */
  observe(addresses: readonly PeerAddress[]): void {
    this.#wanted = addresses;
    if (this.#signal === undefined || this.#signal.aborted) return;
    for (const [node, { target, abort }] of this.#running) {
      const same = addresses.find((address) => address.node === node);
      if (same !== undefined && same.host === target.address.host && same.port === target.address.port) continue;
      abort.abort();
      this.#running.delete(node);
      if (same !== undefined) this.#start(this.#signal, { ...target, address: same });
    }
    const nowMs = this.#parts.clock.monotonicMs();
    for (const address of addresses)
      if (!this.#running.has(address.node))
        this.#start(this.#signal, { address, state: newTarget(nowMs), answer: undefined, answeredMs: nowMs });
  }

  /** Probes until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    this.observe(this.#wanted);
    await untilAborted(signal);
    await Promise.all(this.#tasks);
  }

  #start(signal: AbortSignal, target: Target): void {
    const abort = new LinkedAbort(signal);
    const running: Running = { target, abort };
    this.#running.set(target.address.node, running);
    const task = this.#follow(running, abort.signal).finally(() => {
      abort[Symbol.dispose]();
      this.#tasks.delete(task);
    });
    this.#tasks.add(task);
  }

  async #follow(running: Running, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#parts;
    const { periodMs, doubtPeriodMs, timeoutMs } = this.#settings;
    const connection = new ProbeConnection(this.#parts, running.target.address);
    // Nodes that start together do not probe together.
    await delay(clock, random() * doubtPeriodMs, signal);
    while (!signal.aborted) {
      await this.#probe(running, connection, timeoutMs, signal);
      const { state, doubts } = running.target.state;
      const isSettled = state === 'up' && doubts === 0;
      await delay(clock, (isSettled ? periodMs : doubtPeriodMs) * (0.8 + 0.4 * random()), signal);
    }
    connection.close();
  }

  async #probe(running: Running, connection: ProbeConnection, timeoutMs: number, signal: AbortSignal): Promise<void> {
    const { clock, metrics, seen } = this.#parts;
    const startedMs = clock.monotonicMs();
    try {
      const answer = await connection.probe(timeoutMs, signal);
      if (signal.aborted) return;
      metrics.probe('answered');
      metrics.roundTrip.observe((clock.monotonicMs() - startedMs) / 1_000);
      running.target = { ...running.target, answer, answeredMs: clock.monotonicMs() };
      this.#saw(running, { kind: 'answered', kubelet: answer.kubelet });
    } catch (error) {
      if (signal.aborted) return;
      // Whoever answers what cannot be read has a connection that stands, and has proved who it is.
      const reach = error instanceof PeerDialError ? error.reach : 'tcp';
      metrics.probe(reach);
      running.target = { ...running.target, answer: undefined };
      this.#saw(running, { kind: 'failed', reach }, error);
    }
    seen();
  }

  #saw(running: Running, sighting: Sighting, error?: unknown): void {
    const { log, clock } = this.#parts;
    const before = running.target.state;
    const state = afterSighting(before, sighting, clock.monotonicMs());
    running.target = { ...running.target, state };
    if (state.state === before.state) return;
    log.info('a peer looks different', {
      peer: running.target.address.node,
      before: before.state,
      now: state.state,
      problem: error instanceof Error ? error.message : undefined,
    });
  }
}
