// What is known of one peer that this node observes: a state machine over what single probes saw. Pure; times are monotonic
// milliseconds. The states are those of the report (peers/report.ts).
import type { PeerState } from '../peers/report.ts';
import { fading, noRounds, withRound, type Rounds } from '../peers/rounds.ts';
import type { Reach } from './dial-peer.ts';
import type { KubeletState } from './local-kubelet.ts';

/** What one probe saw. */
export type Sighting =
  /** It proved to be the node, and said how its kubelet is. */
  { readonly kind: 'answered'; readonly kubelet: KubeletState } | { readonly kind: 'failed'; readonly reach: Reach };

export interface TargetState {
  readonly state: PeerState;
  /** Since when it has been so: of `silent` the last sign of any kind, of others the first of the sightings that said so. */
  readonly sinceMs: number;
  /** The end of the last probe; when it became a target before the first. */
  readonly probedMs: number;
  /** When anything was last heard of it; when it became a target before that. */
  readonly heardMs: number;
  /** Probes in a row without an answer. */
  readonly failures: number;
  /** Sightings in a row that say something else than `state`, and when the first of them was. */
  readonly doubts: number;
  readonly doubtsSinceMs: number;
  /** Those before its last answer: what a bad link costs, and not what it costs that nobody is there. */
  readonly probes: Rounds;
}

export interface Hysteresis {
  /** Sightings in a row that it takes to call a peer worse than before … */
  readonly worseAfter: number;
  /** … or better. */
  readonly betterAfter: number;
}

export const defaultHysteresis: Hysteresis = { worseAfter: 3, betterAfter: 2 };

export function newTarget(nowMs: number): TargetState {
  return {
    state: 'new',
    sinceMs: nowMs,
    probedMs: nowMs,
    heardMs: nowMs,
    failures: 0,
    doubts: 0,
    doubtsSinceMs: nowMs,
    probes: noRounds,
  };
}

export function stateOf(sighting: Sighting): Exclude<PeerState, 'new'> {
  if (sighting.kind === 'answered') return sighting.kubelet === 'ok' ? 'up' : 'sick';
  return sighting.reach === 'nothing' ? 'silent' : 'host';
}

const quality: Readonly<Record<PeerState, number>> = { up: 4, new: 3, sick: 2, host: 1, silent: 0 };

/** That a peer is up is believed at once when nothing was known; everything else takes several sightings in a row. */
export function afterSighting(
  before: TargetState,
  sighting: Sighting,
  nowMs: number,
  { worseAfter, betterAfter }: Hysteresis = defaultHysteresis,
): TargetState {
  const seen = stateOf(sighting);
  const probed: TargetState = {
    ...before,
    probedMs: nowMs,
    heardMs: seen === 'silent' ? before.heardMs : nowMs,
    failures: sighting.kind === 'answered' ? 0 : before.failures + 1,
    probes: sighting.kind === 'answered' ? withAnswer(before) : before.probes,
  };
  if (seen === before.state) return { ...probed, doubts: 0, doubtsSinceMs: nowMs };
  const doubts = before.doubts + 1;
  const doubtsSinceMs = before.doubts === 0 ? nowMs : before.doubtsSinceMs;
  const isBetter = quality[seen] > quality[before.state];
  const enough = before.state === 'new' && seen === 'up' ? 1 : isBetter ? betterAfter : worseAfter;
  if (doubts < enough) return { ...probed, doubts, doubtsSinceMs };
  const sinceMs = seen === 'silent' ? before.heardMs : doubtsSinceMs;
  return { ...probed, state: seen, sinceMs, doubts: 0, doubtsSinceMs: nowMs };
}

/** Whose failures are that no answer has followed yet, nobody can tell; and of many in a row, most were not the link's. */
const failuresOfLink = 3;

function withAnswer({ failures, probes }: TargetState): Rounds {
  let counted = probes;
  if (probes.all > 0)
    for (let n = Math.min(failures, failuresOfLink); n > 0; n -= 1) counted = withRound(counted, true, fading.probes);
  return withRound(counted, false, fading.probes);
}

/**
 * For how long the report says that it has been so. Of a silent peer it is the time since anything was heard of it, also while one
 * answer is not yet enough to call it better: a single answer is evidence against its death.
 */
export function heldMs({ state, sinceMs, heardMs }: TargetState, nowMs: number): number {
  return nowMs - (state === 'silent' ? heardMs : sinceMs);
}
