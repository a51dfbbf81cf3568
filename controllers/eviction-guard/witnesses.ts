// Who can testify about a silent member of a pool, and whose side of a split the witnesses are on. Pure.
import type { PeerReport } from '../../peers/report.ts';
import { noRounds, shareOf } from '../../peers/rounds.ts';
import type { MemberEvidence } from './rules.ts';
import { timing } from './timing.ts';

/** A current report of one of a node's observers about it. */
export interface Witness {
  readonly name: string;
  readonly says: PeerReport['state'];
  /** For how long it has been so. */
  readonly forSeconds: number;
  /** The part of that in which the witness was itself in contact: all that counts as evidence. */
  readonly seconds: number;
  readonly failures: number;
  /** How likely so many probes fail in a row although the node is well, by how those before did. */
  readonly chance: number;
}

/**
 * How likely a probe of a node that is silent and well fails, of the share that did while it was seen up. After a failure each probe needs a new
 * connection, of three round trips: on links with 5 to 30 % loss each way and up to 300 ms it fails about so often.
 */
const failureChance = (share: number): number => Math.min(1, 1.25 * Math.sqrt(share));

export function isHeard({ observed }: MemberEvidence): boolean {
  return observed !== undefined && observed.everHeard && observed.silentSeconds < timing.heard;
}

/**
 * A member that this guard has found dead, or that a person took out of service and that is silent, is missed by nobody. What an
 * earlier guard found does not count: the node may have been back while nobody looked.
 */
export function mayBeHeard(member: MemberEvidence): boolean {
  if (isHeard(member)) return true;
  const silent = (member.observed?.silentSeconds ?? 0) >= timing.late;
  return !silent || !(member.observed?.foundDead === true || member.cordoned);
}

export function witnessesOf(
  subject: string,
  observers: readonly string[],
  members: ReadonlyMap<string, MemberEvidence>,
  pool: string,
): Witness[] {
  return observers.flatMap((name) => {
    const observer = members.get(name);
    const seen = observer?.observed;
    if (observer === undefined || seen?.report === undefined || !isHeard(observer)) return [];
    const { report, ageSeconds } = seen.report;
    const entry = report.peers.find((peer) => peer.name === subject);
    if (entry === undefined || report.pool !== pool || ageSeconds >= timing.report) return [];
    if (entry.state === 'new' || entry.probedSeconds + ageSeconds >= timing.probe) return [];
    // What it did not see while it was itself cut off, or while the guard did not hear it, is no evidence.
    const seconds = Math.min(entry.forSeconds, report.onlineSeconds, Math.max(0, seen.heardForSeconds - ageSeconds));
    const { forSeconds, failures, state: says } = entry;
    const chance = failureChance(shareOf(seen.paths.get(subject) ?? noRounds)) ** failures;
    return [{ name, says, forSeconds, seconds, failures, chance }];
  });
}

/** An observer that is heard, but whose report is on its way: it may have seen the node meanwhile. */
export function isReportDue(observer: MemberEvidence | undefined): boolean {
  const ageSeconds = observer?.observed?.report?.ageSeconds;
  if (observer === undefined || ageSeconds === undefined || !isHeard(observer)) return false;
  return ageSeconds >= timing.freshReport && ageSeconds < timing.missingReport;
}

/** States in which the network between the two works, whatever runs at the other end. */
const reached: readonly PeerReport['state'][] = ['up', 'sick', 'host'];

/**
 * Members that are heard, by a name that stands for their side: who sees whom, as their current reports say, taken together. One whose
 * report sees nobody is a side of its own; one without a report says nothing, and is left out unless others see it.
 */
export function sidesOf(heard: readonly MemberEvidence[]): ReadonlyMap<string, string> {
  const parents = new Map<string, string>();
  const sideOf = (name: string): string => {
    const parent = parents.get(name) ?? name;
    if (parent === name) return name;
    const root = sideOf(parent);
    parents.set(name, root);
    return root;
  };
  const isKnown = new Set(heard.map(({ name }) => name));
  for (const { name, observed } of heard) {
    const current = observed?.report;
    if (current === undefined || current.ageSeconds >= timing.report || current.report.peers.length === 0) continue;
    if (!parents.has(name)) parents.set(name, name);
    for (const peer of current.report.peers)
      // Sides that have only just come together: what their witnesses say is still of before.
      if (isKnown.has(peer.name) && reached.includes(peer.state) && peer.forSeconds >= timing.together)
        parents.set(sideOf(peer.name), sideOf(name));
  }
  return new Map([...parents.keys()].map((name) => [name, sideOf(name)]));
}
