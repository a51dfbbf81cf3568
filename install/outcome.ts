// How install and uninstall end, for people and for scripts. The numbers are the exit status.
import { checkLines } from '../dropin/outcome.ts';
import type { Check } from '../dropin/preflight.ts';
import type { Readiness } from './readiness.ts';

export const exitStatus = {
  done: 0,
  /** Run it again: it goes on from there. */
  failed: 1,
  /** A step failed, and everything is as it was before. */
  'rolled-back': 1,
  /** Nothing was changed: a check says why. */
  refused: 3,
  /** A step failed, and so did the way back. */
  stranded: 4,
} as const;

/** What a run that failed says to do: every step may be done again. */
export const runAgain = 'Mend what the error says, and run the same command again: it goes on from there.';

export interface Outcome {
  readonly command: string;
  readonly outcome: keyof typeof exitStatus;
  readonly dryRun: boolean;
  readonly checks: readonly Check[];
  /** What is done, or would be: `create KIND NAMESPACE/NAME` and the like. */
  readonly changes: readonly string[];
  readonly readiness: readonly Readiness[];
  readonly notes: readonly string[];
  readonly seconds: number;
  readonly error: string | undefined;
  /** A sentence or two for people. */
  readonly message: string;
}

export function outcomeText(outcome: Outcome): string {
  const shown = outcome.checks.filter(({ verdict }) => verdict !== 'ok' || outcome.dryRun);
  const lines = checkLines(shown);
  if (outcome.dryRun && outcome.changes.length > 0)
    lines.push('', ...outcome.changes.map((change) => `  - ${change}`), '');
  lines.push(
    ...outcome.readiness.map(({ object, ready, detail }) => `${ready ? 'ready   ' : 'waiting '} ${object}: ${detail}`),
  );
  lines.push(...outcome.notes, outcome.message);
  return lines.join('\n');
}
