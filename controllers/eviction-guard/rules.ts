// Dead, cut off, or not known: every rule by which the guard decides, in one table, tried from the top. Pure: evidence in,
// verdicts out. Seconds are of the guard's own clock or ages from reports; no edge clock is ever read.
import type { PoolSettings } from '../../peers/membership.ts';
import type { Observation } from '../../peers/observers.ts';
import type { PeerReport } from '../../peers/report.ts';
import type { Observed } from './observations.ts';

/** Seconds. `npm run simulate -- health` shows what they do. */
export const timing = {
  /** The kubelet renews every 10 s: two renewals missed. */
  late: 20,
  /** A member counts as heard. */
  heard: 25,
  /** A report counts for so long after it came, and a probe in it for so long after it ended. */
  report: 25,
  probe: 30,
  /** Members that have seen each other for so long are on one side. */
  together: 30,
  /** Silence that several witnesses must have seen, each by itself; one with whom others agree; and one alone. */
  silence: 20,
  agreedSilence: 40,
  loneSilence: 60,
  /** Cut off: before the node controller calls the node Unknown (50 s), and after a pause that a bad link may make. */
  cutOff: 40,
  /** Pods are deleted after so much silence: one more round of reports than the verdict itself takes. */
  act: 45,
  /** The node's own hub says that the kubelet is down: as long as stock Kubernetes waits. */
  kubeletDown: 300,
  /** Members of a site that was silent as a whole may take so long to come back. */
  siteReturn: 300,
} as const;

/** Probes that must have failed in a row, beside the time, for silence to be more than a pause in probing. */
const failuresNeeded = { several: 3, lone: 6 } as const;

export const verdictKinds = ['alive', 'cutOff', 'siteCutOff', 'dead', 'undecided', 'observing'] as const;
/** `observing`: the guard has not watched for long enough to say anything; what was decided before stands. */
export type VerdictKind = (typeof verdictKinds)[number];

export interface MemberEvidence {
  readonly name: string;
  /** Undefined: no Lease was ever seen. */
  readonly observed: Observed | undefined;
  /** A person took it out of service (`spec.unschedulable`). */
  readonly cordoned: boolean;
  /** A person, or what fences machines, declared that this boot of it has ended for good. */
  readonly fenced: boolean;
  /** What was decided last, also by a guard before this one. */
  readonly standing: VerdictKind | undefined;
}

export interface PoolEvidence {
  readonly pool: string;
  readonly settings: PoolSettings;
  readonly members: readonly MemberEvidence[];
  /** Of these members, with the pool's number of observers. */
  readonly observation: Observation;
  /** Since the guard last had proof that its picture is current: any Lease changed, or a list was read. */
  readonly pictureAgeSeconds: number;
}

export interface Verdict {
  readonly kind: VerdictKind;
  readonly reason: Reason;
  /** For people: who saw what. */
  readonly message: string;
  /** Pods may be deleted now, on what is known now. */
  readonly act: boolean;
}

/** A current report of one of a node's observers about it. */
interface Witness {
  readonly name: string;
  readonly says: PeerReport['state'];
  /** For how long it has been so. */
  readonly forSeconds: number;
  /** The part of that in which the witness was itself in contact: all that counts as evidence. */
  readonly seconds: number;
  readonly failures: number;
}

interface Facts {
  readonly member: MemberEvidence;
  readonly silent: number;
  readonly poolSize: number;
  readonly pictureAge: number;
  readonly witnesses: readonly Witness[];
  /** Those that could be heard: the members that are not dead already, and not out of service and silent. */
  readonly electorate: number;
  readonly heard: number;
  /** Longest unbroken contact with any member; 0 when none is heard. */
  readonly poolHeardFor: number;
  readonly loneWitness: boolean;
  /** Observers of the node that could be heard. */
  readonly observers: number;
  /** Members that are heard, but on another side of a split than the witnesses: they may be on the node's side. */
  readonly elsewhere: readonly string[];
}

interface Rule {
  readonly reason: string;
  readonly verdict: VerdictKind;
  readonly when: (facts: Facts) => boolean;
}

const saying = (facts: Facts, state: Witness['says']): readonly Witness[] =>
  facts.witnesses.filter(({ says }) => says === state);
const anySays = (facts: Facts, state: Witness['says']): boolean => saying(facts, state).length > 0;
/** Nobody saw anything of the machine. */
const noSignSeen = (facts: Facts): boolean =>
  !anySays(facts, 'up') && !anySays(facts, 'sick') && !anySays(facts, 'host');

