// Dead, cut off, or not known: every rule by which the guard decides, in one table, tried from the top. Pure: evidence in,
// verdicts out. Seconds are of the guard's own clock or ages from reports; no edge clock is ever read.
import type { PoolSettings } from '../../peers/membership.ts';
import type { Observation } from '../../peers/observers.ts';
import type { Observed } from './observations.ts';
import { acceptedChance, failuresNeeded, proofOfVerdict, proofToAct, timing, type Proof } from './timing.ts';
import { isHeard, isReportDue, mayBeHeard, sidesOf, witnessesOf, type Witness } from './witnesses.ts';

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

interface Facts {
  readonly member: MemberEvidence;
  readonly silent: number;
  readonly poolSize: number;
  readonly pictureAge: number;
  readonly witnesses: readonly Witness[];
  /** Those that could be heard: the members that were not found dead already, and are not out of service and silent. */
  readonly electorate: number;
  readonly heard: number;
  /** Longest unbroken contact with any member; 0 when none is heard. */
  readonly poolHeardFor: number;
  readonly loneWitness: boolean;
  /** Observers of the node that could be heard. */
  readonly observers: number;
  /** Members that are heard, on the side of the witnesses. */
  readonly beside: readonly MemberEvidence[];
  /** Members that are heard, but on another side of a split than the witnesses: they may be on the node's side. */
  readonly elsewhere: readonly string[];
  /** The report of an observer is late: it may have seen the node meanwhile. */
  readonly isReportDue: boolean;
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
 * Several are sure after a while; one that others agree with, who were themselves cut off meanwhile, after a longer one; one alone after a minute.
 * In any case no witness had an answer lately, those that say so are most of the observers (the others might have seen it), and their
 * side, of those that were heard after what silenced the node, is more than half of the pool.
 */
function silenceProved(facts: Facts, proof: Proof): boolean {
  const silent = saying(facts, 'silent');
  const allSilentFor = (seconds: number): boolean => silent.every(({ forSeconds }) => forSeconds >= seconds);
  const sure = (seconds: number, failures: number): number =>
    silent.filter((witness) => witness.seconds >= seconds && witness.failures >= failures).length;
  const outlived = facts.beside.filter(
    ({ observed }) => observed !== undefined && facts.silent - observed.silentSeconds >= proof.outlived,
  ).length;
  const most = silent.length * 2 > facts.observers && outlived * 2 > facts.electorate;
  if (silent.length >= 2 && most && allSilentFor(proof.several))
    if (sure(proof.several, failuresNeeded.several) >= 2 || sure(proof.agreed, failuresNeeded.lone) >= 1) return true;
  return (most || loneWitness(facts)) && sure(proof.lone, failuresNeeded.lone) >= 1 && allSilentFor(proof.lone);
}
/** The node's own way to the cloud may well lose so many renewals in a row, or those to its witnesses so many probes. */
const mayBeBadLinks = ({ member, silent, witnesses }: Facts): boolean =>
  (member.observed?.renewalLoss ?? 1) ** Math.floor(silent / timing.renewal) > acceptedChance.renewals ||
  witnesses.reduce((product, { chance }) => product * chance, 1) > acceptedChance.probes;
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
    when: (facts) =>
      noSignSeen(facts) && silenceProved(facts, proofOfVerdict) && facts.elsewhere.length === 0 && !siteReturns(facts),
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

/** Whether pods are deleted: on what is known now, not on what was decided before. */
function mayAct(facts: Facts, reason: Reason): boolean {
  if (facts.silent < timing.act) return false;
  if (reason === 'PeersSilent') return silenceProved(facts, proofToAct) && !facts.isReportDue && !mayBeBadLinks(facts);
  return reason === 'KubeletDown' || reason === 'Fenced';
}

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
    const anchor = witnesses.find(({ seconds }) => seconds >= proofOfVerdict.several) ?? witnesses[0];
    if (anchor !== undefined) sides ??= sidesOf(heard);
    const side = anchor && sides?.get(anchor.name);
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
      beside: side === undefined ? [] : heard.filter(({ name }) => sides?.get(name) === side),
      elsewhere: [...(side === undefined ? [] : sides!)].flatMap(([name, other]) => (other === side ? [] : [name])),
      isReportDue: observers.some((name) => isReportDue(byName.get(name))),
    };
    const { reason, verdict } = rules.find(({ when }) => when(facts))!;
    return { kind: verdict, reason, message: messageOf(facts), act: mayAct(facts, reason) };
  };
  return new Map(evidence.members.map((member) => [member.name, verdictOn(member)]));
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
