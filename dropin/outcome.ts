// How a command on a node ends, for people and for scripts. The numbers are the exit status.
import type { Check } from './preflight.ts';

export const exitStatus = {
  done: 0,
  /** A step failed, and the node is as it was before. */
  'rolled-back': 1,
  /** Nothing was changed: a check says why. */
  refused: 3,
  /** A step failed, and so did the way back: run holdfast revert. */
  stranded: 4,
} as const;

export type Verdict = keyof typeof exitStatus;

/** What there was to do after a restart of the hub, from the restart until the kubelet had renewed its Lease. */
export interface Resumed {
  /** Open watches of local clients. */
  readonly clientWatches: number;
  /** Lists that local clients asked for; none means that each went on where it was. */
  readonly clientLists: number;
  readonly upstreamLists: number;
  readonly upstreamWatches: number;
}

export interface Outcome {
  readonly command: 'convert' | 'revert' | 'upgrade' | 'join';
  readonly outcome: Verdict;
  readonly node: string | undefined;
  readonly dryRun: boolean;
  readonly checks: readonly Check[];
  /** What is done, or would be, step by step. */
  readonly steps: readonly { readonly title: string; readonly changes: readonly string[] }[];
  readonly seconds: number;
  /** Until the kubelet's health port said ok again. */
  readonly kubeletDownSeconds: number | undefined;
  /** Until the hub was ready again. */
  readonly hubDownSeconds: number | undefined;
  readonly resumed: Resumed | undefined;
  /** Pods of this node that ask the API server in a way that a restart of theirs would change, NAMESPACE/NAME. */
  readonly restartAdvised: readonly string[];
  /** Why, if it was not done. */
  readonly error: string | undefined;
  /** A sentence or two for people. */
  readonly message: string;
}

/** One check, with its fix in a line of its own. */
export function checkLines(checks: readonly { name: string; verdict: string; cause: string; fix: string }[]): string[] {
  return checks.map(
    ({ name, verdict, cause, fix }) => `${verdict.padEnd(8)} ${name}: ${cause}${fix === '' ? '' : `\n         ${fix}`}`,
  );
}

/** For people; with `checks`, also what was well. */
export function outcomeText(outcome: Outcome): string {
  const lines = checkLines(outcome.checks.filter(({ verdict }) => verdict !== 'ok' || outcome.dryRun));
  if (outcome.dryRun)
    for (const { title, changes } of outcome.steps)
      lines.push(`\n${title}`, ...changes.map((change) => `  - ${change}`));
  if (outcome.dryRun) lines.push('');
  lines.push(outcome.message);
  if (outcome.restartAdvised.length > 0) {
    const why =
      outcome.command === 'convert'
        ? 'These pods go on asking the API server directly until they are started anew, at the latest by a reboot:'
        : 'These pods know the API server by the address of the hub; start them anew:';
    lines.push(why, ...outcome.restartAdvised.map((pod) => `  ${pod}`));
  }
  const { resumed, hubDownSeconds } = outcome;
  if (resumed !== undefined)
    lines.push(
      `The hub was away for ${hubDownSeconds} s; since then ${resumed.clientWatches} watches of clients go on, ${resumed.clientLists} lists were asked for ` +
        `(at the API server: ${resumed.upstreamWatches} watches, ${resumed.upstreamLists} lists).`,
    );
  return lines.join('\n');
}

export const statusOf = ({ outcome }: Outcome): number => exitStatus[outcome];