/** More than half of those that could be heard are; a tie may be one side of a split. */
const majority = ({ heard, electorate }: Facts): boolean => heard * 2 > electorate;
/** The last two of a pool, and one is heard; in a pool of three only where the pool says that this is enough. */
const loneWitness = ({ heard, electorate, loneWitness: allowed }: Facts): boolean =>
  heard === 1 && (electorate === 2 || (electorate === 3 && allowed));
/**
 * Several are sure after 20 s; one that others agree with, who were themselves cut off meanwhile, after 40; one alone after a minute. In
 * any case no witness had an answer lately, and those that say so are most of the observers: the others might have seen it.
 */
function silenceProved(facts: Facts): boolean {
  const silent = saying(facts, 'silent');
  const allSilentFor = (seconds: number): boolean => silent.every(({ forSeconds }) => forSeconds >= seconds);
  const sure = (seconds: number, failures: number): number =>
    silent.filter((witness) => witness.seconds >= seconds && witness.failures >= failures).length;
  const most = silent.length * 2 > facts.observers && majority(facts);
  if (silent.length >= 2 && most && allSilentFor(timing.silence))
    if (sure(timing.silence, failuresNeeded.several) >= 2 || sure(timing.agreedSilence, failuresNeeded.lone) >= 1)
      return true;
  return (
    (most || loneWitness(facts)) &&
    sure(timing.loneSilence, failuresNeeded.lone) >= 1 &&
    allSilentFor(timing.loneSilence)
  );
}
const siteReturns = ({ member, poolHeardFor }: Facts): boolean =>
  member.standing === 'siteCutOff' && poolHeardFor < timing.siteReturn;

/** The first that holds decides; the last always does. */
const rules = [
  // The guard has just started, is itself cut off from the API server, or has never seen the node.
  {
    reason: 'Observing',
    verdict: 'observing',
    when: ({ member: { observed }, silent, pictureAge }) =>
      pictureAge >= timing.late || observed === undefined || (!observed.everHeard && silent < timing.cutOff),
  },
  { reason: 'Heard', verdict: 'alive', when: ({ silent }) => silent < timing.late },
  // A person knows more than every probe, but not more than the node that answers one.
  {
    reason: 'Fenced',
    verdict: 'dead',
    when: (facts) => facts.member.fenced && facts.silent >= timing.cutOff && noSignSeen(facts),
  },
  // Each witness that has an opinion saw nothing, and their side of the pool is not the small one.
  {
    reason: 'PeersSilent',
    verdict: 'dead',
    when: (facts) => noSignSeen(facts) && silenceProved(facts) && facts.elsewhere.length === 0 && !siteReturns(facts),
  },
  // The machine runs, its hub answers, its kubelet does not: as stock Kubernetes, after as long.
  {
    reason: 'KubeletDown',
    verdict: 'dead',
    when: (facts) =>
      facts.silent >= timing.kubeletDown &&
      !anySays(facts, 'up') &&
      anySays(facts, 'sick') &&
      saying(facts, 'sick').every(({ seconds }) => seconds >= timing.kubeletDown),
  },
  // Not proved, and not silent for long: a bad link.
  { reason: 'Late', verdict: 'alive', when: ({ silent }) => silent < timing.cutOff },
  { reason: 'PeersSeeIt', verdict: 'cutOff', when: (facts) => anySays(facts, 'up') },
  // The last decision stands while nothing speaks against it: witnesses may have gone since.
  {
    reason: 'StillSilent',
    verdict: 'dead',
    when: (facts) => facts.member.standing === 'dead' && noSignSeen(facts),
  },
  // Nobody is heard, so nobody can be believed dead: the site's uplink, its power, or the cloud's own network.
  { reason: 'PoolSilent', verdict: 'siteCutOff', when: ({ poolSize, heard }) => poolSize > 1 && heard === 0 },
  // Machines start, and links come up, one after the other.
  { reason: 'SiteReturns', verdict: 'siteCutOff', when: siteReturns },
  { reason: 'Alone', verdict: 'undecided', when: ({ poolSize }) => poolSize === 1 },
  { reason: 'KubeletSick', verdict: 'undecided', when: (facts) => anySays(facts, 'sick') },
  // A machine whose hub is not running, or another at its address.
  { reason: 'HostAnswers', verdict: 'undecided', when: (facts) => anySays(facts, 'host') },
  // All its observers are away: themselves dead or cut off, or without a hub.
  { reason: 'NoWitness', verdict: 'undecided', when: (facts) => !anySays(facts, 'silent') },
  // The pool is split, and both sides are heard; the node may be on the side of those that do not watch it.
  { reason: 'SplitPool', verdict: 'undecided', when: ({ elsewhere }) => elsewhere.length > 0 },
  // The larger part is not heard: this may be the small side of a split pool.
  { reason: 'FewHeard', verdict: 'undecided', when: (facts) => !majority(facts) && !loneWitness(facts) },
  { reason: 'NotProved', verdict: 'undecided', when: () => true },
] as const satisfies readonly Rule[];

