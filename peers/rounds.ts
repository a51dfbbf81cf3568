// How a link has been lately: how many rounds there were on it, and how many were bad, of which what is long ago counts less. Nodes keep
// such tallies and say them with their reports, so that a guard that has just started knows links that it has not watched itself.

export interface Rounds {
  readonly all: number;
  readonly bad: number;
}

export const noRounds: Rounds = { all: 0, bad: 0 };

/** The weight of a round beside the one after it: renewals come every ten seconds, probes every five; what was five minutes ago counts a third. */
export const fading = { renewals: 0.965, probes: 0.98 } as const;

export function withRound({ all, bad }: Rounds, isBad: boolean, weight: number): Rounds {
  return { all: all * weight + 1, bad: bad * weight + (isBad ? 1 : 0) };
}

/** The one that rests on more: whoever was started last has seen less of the same link. */
export function betterKnown(one: Rounds, other: Rounds): Rounds {
  return other.all > one.all ? other : one;
}

/** The share of bad ones; where nothing is known yet one half (Jeffreys' prior). */
export function shareOf({ all, bad }: Rounds): number {
  return (bad + 0.5) / (all + 1);
}
