// One run of a command on a node: the parts it has, what it finds out as it goes, and the outcome in the end.
import { Conversion } from './conversion.ts';
import type { Archive } from './facts.ts';
import type { Files } from './files.ts';
import type { Host } from './host.ts';
import type { Journal } from './journal.ts';
import type { Outcome, Resumed, Verdict } from './outcome.ts';
import type { Check } from './preflight.ts';
import type { Progress } from './wait.ts';

export interface CommandParts {
  readonly host: Host;
  /** For the way back, which nobody may interrupt. */
  readonly steadyHost: Host;
  readonly files: Files;
  readonly progress: Progress;
  readonly archive: Archive | undefined;
  /** ISO 8601. */
  readonly wallTime: () => string;
}

export interface CommandSettings {
  readonly dryRun: boolean;
  readonly timeoutMs: number;
}

/** What was found, filled in as it goes, and made an outcome in the end. */
export class Run {
  readonly #command: Outcome['command'];
  readonly #parts: CommandParts;
  readonly #settings: CommandSettings;
  readonly #started: number;
  #kubeletDownMs: number | undefined;
  #hubDownMs: number | undefined;
  #resumed: Resumed | undefined;
  node: string | undefined;
  checks: readonly Check[] = [];
  steps: Outcome['steps'] = [];
  restartAdvised: readonly string[] = [];

  constructor(command: Outcome['command'], parts: CommandParts, settings: CommandSettings) {
    this.#command = command;
    this.#parts = parts;
    this.#settings = settings;
    this.#started = parts.host.now();
  }

  /** Undefined when it arrived; else why not. */
  there(journal: Journal, task: (conversion: Conversion) => Promise<void>): Promise<string | undefined> {
    return this.#carryOut(journal, this.#parts.host, task);
  }

  /** As `there`, and nobody may interrupt it. */
  back(journal: Journal, task: (conversion: Conversion) => Promise<void>): Promise<string | undefined> {
    return this.#carryOut(journal, this.#parts.steadyHost, task);
  }

  /** `again`: the command that goes on from there. */
  stranded(error: string, again: string): Outcome {
    const message = `The way back did not come to its end. Mend what the error says, and run ${again}: it goes on from here.`;
    return this.outcome('stranded', message, error);
  }

  outcome(outcome: Verdict, message: string, error?: string): Outcome {
    return {
      command: this.#command,
      outcome,
      node: this.node,
      dryRun: this.#settings.dryRun,
      checks: this.checks,
      steps: this.steps,
      seconds: seconds(this.#parts.host.now() - this.#started) ?? 0,
      kubeletDownSeconds: seconds(this.#kubeletDownMs),
      hubDownSeconds: seconds(this.#hubDownMs),
      resumed: this.#resumed,
      restartAdvised: this.restartAdvised,
      error,
      message,
    };
  }

  async #carryOut(
    journal: Journal,
    host: Host,
    task: (conversion: Conversion) => Promise<void>,
  ): Promise<string | undefined> {
    const { timeoutMs } = this.#settings;
    const { files, progress } = this.#parts;
    const conversion = new Conversion({ host, files, progress, journal }, { nodeName: this.node ?? '', timeoutMs });
    try {
      await task(conversion);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      const { kubeletDownMs, hubDownMs, resumed } = conversion.actions;
      this.#kubeletDownMs = kubeletDownMs ?? this.#kubeletDownMs;
      this.#hubDownMs ??= hubDownMs;
      this.#resumed ??= resumed;
    }
  }
}

/** To a hundredth. */
function seconds(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : Math.round(milliseconds / 10) / 100;
}
