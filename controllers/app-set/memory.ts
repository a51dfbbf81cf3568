// What one leader knows of an app set beyond what the cluster holds. Lost with the process, and only costs time then.
import type { Refusal } from './plan.ts';
import type { YurtAppSetStatus } from './types.ts';

export interface Memory {
  status: YurtAppSetStatus | undefined;
  writtenMs: number;
  /** The last look wrote something and left it to the next one to tell of it. */
  untold: boolean;
  readonly refusals: Map<string, Refusal & { readonly pauseMs: number }>;
  /** Workloads, by uid, that do not show what was applied to them, with the generation at that time. */
  readonly settled: Map<string, number | undefined>;
}

export class Memories {
  readonly #byKey = new Map<string, Memory>();
  /** Aborts when this replica leads no more. */
  #term: AbortSignal | undefined;

  /** Of an app set, in the term that `signal` stands for: another replica may have led since the term before. */
  of(key: string, signal: AbortSignal): Memory {
    if (signal !== this.#term) {
      this.#byKey.clear();
      this.#term = signal;
    }
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const made: Memory = {
      status: undefined,
      writtenMs: -Infinity,
      untold: false,
      refusals: new Map(),
      settled: new Map(),
    };
    this.#byKey.set(key, made);
    return made;
  }

  forget(key: string): void {
    this.#byKey.delete(key);
  }
}
