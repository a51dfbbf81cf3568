// What a drill is: a scenario on a real cluster, with named checks. The runner gives it a report and cleans up after it.
import type { Report } from './report.ts';

export interface DrillContext {
  /** The form for the gate: minutes instead of the full figures; ratios and percentiles are printed, not judged. */
  quick: boolean;
  /** Letters of the parts to run; empty for all. Parts that later ones need are carried out without their checks. */
  only: ReadonlySet<string>;
  report: Report;
  /** Aborts when the drill is to end early. */
  signal: AbortSignal;
  /** Called when the drill is over, newest first, whatever happened. */
  defer(cleanUp: () => Promise<void>): void;
  /** Folder with logs, copied if the drill fails; collected before anything is cleaned up. */
  keepLogs(folder: string): void;
}

/**
 * How long a check waits for what the design gives `figureMs`. Figures are judged in the full form, on a machine of its own; the gate
 * judges order and outcome, and there a deadline only ends what hangs.
 */
export function deadlineFor({ quick }: Pick<DrillContext, 'quick'>, figureMs: number): number {
  return quick ? Math.max(10 * figureMs, 120_000) : figureMs;
}

export interface Drill {
  name: string;
  /** One line for the list of drills. */
  summary: string;
  run(context: DrillContext): Promise<void>;
}
