// Kills replicas of the controllers at random moments while something else goes on, and starts them again as a supervisor would.
import { waitFor } from '../../cluster/commands.ts';
import { replicaNames, type ReplicaName, type Replicas } from '../controller-replicas.ts';

/** Between two kills. */
const pauseMs = { least: 2_000, spread: 8_000 };
/** A replica that was killed did not release its Lease: the other waits for it. */
export const takeOverMs = 40_000;

export class Killer {
  readonly #replicas: Replicas;
  readonly #random: () => number;
  readonly #wanted: number;
  readonly #stop = new AbortController();
  #kills = 0;
  #leaders = 0;
  #running: Promise<void> = Promise.resolve();

  /** `wanted` kills, then none any more. */
  constructor(replicas: Replicas, random: () => number, wanted: number) {
    this.#replicas = replicas;
    this.#random = random;
    this.#wanted = wanted;
  }

  /** So far, and how many of them were of the one that led. */
  get kills(): { readonly all: number; readonly leaders: number } {
    return { all: this.#kills, leaders: this.#leaders };
  }

  get isDone(): boolean {
    return this.#kills >= this.#wanted;
  }

  start(): void {
    this.#running = this.#run();
    // What failed is told by `end`.
    this.#running.catch(() => undefined);
  }

  /** Both replicas run then. Rejects as a kill did. */
  async end(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted && !this.isDone) {
      await pause(pauseMs.least + pauseMs.spread * this.#random(), signal);
      if (signal.aborted) return;
      const leader = await waitFor('a leader', () => this.#replicas.leader(), { deadlineMs: takeOverMs });
      // Mostly the one that works.
      const victim: ReplicaName = this.#random() < 0.7 ? leader : replicaNames[this.#random() < 0.5 ? 0 : 1];
      await this.#replicas.kill(victim);
      await this.#replicas.start(victim);
      this.#kills += 1;
      if (victim === leader) this.#leaders += 1;
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { once: true });
  });
}