export type Reason = (typeof rules)[number]['reason'];
export const reasons: readonly Reason[] = rules.map(({ reason }) => reason);

/** Reasons for which pods are deleted: what is known now, not what was decided before. */
const actingReasons: readonly Reason[] = ['PeersSilent', 'KubeletDown', 'Fenced'];

/** The verdict on each member of a pool. */
export function judgePool(evidence: PoolEvidence): Map<string, Verdict> {
  const byName = new Map(evidence.members.map((member) => [member.name, member]));
  const heard = evidence.members.filter(isHeard);
  const voters = evidence.members.filter(mayBeHeard);
  const poolHeardFor = Math.max(0, ...heard.map(({ observed }) => observed?.heardForSeconds ?? 0));
  let sides: ReadonlyMap<string, string> | undefined;
  const verdictOn = (member: MemberEvidence): Verdict => {
    const silent = member.observed?.silentSeconds ?? 0;
    const isVoter = mayBeHeard(member);
    // Most are heard: their observers need not be looked up.
    const observers = silent < timing.late ? [] : evidence.observation.observersOf(member.name).toSorted();
    const witnesses = witnessesOf(member.name, observers, byName, evidence.pool);
    const facts: Facts = {
      member,
      silent,
      poolSize: evidence.members.length,
      pictureAge: evidence.pictureAgeSeconds,
      witnesses,
      electorate: voters.length + (isVoter ? 0 : 1),
      heard: heard.length,
      poolHeardFor,
      loneWitness: evidence.settings.loneWitness,
      observers: observers.filter((name): boolean => {
        const observer = byName.get(name);
        return observer !== undefined && mayBeHeard(observer);
      }).length,
      elsewhere: witnesses.length === 0 ? [] : notBeside(witnesses, (sides ??= sidesOf(heard))),
    };
    const { reason, verdict } = rules.find(({ when }) => when(facts))!;
    const act = verdict === 'dead' && actingReasons.includes(reason) && silent >= timing.act;
    return { kind: verdict, reason, message: messageOf(facts), act };
  };
  return new Map(evidence.members.map((member) => [member.name, verdictOn(member)]));
}

function isHeard({ observed }: MemberEvidence): boolean {
  return observed !== undefined && observed.everHeard && observed.silentSeconds < timing.heard;
}

/** A member that is dead already, or that a person took out of service and that is silent, is missed by nobody. */
function mayBeHeard(member: MemberEvidence): boolean {
  if (isHeard(member)) return true;
  const silent = (member.observed?.silentSeconds ?? 0) >= timing.late;
  return !silent || !(member.standing === 'dead' || member.cordoned);
}

/** Members on sides on which none of the witnesses is. */
function notBeside(witnesses: readonly Witness[], sides: ReadonlyMap<string, string>): string[] {
  const witnessed = new Set(witnesses.map(({ name }) => sides.get(name)));
  return [...sides].flatMap(([name, side]) => (witnessed.has(side) ? [] : [name]));
}

/**
 * Members that are heard, by a name that stands for their side: who sees whom, as their current reports say, taken together. One whose
 * report sees nobody is a side of its own; one without a report says nothing, and is left out unless others see it.
 */
function sidesOf(heard: readonly MemberEvidence[]): ReadonlyMap<string, string> {
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
      if (isKnown.has(peer.name) && peer.state === 'up' && peer.forSeconds >= timing.together)
        parents.set(sideOf(peer.name), sideOf(name));
  }
  return new Map([...parents.keys()].map((name) => [name, sideOf(name)]));
}

function witnessesOf(
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
    return [{ name, says: entry.state, forSeconds: entry.forSeconds, seconds, failures: entry.failures }];
  });
}

function messageOf(facts: Facts): string {
  const { member, silent, witnesses, heard, electorate } = facts;
  if (member.observed === undefined) return 'no Lease was seen';
  if (silent < timing.late) return 'its Lease is renewed';
  const said = (['up', 'sick', 'host', 'silent'] as const).flatMap((state) => {
    const names = saying(facts, state).map(({ name, forSeconds }) => `${name} (${forSeconds} s)`);
    return names.length === 0 ? [] : [`${state}: ${names.join(', ')}`];
  });
  const votes = witnesses.length === 0 ? 'no observer reports' : said.join('; ');
  return `silent for ${Math.floor(silent)} s; ${votes}; ${heard} of ${electorate} heard`;
}
