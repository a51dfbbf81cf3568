// What a drill found, printed as it happens: one line per check, with the time that it took.

export interface Counts {
  passed: number;
  failed: number;
}

export class Report {
  readonly counts: Counts = { passed: 0, failed: 0 };
  readonly #print: (line: string) => void;
  readonly #signal: AbortSignal;

  constructor(print: (line: string) => void, signal: AbortSignal) {
    this.#print = print;
    this.#signal = signal;
  }

  say(line: string): void {
    this.#print(`       ${line}`);
  }

  /**
   * Runs one check; what it returns is printed behind its name. A check that throws has failed and the drill goes on,
   * unless the drill itself was stopped.
   */
  async check(name: string, run: () => Promise<string | void> | string | void): Promise<boolean> {
    this.#signal.throwIfAborted();
    const started = performance.now();
    try {
      const detail = await this.#orStopped(async () => run());
      this.counts.passed += 1;
      this.#print(`ok   ${seconds(started)}  ${name}${typeof detail === 'string' ? `: ${detail}` : ''}`);
      return true;
    } catch (error) {
      this.#signal.throwIfAborted();
      this.counts.failed += 1;
      this.#print(`FAIL ${seconds(started)}  ${name}: ${messageOf(error)}`);
      return false;
    }
  }

  /** A part of a drill. If it cannot be carried through, that is one failure, and the next part is tried. */
  async part(title: string, run: () => Promise<void>): Promise<void> {
    this.#signal.throwIfAborted();
    this.#print(title);
    const started = performance.now();
    try {
      await this.#orStopped(run);
    } catch (error) {
      this.#signal.throwIfAborted();
      this.counts.failed += 1;
      this.#print(`FAIL ${seconds(started)}  this part stopped: ${messageOf(error)}`);
    }
  }

  /** What waits for ever must not keep the drill from being stopped and cleaned up. */
  async #orStopped<T>(run: () => Promise<T>): Promise<T> {
    const stopped = Promise.withResolvers<never>();
    const stop = (): void => stopped.reject(this.#signal.reason as Error);
    this.#signal.addEventListener('abort', stop, { once: true });
    try {
      return await Promise.race([run(), stopped.promise]);
    } finally {
      this.#signal.removeEventListener('abort', stop);
    }
  }
}

/** For checks: throws `message` unless `condition` holds. */
export function expectThat(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1).padStart(6)} s`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.replaceAll('\n', '\n         ') : String(error);
}
